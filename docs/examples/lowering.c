/* One convolution through each form of lowering, in memory of the caller's: no Python, no library but two
 * files.
 *
 *     cc -Iinclude docs/examples/lowering.c src/lowering.c src/lowering_forms.c -o lowering && ./lowering
 */
#include <stdio.h>
#include <stdlib.h>

#include "conv_infer/lowering.h"

enum { HEIGHT = 6, WIDTH = 6, CHANNELS = 2, KERNEL = 3, PAD = 1 };

/* The sum of one row's products with the weights [KERNEL][KERNEL][CHANNELS]. */
static float row_product(const ci_lowered *lowered, int32_t row, const float *weights) {
    const float *a = lowered->a;
    float sum = 0;
    for (int32_t ky = 0; ky < KERNEL; ky++)
        for (int32_t kx = 0; kx < KERNEL; kx++)
            for (int32_t c = 0; c < CHANNELS; c++) {
                int64_t at = row / lowered->run * lowered->run_step + row % lowered->run * lowered->lda +
                             ky * lowered->depth_y + kx * lowered->depth_x;
                if (lowered->taps)
                    at = lowered->taps[(ky * KERNEL + kx) * lowered->rows + row];
                sum += a[at + c] * *weights++;
            }
    return sum;
}

int main(void) {
    float image[HEIGHT * WIDTH * CHANNELS], weights[KERNEL * KERNEL * CHANNELS], expected[HEIGHT * WIDTH];
    for (int index = 0; index < HEIGHT * WIDTH * CHANNELS; index++)
        image[index] = (float)(index % 7 - 3);
    for (int index = 0; index < KERNEL * KERNEL * CHANNELS; index++)
        weights[index] = (float)(index % 5 - 2);

    const float zero = 0.0f;
    const ci_window window = {KERNEL, KERNEL, 1, 1, 1, 1, PAD, PAD, PAD, PAD};
    const ci_pixels pixels = {
        image, WIDTH * CHANNELS * sizeof(float), CHANNELS * sizeof(float), sizeof(float), 0, &zero};
    int differences = 0;
    for (int form = 0; form < CI_LOWERING_COUNT; form++) {
        ci_lowering plan;
        if (ci_lowering_plan((ci_lowering_form)form, HEIGHT, WIDTH, CHANNELS, &window, 1, CI_FRAME_COPIED,
                             &plan) != CI_OK)
            return 1;
        const int64_t bytes = ci_lowering_buffer_bytes(&plan, sizeof(float));
        void *buffer = malloc((size_t)bytes);
        ci_lowered lowered;
        if (!buffer || ci_lowering_fill(&plan, 0, &pixels, buffer, bytes - 1, &lowered) != CI_ERROR_SCRATCH)
            return 1;
        for (int32_t gemm = 0; gemm < plan.gemms; gemm++) {
            if (ci_lowering_fill(&plan, gemm, &pixels, buffer, bytes, &lowered) != CI_OK)
                return 1;
            for (int32_t row = 0; row < lowered.rows; row++) {
                const int64_t output = lowered.output + row / lowered.run * lowered.output_run_step +
                                       row % lowered.run * lowered.output_step;
                const float product = row_product(&lowered, row, weights);
                if (form == CI_LOWERING_IM2ROW)
                    expected[output] = product;
                else
                    differences += product != expected[output];
            }
        }
        printf("%-13s %4ld bytes, %4ld elements copied, %2d products\n", ci_lowering_name(plan.form),
               (long)bytes, (long)(plan.copied_elems + plan.frame_elems), plan.gemms);
        free(buffer);
    }
    printf("%d differences\n", differences);
    return differences != 0;
}
