/* Which taps of a pooling window lie in the image. */
#ifndef CONV_INFER_KERNELS_POOL_TAPS_H
#define CONV_INFER_KERNELS_POOL_TAPS_H

#include "compiler.h"
#include "conv_infer/microkernel.h"

/* Along one axis: the taps first .. end - 1, where the first of them reads, and how
 * many count in a mean. */
typedef struct {
    int32_t first, end;
    int32_t position;
    int32_t counted;
} pool_taps;

/* How many of the window's taps lie before `distance` from its start. */
CI_INLINE int32_t pool_taps_before(int64_t distance, int32_t kernel, int32_t dilation) {
    if (distance <= 0)
        return 0;
    if (distance > (int64_t)(kernel - 1) * dilation) /* all: the usual case, without a division */
        return kernel;
    return (int32_t)((distance + dilation - 1) / dilation);
}

/* The window starts at `start`, counted from the image's first element and so often negative. */
CI_INLINE pool_taps pool_taps_of(int64_t start, int32_t size, int32_t kernel, int32_t dilation,
                                 int32_t pad_end, int32_t count_include_pad) {
    pool_taps taps;
    taps.first = pool_taps_before(-start, kernel, dilation);
    taps.end = pool_taps_before(size - start, kernel, dilation);
    taps.position = taps.end > taps.first ? (int32_t)(start + (int64_t)taps.first * dilation) : 0;
    taps.counted = count_include_pad ? pool_taps_before((int64_t)size + pad_end - start, kernel, dilation)
                                     : taps.end - taps.first;
    return taps;
}

CI_INLINE pool_taps pool_rows_of(const ci_pool_args *args, int32_t y) {
    const ci_window *window = &args->window;
    return pool_taps_of(((int64_t)args->first_row + y) * window->stride_y - window->pad_top,
                        args->input_height, window->kernel_height, window->dilation_y, window->pad_bottom,
                        args->count_include_pad);
}

CI_INLINE pool_taps pool_columns_of(const ci_pool_args *args, int32_t x) {
    const ci_window *window = &args->window;
    return pool_taps_of((int64_t)x * window->stride_x - window->pad_left, args->input_width,
                        window->kernel_width, window->dilation_x, window->pad_right, args->count_include_pad);
}

/* The first output column whose window has all its columns in the image, and the end of those. */
CI_INLINE int32_t pool_inside_of(const ci_pool_args *args, int32_t *end) {
    const ci_window *window = &args->window;
    const int64_t reach = (int64_t)(window->kernel_width - 1) * window->dilation_x + 1;
    const int64_t last = (int64_t)args->input_width + window->pad_left - reach;
    const int64_t count = last < 0 ? 0 : last / window->stride_x + 1;
    *end = count < args->width ? (int32_t)count : args->width;
    return (int32_t)(((int64_t)window->pad_left + window->stride_x - 1) / window->stride_x);
}

/* What one output of a mean is multiplied with. */
CI_INLINE float pool_scale(pool_taps rows, pool_taps columns) {
    const float counted = (float)rows.counted * (float)columns.counted;
    return counted > 0.0f ? 1.0f / counted : 0.0f;
}

#endif
