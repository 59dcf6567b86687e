/* Activations that a convolution's kernel does not apply in registers: over the rows that it has just
 * finished, while they are in the cache. */
#ifndef CI_STEPS_LATE_ACTIVATION_H
#define CI_STEPS_LATE_ACTIVATION_H

#include "conv_infer/microkernel.h"
#include "conv_infer/program.h"

enum { CI_LATE_BYTES = 1 << 16 }; /* of output that a step should finish before it applies one */

static inline int ci_is_late(const ci_activation *activation) {
    return activation->kind > CI_ACTIVATION_LAST_FUSED;
}

/* What the kernel applies itself. */
ci_activation ci_early_activation(const ci_activation *activation);

/* CI_ERROR_ARGUMENT unless the kernel of a convolution applies the activation or `late`, one of
 * activation_f32, does.
 */
ci_status ci_check_late_activation(const ci_activation *activation, const ci_kernel *late);

/* In place, on `count` pixels of `columns` channels; the pixels are `pixel` elements apart. */
void ci_activate_pixels(const ci_kernel *late, const ci_activation *activation, float *pixels, int64_t count,
                        int64_t pixel, int64_t columns);

#endif
