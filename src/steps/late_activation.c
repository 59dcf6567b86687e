/* Activations over rows that a convolution has just finished. */
#include "steps/late_activation.h"

#include <math.h>

ci_activation ci_early_activation(const ci_activation *activation) {
    const ci_activation none = {CI_ACTIVATION_CLAMP, -INFINITY, INFINITY};
    return ci_is_late(activation) ? none : *activation;
}

ci_status ci_check_late_activation(const ci_activation *activation, const ci_kernel *late) {
    if (activation->kind < 0 || activation->kind >= CI_ACTIVATION_COUNT ||
        (ci_is_late(activation) && (!late || late->operation != CI_OPERATION_activation_f32)))
        return CI_ERROR_ARGUMENT;
    return CI_OK;
}

void ci_activate_pixels(const ci_kernel *late, const ci_activation *activation, float *pixels, int64_t count,
                        int64_t pixel, int64_t columns) {
    const int is_run = pixel == columns;
    const ci_activation_f32_args args = {
        .rows = is_run ? 1 : count,
        .columns = is_run ? count * columns : columns,
        .x = pixels,
        .x_row_stride = pixel,
        .y = pixels,
        .y_row_stride = pixel,
        .activation = *activation,
    };
    ((ci_activation_f32_fn *)late->function)(&args);
}
