/* Depthwise convolution, float32, over a physically padded input. */
#ifndef CI_STEPS_DEPTHWISE_H
#define CI_STEPS_DEPTHWISE_H

#include "steps/direct_conv.h"

typedef struct {
    ci_direct_conv conv; /* its kernel: depthwise_f32, of a variant that serves the window. The output has a
                            multiple of the input's channels. */
    int64_t weights_row; /* see ci_depthwise_weights_row (pack_depthwise.h) */
} ci_depthwise;

/* Checks sizes and bounds and appends the step. Answers CI_ERROR_ARGUMENT, CI_ERROR_BOUNDS, CI_ERROR_OVERFLOW
 * or CI_ERROR_MEMORY otherwise. */
ci_status ci_add_depthwise(ci_program *program, const ci_depthwise *depthwise);

/* That the kernel serves the window, and that the packed weights lie in their buffer. */
ci_status ci_depthwise_check_weights(const ci_program *program, const ci_depthwise *depthwise);

/* Runs the kernel over some rows. */
void ci_depthwise_run(const ci_depthwise *depthwise, const ci_run *run, const ci_direct_rows *rows);

/* The most special variant of the depthwise_f32 kernels that serves a window and channel multiplier. */
const char *ci_depthwise_variant(const ci_window *window, int32_t multiplier);

#endif
