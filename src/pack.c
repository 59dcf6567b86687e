/* Packing of weights. */
#include "pack.h"

#include <string.h>

static int64_t panel_elems(const ci_kernel *kernel, int64_t depth) {
    if (kernel->operation == CI_OPERATION_gemm_dot_f32)
        depth = (depth + CI_GEMM_DOT_STEP - 1) / CI_GEMM_DOT_STEP * CI_GEMM_DOT_STEP;
    if (kernel->operation == CI_OPERATION_gemm_split_f32)
        depth = (depth + kernel->k_step - 1) / kernel->k_step * kernel->k_step;
    return depth * kernel->nr;
}

ci_status ci_packed_gemm_f32_elems(const ci_kernel *kernel, int32_t columns, int32_t depth, int64_t *elems) {
    if (columns < 1 || depth < 1 ||
        (kernel->operation != CI_OPERATION_gemm_f32 && kernel->operation != CI_OPERATION_gemm_dot_f32 &&
         kernel->operation != CI_OPERATION_gemm_split_f32))
        return CI_ERROR_ARGUMENT;
    const int64_t panels = ((int64_t)columns + kernel->nr - 1) / kernel->nr;
    const int64_t elems_each = panel_elems(kernel, depth);
    if (elems_each > INT64_MAX / (int64_t)sizeof(float) / panels)
        return CI_ERROR_OVERFLOW;
    *elems = panels * elems_each;
    return CI_OK;
}

static inline float load(const char *row, int64_t k) {
    float value;
    memcpy(&value, row + k * (int64_t)sizeof value, sizeof value);
    return value;
}

/* `count` columns side by side, `nr` apart from one depth to the next; inlined for a count known in advance.
 */
static inline void pack_columns(const int32_t count, const char *weights, int64_t row_bytes, int32_t depth,
                                const int32_t *depth_order, int32_t nr, float *packed) {
    const char *row[8];
    for (int32_t n = 0; n < count; n++)
        row[n] = weights + n * row_bytes;
    for (int32_t k = 0; k < depth; k++, packed += nr) {
        const int64_t from = depth_order ? depth_order[k] : k;
        for (int32_t n = 0; n < count; n++)
            packed[n] = load(row[n], from);
    }
}

static void pack_panel(const char *row, int64_t row_bytes, int32_t columns, int32_t depth,
                       const int32_t *depth_order, int32_t nr, float *packed) {
    int32_t n = 0;
    for (; n + 8 <= columns; n += 8)
        pack_columns(8, row + n * row_bytes, row_bytes, depth, depth_order, nr, packed + n);
    if (n < columns)
        pack_columns(columns - n, row + n * row_bytes, row_bytes, depth, depth_order, nr, packed + n);
    for (int32_t k = 0; k < depth && columns < nr; k++)
        memset(packed + (int64_t)k * nr + columns, 0, (size_t)(nr - columns) * sizeof *packed);
}

static void pack_dot_panel(const char *row, int64_t row_bytes, int32_t columns, int32_t depth,
                           const int32_t *depth_order, int64_t elems, int32_t nr, float *packed) {
    memset(packed, 0, (size_t)elems * sizeof *packed);
    for (int32_t n = 0; n < columns; n++) {
        float *to = packed + n * (elems / nr);
        for (int32_t k = 0; k < depth; k++)
            to[k] = load(row + n * row_bytes, depth_order ? depth_order[k] : k);
    }
}

static void pack_split_panel(const char *row, int64_t row_bytes, int32_t columns, int32_t depth,
                             const int32_t *depth_order, int64_t elems, const ci_kernel *kernel,
                             float *packed) {
    const int64_t step = kernel->k_step;
    memset(packed, 0, (size_t)elems * sizeof *packed);
    for (int32_t n = 0; n < columns; n++) {
        for (int32_t k = 0; k < depth; k++)
            packed[(k / step * kernel->nr + n) * step + k % step] =
                load(row + n * row_bytes, depth_order ? depth_order[k] : k);
    }
}

void ci_pack_gemm_f32(const ci_kernel *kernel, const void *weights, int64_t row_stride, int32_t columns,
                      int32_t depth, const int32_t *depth_order, float *packed) {
    const int64_t row_bytes = row_stride * (int64_t)sizeof(float), elems = panel_elems(kernel, depth);
    const int32_t nr = kernel->nr;
    for (int32_t first = 0; first < columns; first += nr, packed += elems) {
        const int32_t here = columns - first < nr ? columns - first : nr;
        const char *rows = (const char *)weights + first * row_bytes;
        if (kernel->operation == CI_OPERATION_gemm_dot_f32)
            pack_dot_panel(rows, row_bytes, here, depth, depth_order, elems, nr, packed);
        else if (kernel->operation == CI_OPERATION_gemm_split_f32)
            pack_split_panel(rows, row_bytes, here, depth, depth_order, elems, kernel, packed);
        else
            pack_panel(rows, row_bytes, here, depth, depth_order, nr, packed);
    }
}
