/* float32 pooling, vectorised over channels; the body of every instruction set.
 *
 * The including file names the kernels: CI_POOL(operation). Each output pixel is computed by itself, up to
 * four vectors of channels at a time; whole windows of 2x2 and 3x3 are unrolled. Channels past the last full
 * vector: a vector that ends with the last channel, overlapping the one before, or a partial one where there
 * are fewer channels than lanes.
 */
#include <float.h>

#include "pool_taps.h"

typedef enum { POOL_MAX, POOL_MEAN } pool_kind;

/* The taps of one output pixel: how many, and how far apart in elements. */
typedef struct {
    int32_t rows, columns;
    int64_t row, column;
} pool_shape;

/* vf_max(tap, so far) is the tap where either is NaN, as the contract says. */
CI_INLINE vf pool_join(vf so_far, vf tap, const pool_kind kind) {
    return kind == POOL_MAX ? vf_max(tap, so_far) : vf_add(so_far, tap);
}

/* `vectors` vectors of one output pixel, or the first n lanes of one. `kernel`: a compile-time size of the
 * window, or 0.
 */
CI_INLINE void pool_vectors(const float *input, float *output, const pool_shape *shape, vf scale, int32_t n,
                            const int vectors, const pool_kind kind, const int kernel) {
    vf result[4];
    const int32_t rows = kernel ? kernel : shape->rows, columns = kernel ? kernel : shape->columns;
    CI_UNROLL
    for (int v = 0; v < vectors; v++)
        result[v] = n == VF_LANES ? vf_load(input + v * VF_LANES) : vf_load_n(input, n);
    if (kernel) {
        CI_UNROLL
        for (int tap = 1; tap < kernel * kernel; tap++) {
            const float *from = input + tap / kernel * shape->row + tap % kernel * shape->column;
            CI_UNROLL
            for (int v = 0; v < vectors; v++)
                result[v] = pool_join(
                    result[v], n == VF_LANES ? vf_load(from + v * VF_LANES) : vf_load_n(from, n), kind);
        }
    } else {
        for (int32_t i = 0; i < rows; i++, input += shape->row) {
            for (int32_t j = i == 0; j < columns; j++) {
                const float *from = input + j * shape->column;
                CI_UNROLL
                for (int v = 0; v < vectors; v++)
                    result[v] = pool_join(
                        result[v], n == VF_LANES ? vf_load(from + v * VF_LANES) : vf_load_n(from, n), kind);
            }
        }
    }
    CI_UNROLL
    for (int v = 0; v < vectors; v++) {
        if (kind == POOL_MEAN)
            result[v] = vf_mul(result[v], scale);
        if (n == VF_LANES)
            vf_store(output + v * VF_LANES, result[v]);
        else
            vf_store_n(output, result[v], n);
    }
}

CI_INLINE void pool_pixel(const float *input, float *output, int32_t channels, const pool_shape *shape,
                          float scale, const pool_kind kind, const int kernel) {
    const vf scales = vf_set1(scale);
    if (channels < VF_LANES) {
        pool_vectors(input, output, shape, scales, channels, 1, kind, kernel);
        return;
    }
    int32_t c = 0;
    for (; c + 4 * VF_LANES <= channels; c += 4 * VF_LANES)
        pool_vectors(input + c, output + c, shape, scales, VF_LANES, 4, kind, kernel);
    for (; c < channels; c += VF_LANES) {
        const int32_t from = c + VF_LANES <= channels ? c : channels - VF_LANES;
        pool_vectors(input + from, output + from, shape, scales, VF_LANES, 1, kind, kernel);
    }
}

CI_INLINE void pool_empty(float *output, int32_t channels, const pool_kind kind) {
    for (int32_t c = 0; c < channels; c++)
        output[c] = kind == POOL_MAX ? -FLT_MAX : 0.0f;
}

/* `count` output pixels with the same taps, `step` elements apart. */
CI_INLINE void pool_inside(const ci_pool_args *args, const float *input, float *output, int32_t count,
                           int64_t step, const pool_shape *shape, float scale, const pool_kind kind,
                           const int kernel) {
    for (int32_t x = 0; x < count; x++, input += step, output += args->output_pixel)
        pool_pixel(input, output, args->channels, shape, scale, kind, kernel);
}

CI_INLINE void pool(const ci_pool_args *args, const pool_kind kind) {
    const ci_window *window = &args->window;
    pool_shape shape = {.row = window->dilation_y * args->input_row,
                        .column = window->dilation_x * args->input_pixel};
    const int64_t step = window->stride_x * args->input_pixel;
    int32_t inside_end;
    const int32_t inside_first = pool_inside_of(args, &inside_end);
    for (int32_t y = 0; y < args->rows; y++) {
        const pool_taps rows = pool_rows_of(args, y);
        const float *row = (const float *)args->input + rows.position * args->input_row;
        float *output = (float *)args->output + y * args->output_row;
        shape.rows = rows.end - rows.first;
        for (int32_t x = 0; x < args->width; x++, output += args->output_pixel) {
            const pool_taps columns = pool_columns_of(args, x);
            const float *input = row + columns.position * args->input_pixel;
            const float scale = pool_scale(rows, columns);
            shape.columns = columns.end - columns.first;
            if (shape.rows < 1 || shape.columns < 1) {
                pool_empty(output, args->channels, kind);
                continue;
            }
            const int32_t count = x == inside_first && inside_end > x ? inside_end - x : 1;
            if (shape.rows == 3 && shape.columns == 3)
                pool_inside(args, input, output, count, step, &shape, scale, kind, 3);
            else if (shape.rows == 2 && shape.columns == 2)
                pool_inside(args, input, output, count, step, &shape, scale, kind, 2);
            else
                pool_inside(args, input, output, count, step, &shape, scale, kind, 0);
            x += count - 1;
            output += (count - 1) * args->output_pixel;
        }
    }
}

void CI_POOL(maxpool)(const ci_pool_args *args) {
    pool(args, POOL_MAX);
}

void CI_POOL(avgpool)(const ci_pool_args *args) {
    pool(args, POOL_MEAN);
}
