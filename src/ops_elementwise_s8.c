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

/* Requantised, moved and clamped. */
static int8_t finish(int32_t value, int32_t multiplier, int32_t shift, int32_t offset, int32_t minimum,
                     int32_t maximum) {
    const int64_t moved = (int64_t)ci_multiply_by_quantised(value, multiplier, shift) + offset;
    return (int8_t)(moved < minimum ? minimum : moved > maximum ? maximum : moved);
}

ci_status ci_elementwise_add_s8(const ci_elementwise_add_s8_args *a) {
    if (!a->input1 || !a->input2 || !a->output || a->size < 1 || !byte_offset(a->input1_offset) ||
        !byte_offset(a->input2_offset) || !multiplier_and_shift(a->input1_multiplier, a->input1_shift) ||
        !multiplier_and_shift(a->input2_multiplier, a->input2_shift) ||
        !multiplier_and_shift(a->output_multiplier, a->output_shift) || a->left_shift < 0 ||
        a->left_shift > 22 || !output_range(a->output_offset, a->activation_min, a->activation_max))
        return CI_ERROR_ARGUMENT;
    const int32_t scale = 1 << a->left_shift;
    for (int32_t i = 0; i < a->size; i++) {
        const int32_t first = ci_multiply_by_quantised((a->input1[i] + a->input1_offset) * scale,
                                                       a->input1_multiplier, a->input1_shift);
        const int32_t second = ci_multiply_by_quantised((a->input2[i] + a->input2_offset) * scale,
                                                        a->input2_multiplier, a->input2_shift);
        const int32_t sum = (int32_t)((uint32_t)first + (uint32_t)second);
        a->output[i] = finish(sum, a->output_multiplier, a->output_shift, a->output_offset, a->activation_min,
                              a->activation_max);
    }
    return CI_OK;
}

ci_status ci_elementwise_mul_s8(const ci_elementwise_mul_s8_args *a) {
    if (!a->input1 || !a->input2 || !a->output || a->size < 1 || !byte_offset(a->input1_offset) ||
        !byte_offset(a->input2_offset) || !multiplier_and_shift(a->output_multiplier, a->output_shift) ||
        !output_range(a->output_offset, a->activation_min, a->activation_max))
        return CI_ERROR_ARGUMENT;
    for (int32_t i = 0; i < a->size; i++) {
        const int32_t product = (a->input1[i] + a->input1_offset) * (a->input2[i] + a->input2_offset);
        a->output[i] = finish(product, a->output_multiplier, a->output_shift, a->output_offset,
                              a->activation_min, a->activation_max);
    }
    return CI_OK;
}
