/* float32 convolution in narrow groups, portable C: one output pixel of sixteen channels at a time. */
#include "conv_infer/microkernel.h"
#include "simd_f32_scalar.h"

#include "activation_f32.inc.h"

enum { CHANNELS = 16 };

/* Adds to sum[d][c] what input channel c gives the output channel d further on in its group. */
CI_INLINE void add_window(const ci_grouped_f32_args *args, const float *window, const float *weights,
                          int32_t channels, float sum[][CHANNELS], const int group) {
    for (int32_t i = 0; i < args->kernel_height; i++) {
        for (int32_t j = 0; j < args->kernel_width; j++) {
            const float *pixel =
                window + i * args->dilation_y * args->input_row + j * args->dilation_x * args->input_pixel;
            for (int d = 0; d < group; d++, weights += CHANNELS) {
                for (int32_t c = 0; c < channels; c++)
                    sum[d][c] += pixel[c] * weights[c];
            }
        }
    }
}

CI_INLINE void grouped(const ci_grouped_f32_args *args, const int group) {
    const vf_activation activation = vf_activation_of(&args->activation);
    const int64_t block = (int64_t)args->kernel_height * args->kernel_width * group * CHANNELS;
    for (int32_t y = 0; y < args->rows; y++) {
        for (int32_t x = 0; x < args->width; x++) {
            const float *window =
                args->input + y * args->stride_y * args->input_row + x * args->stride_x * args->input_pixel;
            float *output = args->output + y * args->output_row + x * args->output_pixel;
            const float *residual =
                args->residual ? args->residual + y * args->residual_row + x * args->residual_pixel : NULL;
            for (int32_t first = 0; first < args->channels; first += CHANNELS) {
                const int32_t channels =
                    args->channels - first < CHANNELS ? args->channels - first : CHANNELS;
                float sum[8][CHANNELS] = {{0}};
                add_window(args, window + first, args->weights + first / CHANNELS * block, channels, sum,
                           group);
                for (int32_t c = 0; c < channels; c++) {
                    float total = args->bias[first + c];
                    for (int d = 0; d < group; d++)
                        total += sum[d][c / group * group + (c % group + group - d) % group];
                    if (residual)
                        total += residual[first + c];
                    output[first + c] = vf_activate(total, &activation);
                }
            }
        }
    }
}

void ci_grouped_f32_w2_scalar(const ci_grouped_f32_args *args) {
    grouped(args, 2);
}

void ci_grouped_f32_w4_scalar(const ci_grouped_f32_args *args) {
    grouped(args, 4);
}

void ci_grouped_f32_w8_scalar(const ci_grouped_f32_args *args) {
    grouped(args, 8);
}
