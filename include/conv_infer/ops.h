/* Operators on int8 tensors as CMSIS-NN and TensorFlow Lite define them: bit-exact, on every instruction set.
 *
 * Tensors are NHWC, weights OHWI, values int8. An offset is added: input_offset is minus the input's zero
 * point, output_offset the output's. Sums are requantised with a Q31 multiplier and a shift, rounded twice
 * (CI_REQUANTISE_MULTIPLIER in microkernel_s8.h), then clamped to activation_min .. activation_max.
 *
 * The functions allocate nothing and keep nothing. Those that work in scratch memory take it from the caller:
 * as much as their *_scratch_bytes() twin says for the same arguments, at any alignment. Arguments are
 * checked before memory is touched:
 *
 *     CI_ERROR_ARGUMENT     a size below 1, an offset, shift or clamp out of range, channels that do not
 *                           divide into groups
 *     CI_ERROR_OVERFLOW     sizes whose product does not fit, or sums that could leave int32
 *     CI_ERROR_SCRATCH      too little scratch; nothing was written
 *     CI_ERROR_UNSUPPORTED  a depthwise window of more than CI_DEPTHWISE_S8_TAPS elements
 *
 * `allowed` limits the instruction sets (CI_ISA_BIT); 0 stands for all that this machine has. */
#ifndef CONV_INFER_OPS_H
#define CONV_INFER_OPS_H

#include "conv_infer/cpu.h"
#include "conv_infer/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How sums become outputs. Ranges: input_offset -127 .. 128, output_offset -128 .. 127, shift -31 .. 30,
 * multiplier not negative. */
typedef struct {
    int32_t input_offset, output_offset;
    const int32_t *multiplier, *shift; /* [output channels] */
    int32_t activation_min, activation_max;
} ci_quantisation_s8;

/* Convolution, dense or in groups. Padding is pad_y rows above and pad_x columns to the left, and as much
 * below and to the right as the output's size asks for; it contributes nothing to a sum.
 *
 * Lowered through the reusable im2row buffer along the longer side of the output. */
typedef struct {
    const int8_t *input; /* [batch][input_height][input_width][input_channels] */
    int32_t batch, input_height, input_width, input_channels;
    const int8_t *filter; /* [output_channels][filter_height][filter_width][input_channels / groups] */
    int32_t output_channels, filter_height, filter_width;
    const int32_t *bias; /* [output_channels], or NULL */
    int8_t *output;      /* [batch][output_height][output_width][output_channels] */
    int32_t output_height, output_width;
    ci_quantisation_s8 quantisation;
    int32_t stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x;
    int32_t groups;
    uint32_t allowed;
} ci_convolve_s8_args;

ci_status ci_convolve_s8_scratch_bytes(const ci_convolve_s8_args *args, int64_t *bytes);
ci_status ci_convolve_s8(const ci_convolve_s8_args *args, void *scratch, int64_t scratch_bytes);

/* Depthwise convolution: output channel c reads input channel c / channel_multiplier. */
typedef struct {
    const int8_t *input;
    int32_t batch, input_height, input_width, input_channels;
    const int8_t *filter; /* [filter_height][filter_width][input_channels * channel_multiplier] */
    int32_t channel_multiplier, filter_height, filter_width;
    const int32_t *bias;
    int8_t *output;
    int32_t output_height, output_width;
    ci_quantisation_s8 quantisation;
    int32_t stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x;
    uint32_t allowed;
} ci_depthwise_conv_s8_args;

ci_status ci_depthwise_conv_s8_scratch_bytes(const ci_depthwise_conv_s8_args *args, int64_t *bytes);
ci_status ci_depthwise_conv_s8(const ci_depthwise_conv_s8_args *args, void *scratch, int64_t scratch_bytes);

/* Transposed convolution: input (y, x) adds its product with filter element (ky, kx) to output
 * (y * stride_y + ky - pad_y, x * stride_x + kx - pad_x), where there is one. Computed as an ordinary
 * convolution for each of the stride_y * stride_x phases of the output. */
typedef struct {
    const int8_t *input;
    int32_t batch, input_height, input_width, input_channels;
    const int8_t *filter; /* [output_channels][filter_height][filter_width][input_channels] */
    int32_t output_channels, filter_height, filter_width;
    const int32_t *bias;
    int8_t *output;
    int32_t output_height, output_width;
    ci_quantisation_s8 quantisation;
    int32_t stride_y, stride_x, pad_y, pad_x;
    uint32_t allowed;
} ci_transpose_conv_s8_args;

ci_status ci_transpose_conv_s8_scratch_bytes(const ci_transpose_conv_s8_args *args, int64_t *bytes);
ci_status ci_transpose_conv_s8(const ci_transpose_conv_s8_args *args, void *scratch, int64_t scratch_bytes);

/* Fully connected layer. filter_offset, -127 .. 128, is added to the weights. */
typedef struct {
    const int8_t *input; /* [batch][input_channels] */
    int32_t batch, input_channels;
    const int8_t *filter; /* [output_channels][input_channels] */
    int32_t output_channels;
    const int32_t *bias;
    int8_t *output; /* [batch][output_channels] */
    ci_quantisation_s8 quantisation;
    int32_t filter_offset;
    uint32_t allowed;
} ci_fully_connected_s8_args;

ci_status ci_fully_connected_s8_scratch_bytes(const ci_fully_connected_s8_args *args, int64_t *bytes);
ci_status ci_fully_connected_s8(const ci_fully_connected_s8_args *args, void *scratch, int64_t scratch_bytes);

/* Pooling. Windows are clipped to the input; an average divides by the elements it really has, rounded to
 * nearest, ties away from zero. A window wholly in the padding is CI_ERROR_ARGUMENT. */
typedef struct {
    const int8_t *input; /* [batch][input_height][input_width][channels] */
    int32_t batch, input_height, input_width, channels;
    int8_t *output; /* [batch][output_height][output_width][channels] */
    int32_t output_height, output_width;
    int32_t filter_height, filter_width, stride_y, stride_x, pad_y, pad_x;
    int32_t activation_min, activation_max;
} ci_pool_s8_args;

ci_status ci_avgpool_s8(const ci_pool_s8_args *args);
ci_status ci_max_pool_s8(const ci_pool_s8_args *args);

/* Softmax of each row of [rows][row_size], scaled to -128 .. 127, in fixed point: differences from the row's
 * greatest value, shifted left by `shift` and multiplied by `multiplier`, are Q5.26; those below diff_min
 * count as -128. */
ci_status ci_softmax_s8(const int8_t *input, int32_t rows, int32_t row_size, int32_t multiplier,
                        int32_t shift, int32_t diff_min, int8_t *output);

/* Elementwise sum: each input plus its offset is shifted left by left_shift, requantised by its own
 * multiplier and shift, and their sum by the output's. left_shift 0 .. 22. */
typedef struct {
    const int8_t *input1, *input2; /* [size] */
    int32_t size;
    int8_t *output;
    int32_t input1_offset, input1_multiplier, input1_shift;
    int32_t input2_offset, input2_multiplier, input2_shift;
    int32_t left_shift;
    int32_t output_offset, output_multiplier, output_shift;
    int32_t activation_min, activation_max;
} ci_elementwise_add_s8_args;

ci_status ci_elementwise_add_s8(const ci_elementwise_add_s8_args *args);

/* Elementwise product of the inputs plus their offsets, requantised. */
typedef struct {
    const int8_t *input1, *input2; /* [size] */
    int32_t size;
    int8_t *output;
    int32_t input1_offset, input2_offset;
    int32_t output_offset, output_multiplier, output_shift;
    int32_t activation_min, activation_max;
} ci_elementwise_mul_s8_args;

ci_status ci_elementwise_mul_s8(const ci_elementwise_mul_s8_args *args);

#ifdef __cplusplus
}
#endif
#endif
