/* int8 depthwise convolution, portable C. Packed b: int16 [channel][tap]. */
#include "conv_infer/microkernel.h"
#include "requantise.h"

static int32_t sum_of_window(const ci_depthwise_s8_args *args, int32_t y, int32_t x, int32_t channel) {
    const int32_t taps = args->kernel_height * args->kernel_width;
    const int16_t *b = (const int16_t *)args->b + (int64_t)channel * taps;
    uint32_t sum = (uint32_t)args->bias[channel];
    for (int32_t ky = 0; ky < args->kernel_height; ky++) {
        const uint8_t *a = args->a + args->a_row[y * args->stride_y + ky * args->dilation_y] +
                           (int64_t)x * args->stride_x * args->a_pixel_stride + channel;
        for (int32_t kx = 0; kx < args->kernel_width; kx++)
            sum += (uint32_t)(a[kx * args->dilation_x * args->a_pixel_stride] * *b++);
    }
    return (int32_t)sum;
}

static void depthwise(const ci_depthwise_s8_args *args) {
    for (int32_t y = 0; y < args->height; y++) {
        for (int32_t x = 0; x < args->width; x++) {
            const int64_t offset = y * args->c_row_stride + x * args->c_pixel_stride;
            for (int32_t channel = 0; channel < args->channels; channel++) {
                const int32_t sum = sum_of_window(args, y, x, channel);
                if (args->requantise.rule == CI_REQUANTISE_NONE)
                    ((int32_t *)args->c)[offset + channel] = sum;
                else
                    ((uint8_t *)args->c)[offset + channel] =
                        (uint8_t)(ci_requantise_sum(&args->requantise, channel, sum) ^ args->requantise.flip);
            }
        }
    }
}

void ci_depthwise_s8_any_scalar(const ci_depthwise_s8_args *args) {
    depthwise(args);
}

void ci_depthwise_s8_3x3_scalar(const ci_depthwise_s8_args *args) {
    depthwise(args);
}
