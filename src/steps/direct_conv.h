/* What the convolutions have in common that read their windows straight from a physically padded input and
 * write whole rows of all channels: depthwise, and in narrow groups. */
#ifndef CI_STEPS_DIRECT_CONV_H
#define CI_STEPS_DIRECT_CONV_H

#include "conv_infer/microkernel.h"
#include "conv_infer/program.h"
#include "steps/late_activation.h"
#include "steps/windows.h"

typedef struct {
    const ci_kernel *kernel;
    ci_ref input, weights, bias, output; /* weights packed, the bias padded to a multiple of 16 channels */
    ci_ref residual;                     /* CI_SLOT_NONE: none. Has the output's sizes. */
    ci_image input_image;                /* its padding included */
    ci_image output_image, residual_image;
    ci_window window; /* its pads are not read */
    ci_activation activation;
    const ci_kernel *late_activation; /* NULL where the kernel applies it: see late_activation.h */
    int32_t threads;                  /* that a run will have: how finely rows are dealt out */
} ci_direct_conv;

/* Checks the sizes, that windows fit, and the bias: what does not depend on where images lie. */
ci_status ci_check_direct_window(const ci_program *program, const ci_direct_conv *conv);

/* The same and the images: everything but the kernel, the weights and how the numbers of channels fit. Gives
 * the residual's image the output's sizes. */
ci_status ci_check_direct_conv(const ci_program *program, ci_direct_conv *conv);

/* How its rows are dealt out: in pairs, for that is how the kernels like them. `depth` is what one output
 * element takes in multiply-adds. */
ci_row_split ci_split_direct_conv(const ci_direct_conv *conv, int64_t depth);

/* Some rows of one image. */
typedef struct {
    int32_t rows;
    const float *input, *residual;
    float *output;
} ci_direct_rows;

ci_direct_rows ci_direct_rows_of(const ci_direct_conv *conv, const ci_row_split *split, const ci_run *run,
                                 int32_t task);

/* The next of `rows` to compute at once: all that are left, or what stays in the cache until a late
 * activation has passed over it. */
ci_direct_rows ci_next_direct_rows(const ci_direct_conv *conv, const ci_direct_rows *rows, int32_t done);

/* The late activation, if there is one, over rows just computed. */
void ci_activate_direct_rows(const ci_direct_conv *conv, const ci_direct_rows *rows);

/* Channels rounded up to 16: what packed weights and biases are padded to. */
static inline int64_t ci_padded_channels(int32_t channels) {
    return ((int64_t)channels + 15) / 16 * 16;
}

#endif
