/* int8 depthwise convolution over a physically padded image: bit for bit what qconv.h computes for groups of
 * one channel. Activations are unsigned bytes (see the stored form in microkernel_s8.h). */
#ifndef CI_STEPS_DEPTHWISE_S8_H
#define CI_STEPS_DEPTHWISE_S8_H

#include "conv_infer/microkernel.h"
#include "conv_infer/program.h"
#include "steps/windows.h"

typedef struct {
    const ci_kernel *kernel; /* depthwise_s8, of a variant that serves the window */
    ci_ref input;            /* the first byte of the padded image */
    ci_ref weights;          /* packed: ci_depthwise_s8_weights() */
    ci_ref bias;             /* int32, zero points folded in, in the kernel's order of channels */
    ci_ref scale;            /* float32, as many; not read where sums are not requantised */
    ci_ref output;           /* bytes, or int32 where sums are not requantised */
    ci_image input_image;    /* its padding included; as many channels as the output */
    ci_image output_image;
    ci_window window;         /* its pads are not read */
    ci_requantise requantise; /* its rule: scale or none; no residual. Its pointers are not read. */
    int32_t threads;          /* that a run will have: how finely rows are dealt out */
} ci_depthwise_s8;

/* The most special variant of the depthwise_s8 kernels that serves a window. */
const char *ci_depthwise_s8_variant(const ci_window *window);

/* Checks that every byte that is touched lies in its buffer (CI_DEPTHWISE_S8_SLACK bytes behind the image
 * included), and appends the step. Answers CI_ERROR_ARGUMENT, CI_ERROR_BOUNDS, CI_ERROR_OVERFLOW or
 * CI_ERROR_MEMORY otherwise. */
ci_status ci_add_depthwise_s8(ci_program *program, const ci_depthwise_s8 *conv);

#endif
