/* Elementwise sum and product with CMSIS-NN's parameters. */
#include "conv_infer/ops.h"
#include "requantise.h"

static int byte_offset(int32_t offset) {
    return offset >= -127 && offset <= 128;
}

static int multiplier_and_shift(int32_t multiplier, int32_t shift) {
    return multiplier >= 0 && shift >= -31 && shift <= 30;
}

static int output_range(int32_t offset, int32_t minimum, int32_t maximum) {
    return offset >= -128 && offset <= 127 && minimum >= -128 && maximum <= 127 && minimum <= maximum;
}

ci_status ci_elementwise_add_s8(const ci_elementwise_add_s8_args *a) {
    if (!a->input1 || !a->input2 || !a->output || a->size < 1 || !byte_offset(a->input1_offset) ||
        !byte_offset(a->input2_offset) || !multiplier_and_shift(a->input1_multiplier, a->input1_shift) ||
        !multiplier_and_shift(a->input2_multiplier, a->input2_shift) ||
        !multiplier_and_shift(a->output_multiplier, a->output_shift) || a->left_shift < 0 ||
        a->left_shift > 22 || !output_range(a->output_offset, a->activation_min, a->activation_max))
        return CI_ERROR_ARGUMENT;
    const ci_elementwise_add_s8_args args = *a; /* which no store of a byte can change */
    const int32_t scale = 1 << args.left_shift;
    for (int32_t i = 0; i < args.size; i++) {
        const int32_t first = ci_multiply_by_quantised((args.input1[i] + args.input1_offset) * scale,
                                                       args.input1_multiplier, args.input1_shift);
        const int32_t second = ci_multiply_by_quantised((args.input2[i] + args.input2_offset) * scale,
                                                        args.input2_multiplier, args.input2_shift);
        const int32_t sum = ci_multiply_by_quantised((int32_t)((uint32_t)first + (uint32_t)second),
                                                     args.output_multiplier, args.output_shift);
        args.output[i] =
            (int8_t)ci_move_and_clamp(sum, args.output_offset, args.activation_min, args.activation_max);
    }
    return CI_OK;
}

ci_status ci_elementwise_mul_s8(const ci_elementwise_mul_s8_args *a) {
    if (!a->input1 || !a->input2 || !a->output || a->size < 1 || !byte_offset(a->input1_offset) ||
        !byte_offset(a->input2_offset) || !multiplier_and_shift(a->output_multiplier, a->output_shift) ||
        !output_range(a->output_offset, a->activation_min, a->activation_max))
        return CI_ERROR_ARGUMENT;
    const ci_elementwise_mul_s8_args args = *a;
    for (int32_t i = 0; i < args.size; i++) {
        const int32_t product = (args.input1[i] + args.input1_offset) * (args.input2[i] + args.input2_offset);
        const int32_t rounded = ci_multiply_by_quantised(product, args.output_multiplier, args.output_shift);
        args.output[i] =
            (int8_t)ci_move_and_clamp(rounded, args.output_offset, args.activation_min, args.activation_max);
    }
    return CI_OK;
}
