/* The body of the float32 GEMM kernels whose sums are split over lanes (ci_gemm_split_f32_fn in
 * conv_infer/microkernel.h), written in the vector vocabulary. Included once per tile shape, with
 *
 *     SPLIT_NAME      the kernel's name
 *     SPLIT_MR        rows of the largest tile, at most 16
 *     SPLIT_VECTORS   vectors per row
 *     SPLIT_STEP      depths side by side in a vector: 2 or 4
 *
 * A vector holds SPLIT_STEP depths of VF_LANES / SPLIT_STEP columns, so that columns which do not fill whole
 * vectors by themselves do, and one load brings that many elements of a row. In the end the lanes of each
 * column are added up, neighbours first.
 *
 * Numerics: SPLIT_STEP partial sums, depth in order in each, then the bias. They depend neither on the tile
 * nor on the place in it.
 */
#include "activation_f32.inc.h"
#include "conv_infer/microkernel.h"

#define SPLIT_JOIN_(a, b) a##_##b
#define SPLIT_JOIN(a, b) SPLIT_JOIN_(a, b)
#define SPLIT_FN(rows) SPLIT_JOIN(SPLIT_NAME, rows)
#define SPLIT_NR (SPLIT_VECTORS * VF_LANES / SPLIT_STEP)
#define SPLIT_RESULTS ((SPLIT_NR + VF_LANES - 1) / VF_LANES)

/* One row's sums, added up to SPLIT_RESULTS vectors of columns. */
CI_INLINE void SPLIT_FN(fold)(const vf sum[SPLIT_VECTORS], vf result[SPLIT_RESULTS]) {
    CI_UNROLL
    for (int v = 0; v < SPLIT_RESULTS; v++) {
        vf part[SPLIT_STEP];
        CI_UNROLL
        for (int s = 0; s < SPLIT_STEP; s++) {
            const int at = v * SPLIT_STEP + s;
            part[s] = at < SPLIT_VECTORS ? sum[at] : vf_zero();
        }
        if (SPLIT_STEP == 2)
            result[v] = vf_add_pairs(part[0], part[1]);
        else
            result[v] = vf_add_pairs(vf_add_pairs(part[0], part[1]),
                                     vf_add_pairs(part[SPLIT_STEP - 2], part[SPLIT_STEP - 1]));
    }
}

CI_INLINE vf SPLIT_FN(load)(const float *a) {
    return SPLIT_STEP == 2 ? vf_repeat2(a) : vf_repeat4(a);
}

CI_INLINE void SPLIT_FN(tile)(const int rows, const ci_gemm_f32_args *args, const vf_activation *activation,
                              int32_t first, const char *prefetch, int64_t prefetch_step) {
    const float *row[SPLIT_MR];
    vf sum[SPLIT_MR][SPLIT_VECTORS];
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        row[r] = args->a + args->a_row[first + r];
        CI_UNROLL
        for (int v = 0; v < SPLIT_VECTORS; v++)
            sum[r][v] = vf_zero();
    }
#define SPLIT_SUM_UP(VALUE)                                                                                  \
    do {                                                                                                     \
        vf column[SPLIT_VECTORS];                                                                            \
        CI_UNROLL                                                                                            \
        for (int v = 0; v < SPLIT_VECTORS; v++)                                                              \
            column[v] = vf_load(b + v * VF_LANES);                                                           \
        CI_UNROLL                                                                                            \
        for (int r = 0; r < rows; r++) {                                                                     \
            const vf value = SPLIT_FN(load)(VALUE);                                                          \
            CI_UNROLL                                                                                        \
            for (int v = 0; v < SPLIT_VECTORS; v++)                                                          \
                sum[r][v] = vf_fma(value, column[v], sum[r][v]);                                             \
        }                                                                                                    \
        CI_PREFETCH_L2(prefetch);                                                                            \
        prefetch += prefetch_step;                                                                           \
    } while (0)

    const float *b = args->b;
    int64_t k = 0;
    for (; k + SPLIT_STEP <= args->depth; k += SPLIT_STEP, b += SPLIT_VECTORS * VF_LANES)
        SPLIT_SUM_UP(row[r] + k);
    if (k < args->depth) {
        float rest[SPLIT_MR][SPLIT_STEP] = {{0}};
        for (int r = 0; r < rows; r++) {
            for (int64_t left = k; left < args->depth; left++)
                rest[r][left - k] = row[r][left];
        }
        SPLIT_SUM_UP(rest[r]);
    }
#undef SPLIT_SUM_UP

    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        vf result[SPLIT_RESULTS];
        SPLIT_FN(fold)(sum[r], result);
        float *c = args->c + args->c_row[first + r];
        const float *residual = args->residual ? args->residual + args->residual_row[first + r] : NULL;
        int32_t left = args->columns;
        CI_UNROLL
        for (int v = 0; v < SPLIT_RESULTS; v++) {
            const int width = SPLIT_NR - v * VF_LANES < VF_LANES ? SPLIT_NR - v * VF_LANES : VF_LANES;
            const int32_t n = left < 0 ? 0 : left < width ? left : width;
            vf x = vf_add(result[v], vf_load_n(args->bias + v * VF_LANES, width));
            if (residual)
                x = vf_add(x, vf_load_n(residual + v * VF_LANES, n));
            x = vf_activate(x, activation);
            if (n == VF_LANES)
                vf_store(c + v * VF_LANES, x);
            else
                vf_store_n(c + v * VF_LANES, x, n);
            left -= VF_LANES;
        }
    }
}

typedef void SPLIT_FN(tile_fn)(const ci_gemm_f32_args *args, int32_t first, int32_t count,
                               const char *prefetch, int64_t prefetch_share, int64_t prefetch_step);

/* `count` tiles of so many rows each. */
#define SPLIT_ROWS(rows)                                                                                     \
    static void SPLIT_FN(rows)(const ci_gemm_f32_args *args, int32_t first, int32_t count,                   \
                               const char *prefetch, int64_t prefetch_share, int64_t prefetch_step) {        \
        const vf_activation activation = vf_activation_of(&args->activation);                                \
        for (; count > 0; count--, first += rows, prefetch += prefetch_share)                                \
            SPLIT_FN(tile)(rows, args, &activation, first, prefetch, prefetch_step);                         \
    }
CI_FOR_EACH_UP_TO(SPLIT_MR, SPLIT_ROWS)

void SPLIT_NAME(const ci_gemm_f32_args *args) {
#define SPLIT_ENTRY(rows) SPLIT_FN(rows),
    static SPLIT_FN(tile_fn) *const tiles[] = {CI_FOR_EACH_UP_TO(SPLIT_MR, SPLIT_ENTRY)};
#undef SPLIT_ENTRY
    const int32_t count = (args->rows + SPLIT_MR - 1) / SPLIT_MR, fewest = args->rows / count;
    const int32_t larger = args->rows - fewest * count; /* tiles with a row more come first */
    /* Without anything to be drawn in, the panel's own first line is asked for again and again. */
    const int64_t share = args->prefetch ? args->prefetch_bytes / count : 0;
    const int64_t step = (share * SPLIT_STEP + args->depth - 1) / args->depth;
    const char *prefetch = args->prefetch ? (const char *)args->prefetch : (const char *)args->b;
    if (larger > 0)
        tiles[fewest](args, 0, larger, prefetch, share, step);
    tiles[fewest - 1](args, larger * (fewest + 1), count - larger, prefetch + larger * share, share, step);
}

#undef SPLIT_ROWS
#undef SPLIT_RESULTS
#undef SPLIT_NR
#undef SPLIT_FN
#undef SPLIT_JOIN
#undef SPLIT_JOIN_
#undef SPLIT_NAME
#undef SPLIT_MR
#undef SPLIT_VECTORS
#undef SPLIT_STEP
