/* Depthwise convolution, float32, over a physically padded input. */
#ifndef CI_STEPS_DEPTHWISE_H
#define CI_STEPS_DEPTHWISE_H

#include "conv_infer/microkernel.h"
#include "conv_infer/program.h"

typedef struct {
    const ci_kernel *kernel; /* depthwise_f32, of a variant that serves this geometry */
    ci_ref input, weights, bias, output;
    ci_ref residual;          /* CI_SLOT_NONE: none. Has the output's sizes. */
    ci_image input_image;     /* its padding included */
    ci_image output_image;    /* as many channels as multiplier * the input's */
    ci_image residual_image;  /* only its strides are read */
    ci_window window;         /* its pads are not read */
    int64_t weights_row;      /* see ci_depthwise_weights_row (pack_depthwise.h) */
    ci_activation activation; /* at most CI_ACTIVATION_LAST_FUSED */
    int32_t threads;          /* that a run will have: how finely rows are dealt out */
} ci_depthwise;

/* Checks sizes and bounds and appends the step. Answers CI_ERROR_ARGUMENT, CI_ERROR_BOUNDS, CI_ERROR_OVERFLOW
 * or CI_ERROR_MEMORY otherwise. */
ci_status ci_add_depthwise(ci_program *program, const ci_depthwise *depthwise);

/* The most special variant of the depthwise_f32 kernels that serves a window and channel multiplier. */
const char *ci_depthwise_variant(const ci_window *window, int32_t multiplier);

#endif
