/* Max and average pooling over images: float32, and maxima of int8 and uint8. */
#ifndef CI_STEPS_POOL_H
#define CI_STEPS_POOL_H

#include "conv_infer/microkernel.h"
#include "conv_infer/program.h"

typedef struct {
    const ci_kernel *kernel; /* maxpool_f32, avgpool_f32, maxpool_s8 or maxpool_u8 */
    ci_ref input, output;
    ci_image input_image; /* without its padding, which is not in memory */
    ci_image output_image;
    ci_window window; /* windows may end beyond the padding, but must start before its end */
    int32_t count_include_pad;
    int32_t threads; /* that a run will have: how finely rows are dealt out */
} ci_pool;

/* Checks the kernel, all sizes and where the output lies; not where the input does. Answers as below. */
ci_status ci_pool_check(const ci_program *program, const ci_pool *pool);

/* The kernel's arguments for some rows of one image's output: `input` is that image, `output` the first of
 * the rows. */
ci_pool_args ci_pool_rows(const ci_pool *pool, const void *input, void *output, int32_t first, int32_t rows);
void ci_pool_run(const ci_pool *pool, const ci_pool_args *args);

/* Checks sizes and bounds and appends the step. Answers CI_ERROR_ARGUMENT, CI_ERROR_BOUNDS, CI_ERROR_OVERFLOW
 * or CI_ERROR_MEMORY otherwise. */
ci_status ci_add_pool(ci_program *program, const ci_pool *pool);

#endif
