/* A convolution in float32 and int8 with the installed C library, by every form of lowering: sizes by query,
 * memory of the caller's.
 *
 *     include=$(python -c 'import conv_infer; print(conv_infer.get_include())')
 *     library=$(python -c 'import conv_infer; print(conv_infer.get_library())')
 *     cc -I"$include" docs/examples/convolution.c "$library" -fopenmp -lm -o convolution && ./convolution
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv_infer/conv2d.h"

enum { SIZE = 12, CHANNELS = 8, COLUMNS = 20, KERNEL = 3, ELEMS = SIZE * SIZE * COLUMNS };

static float image[SIZE * SIZE * CHANNELS], weights[COLUMNS * KERNEL * KERNEL * CHANNELS], output[ELEMS];
static int8_t image_s8[SIZE * SIZE * CHANNELS], weights_s8[COLUMNS * KERNEL * KERNEL * CHANNELS];
static int8_t output_s8[ELEMS];
static int32_t multiplier[COLUMNS], shift[COLUMNS];

/* Both 3x3 with a padding of 1, so that the output is as large as the input. 0 where something failed. */
static int convolve(ci_lowering_form form) {
    const ci_conv2d_args args = {
        .element = CI_ELEMENT_F32,
        .input = image,
        .images = 1,
        .height = SIZE,
        .width = SIZE,
        .channels = CHANNELS,
        .weights = weights,
        .columns = COLUMNS,
        .output = output,
        .window = {KERNEL, KERNEL, 1, 1, 1, 1, 1, 1, 1, 1},
        .groups = 1,
        .form = form,
        .strip = 4,
        .activation = {CI_ACTIVATION_CLAMP, 0.0f, 6.0f},
        .threads = 1,
    };
    int64_t bytes;
    if (ci_conv2d_scratch_bytes(&args, &bytes) != CI_OK)
        return 0;
    void *scratch = aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
    const int done = scratch && ci_conv2d(&args, scratch, bytes - 1) == CI_ERROR_SCRATCH &&
                     ci_conv2d(&args, scratch, bytes) == CI_OK;
    free(scratch);

    const ci_conv2d_s8_args args_s8 = {
        .convolution =
            {
                .input = image_s8,
                .batch = 1,
                .input_height = SIZE,
                .input_width = SIZE,
                .input_channels = CHANNELS,
                .filter = weights_s8,
                .output_channels = COLUMNS,
                .filter_height = KERNEL,
                .filter_width = KERNEL,
                .output = output_s8,
                .output_height = SIZE,
                .output_width = SIZE,
                .quantisation = {5, -3, multiplier, shift, -128, 127},
                .stride_y = 1,
                .stride_x = 1,
                .pad_y = 1,
                .pad_x = 1,
                .dilation_y = 1,
                .dilation_x = 1,
                .groups = 1,
            },
        .form = form,
        .strip = 4,
    };
    int64_t bytes_s8;
    if (!done || ci_conv2d_s8_scratch_bytes(&args_s8, &bytes_s8) != CI_OK)
        return 0;
    scratch = malloc((size_t)bytes_s8);
    const int done_s8 = scratch && ci_conv2d_s8(&args_s8, scratch, bytes_s8 - 1) == CI_ERROR_SCRATCH &&
                        ci_conv2d_s8(&args_s8, scratch, bytes_s8) == CI_OK;
    free(scratch);
    printf("%-13s %7ld bytes of scratch in float32, %7ld in int8\n", ci_lowering_name(form), (long)bytes,
           (long)bytes_s8);
    return done_s8;
}

int main(void) {
    static float expected[ELEMS];
    static int8_t expected_s8[ELEMS];
    for (int index = 0; index < SIZE * SIZE * CHANNELS; index++)
        image[index] = (float)(image_s8[index] = (int8_t)(index % 17 - 8));
    for (int index = 0; index < COLUMNS * KERNEL * KERNEL * CHANNELS; index++)
        weights[index] = (float)(weights_s8[index] = (int8_t)(index % 11 - 5)) / 64.0f;
    for (int index = 0; index < COLUMNS; index++) {
        multiplier[index] = 1 << 30; /* halved, and 2^-3 of that */
        shift[index] = -3;
    }
    int differences = 0;
    for (int form = 0; form < CI_LOWERING_COUNT; form++) {
        if (!convolve((ci_lowering_form)form)) {
            printf("%s failed\n", ci_lowering_name((ci_lowering_form)form));
            return 1;
        }
        if (form == 0) {
            memcpy(expected, output, sizeof output);
            memcpy(expected_s8, output_s8, sizeof output_s8);
        }
        differences += memcmp(expected, output, sizeof output) != 0;
        differences += memcmp(expected_s8, output_s8, sizeof output_s8) != 0;
    }
    printf("%d differences\n", differences);
    return differences != 0;
}
