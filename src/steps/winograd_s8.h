/* int8 convolution, 3x3 with stride 1, dense, by Winograd's F(2x2, 3x3): bit for bit what qconv.h computes.
 * Method and arithmetic: see ci_winograd_s8_args in microkernel_s8.h. */
#ifndef CI_STEPS_WINOGRAD_S8_H
#define CI_STEPS_WINOGRAD_S8_H

#include "conv_infer/microkernel.h"
#include "conv_infer/program.h"
#include "rows.h"

/* Strides are in bytes, which are elements. */
typedef struct {
    const ci_kernel *kernel;       /* winograd_s8 */
    ci_ref input;                  /* of the first byte of the first window (which may lie in the padding) */
    ci_ref weights;                /* transformed, every panel */
    ci_ref bias;                   /* int32, zero points folded in; columns rounded up to whole panels */
    ci_ref scale;                  /* float32, as many */
    ci_ref output;                 /* unsigned bytes */
    ci_ref residual;               /* CI_SLOT_NONE: none */
    int32_t images, height, width; /* of the output; height and width at least 2 */
    int32_t depth, columns;        /* channels of input and output */
    ci_row_strides input_strides, output_strides, residual_strides;
    ci_requantise requantise;                 /* its rule is scale. Its pointers are not read. */
    int32_t tiles_per_task, columns_per_task; /* the latter a multiple of the kernel's nr */
} ci_winograd_s8;

/* Checks that every byte that is touched lies in its buffer, and appends the step. Answers CI_ERROR_ARGUMENT,
 * CI_ERROR_BOUNDS, CI_ERROR_OVERFLOW or CI_ERROR_MEMORY otherwise. */
ci_status ci_add_winograd_s8(ci_program *program, const ci_winograd_s8 *conv);

#endif
