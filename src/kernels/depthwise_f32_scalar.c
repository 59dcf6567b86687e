/* float32 depthwise convolution, portable C. Sums run over the taps in order, sixteen channels side by side.
 */
#include "conv_infer/microkernel.h"
#include "simd_f32_scalar.h"

#include "activation_f32.inc.h"

enum { CHANNELS = 16 };

void ci_depthwise_f32_any_scalar(const ci_depthwise_f32_args *args) {
    const vf_activation activation = vf_activation_of(&args->activation);
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
                float sum[CHANNELS];
                for (int32_t c = 0; c < channels; c++)
                    sum[c] = args->bias[first + c];
                const float *weights = args->weights + first;
                for (int32_t i = 0; i < args->kernel_height; i++) {
                    for (int32_t j = 0; j < args->kernel_width; j++) {
                        const float *pixel = window + i * args->dilation_y * args->input_row +
                                             j * args->dilation_x * args->input_pixel;
                        if (args->multiplier == 1) {
                            for (int32_t c = 0; c < channels; c++)
                                sum[c] += pixel[first + c] * weights[c];
                        } else {
                            for (int32_t c = 0; c < channels; c++)
                                sum[c] += pixel[(first + c) / args->multiplier] * weights[c];
                        }
                        weights += args->weights_row;
                    }
                }
                for (int32_t c = 0; c < channels; c++) {
                    if (residual)
                        sum[c] += residual[first + c];
                    output[first + c] = vf_activate(sum[c], &activation);
                }
            }
        }
    }
}
