/* The body of the float32 GEMM kernels (ci_gemm_f32_args in conv_infer/microkernel.h), written in the vector
 * vocabulary. Included once per tile shape, with
 *
 *     GEMM_NAME      the kernel's name
 *     GEMM_MR        rows of the largest tile, at most 16
 *     GEMM_VECTORS   vectors per row: nr = GEMM_VECTORS * VF_LANES
 *
 * Registers: GEMM_MR * GEMM_VECTORS sums, GEMM_VECTORS of b, one element of a in every lane. There is a
 * function for every number of rows up to GEMM_MR, and the rows of a call are dealt out evenly: 49 rows by at
 * most 8 are seven tiles of
 * 7. Each row has a pointer of its own, so a tile spans output rows and image borders as it likes.
 *
 * Numerics: the sum of an element starts at its bias and runs over depth in order, one fused multiply-add at
 * a time. It depends neither on the tile, nor on the row and column it lies in, nor on a_is_contiguous: every
 * kernel made from this file gives the same bits.
 */
#include "gemm_f32_epilogue.inc.h"

#define GEMM_JOIN_(a, b) a##_##b
#define GEMM_JOIN(a, b) GEMM_JOIN_(a, b)
#define GEMM_TILE_FN(rows) GEMM_JOIN(GEMM_NAME, rows)
#define GEMM_NR (GEMM_VECTORS * VF_LANES)

#ifdef vf_fma_lane
#    include "gemm_f32_by_lane.inc.h"
#endif
#ifdef GEMM_IN_ORDER
#    include "gemm_f32_in_order.inc.h"
#endif

CI_INLINE void GEMM_TILE_FN(tile)(const int rows, const int is_contiguous, const ci_gemm_f32_args *args,
                                  int32_t first, const int32_t *lanes, const char *prefetch,
                                  int64_t prefetch_step) {
    const float *row[GEMM_MR];
    vf sum[GEMM_MR][GEMM_VECTORS];
    const int32_t *a_row = args->a_row + first;
    CI_UNROLL
    for (int r = 0; r < rows; r++)
        row[r] = args->a + a_row[r];
    if (!args->start) {
        CI_UNROLL
        for (int v = 0; v < GEMM_VECTORS; v++) {
            const vf bias = vf_load(args->bias + v * VF_LANES);
            CI_UNROLL
            for (int r = 0; r < rows; r++)
                sum[r][v] = bias;
        }
    } else {
        const float *start = args->start + first * (int64_t)GEMM_NR;
        CI_UNROLL
        for (int r = 0; r < rows; r++) {
            CI_UNROLL
            for (int v = 0; v < GEMM_VECTORS; v++)
                sum[r][v] = vf_load(start + r * GEMM_NR + v * VF_LANES);
        }
    }

#ifdef vf_fma_lane
#    ifdef GEMM_IN_ORDER
    if (rows >= GEMM_FEWEST_IN_ORDER)
        GEMM_TILE_FN(sum_up_in_order)(rows, is_contiguous, row, sum, args, prefetch, prefetch_step);
    else
#    endif
        GEMM_TILE_FN(sum_up)(rows, is_contiguous, row, sum, args, prefetch, prefetch_step);
#else
#    define GEMM_SUM_UP(offset, PREFETCH)                                                                    \
        for (int64_t k = 0; k < depth; k++, b += GEMM_NR) {                                                  \
            const int64_t from = offset;                                                                     \
            vf column[GEMM_VECTORS];                                                                         \
            PREFETCH;                                                                                        \
            CI_UNROLL                                                                                        \
            for (int v = 0; v < GEMM_VECTORS; v++)                                                           \
                column[v] = vf_load(b + v * VF_LANES);                                                       \
            CI_UNROLL                                                                                        \
            for (int r = 0; r < rows; r++) {                                                                 \
                const vf value = vf_set1(row[r][from]);                                                      \
                CI_UNROLL                                                                                    \
                for (int v = 0; v < GEMM_VECTORS; v++)                                                       \
                    sum[r][v] = vf_fma(value, column[v], sum[r][v]);                                         \
            }                                                                                                \
        }
#    define GEMM_PREFETCH (CI_PREFETCH_L2(prefetch), prefetch += prefetch_step)
/* Tiles of few rows read b faster than a line per depth: as many lines as a depth has vectors. */
#    define GEMM_PREFETCH_ALL                                                                                \
        CI_UNROLL                                                                                            \
        for (int v = 0; v < GEMM_VECTORS; v++)                                                               \
            CI_PREFETCH_L2(prefetch + v * 64);                                                               \
        prefetch += prefetch_step

    const float *b = args->b;
    const int32_t *a_depth = args->a_depth;
    const int64_t depth = args->depth;
    if (is_contiguous) {
        if (!prefetch)
            GEMM_SUM_UP(k, )
        else if (prefetch_step <= 64)
            GEMM_SUM_UP(k, GEMM_PREFETCH)
        else
            GEMM_SUM_UP(k, GEMM_PREFETCH_ALL)
    } else {
        if (prefetch)
            GEMM_SUM_UP(a_depth[k], GEMM_PREFETCH)
        else
            GEMM_SUM_UP(a_depth[k], )
    }
#    undef GEMM_PREFETCH_ALL
#    undef GEMM_PREFETCH
#    undef GEMM_SUM_UP
#endif

    if (args->sums) {
        float *sums = args->sums + first * (int64_t)GEMM_NR;
        CI_UNROLL
        for (int r = 0; r < rows; r++) {
            CI_UNROLL
            for (int v = 0; v < GEMM_VECTORS; v++)
                vf_store(sums + r * GEMM_NR + v * VF_LANES, sum[r][v]);
        }
        return;
    }

    const int is_whole = args->columns == GEMM_NR;
    if (args->residual) {
        const int32_t *residual_row = args->residual_row + first;
        CI_UNROLL
        for (int r = 0; r < rows; r++) {
            const float *residual = args->residual + residual_row[r];
            CI_UNROLL
            for (int v = 0; v < GEMM_VECTORS; v++)
                sum[r][v] = vf_add(sum[r][v], is_whole ? vf_load(residual + v * VF_LANES)
                                                       : vf_load_n(residual + v * VF_LANES, lanes[v]));
        }
    }
    if (gemm_raises(&args->activation)) {
        const vf lowest = vf_set1(args->activation.alpha);
        CI_UNROLL
        for (int r = 0; r < rows; r++) {
            CI_UNROLL
            for (int v = 0; v < GEMM_VECTORS; v++)
                sum[r][v] = vf_at_least(sum[r][v], lowest);
        }
    }
    if (gemm_lowers(&args->activation)) {
        const vf highest = vf_set1(args->activation.beta);
        CI_UNROLL
        for (int r = 0; r < rows; r++) {
            CI_UNROLL
            for (int v = 0; v < GEMM_VECTORS; v++)
                sum[r][v] = vf_at_most(sum[r][v], highest);
        }
    }
    float *const c_first = args->c;
    const int32_t *c_row = args->c_row + first;
    if (is_whole) {
        CI_UNROLL
        for (int r = 0; r < rows; r++) {
            float *c = c_first + c_row[r];
            CI_UNROLL
            for (int v = 0; v < GEMM_VECTORS; v++)
                vf_store(c + v * VF_LANES, sum[r][v]);
        }
    } else {
        CI_UNROLL
        for (int r = 0; r < rows; r++) {
            float *c = c_first + c_row[r];
            CI_UNROLL
            for (int v = 0; v < GEMM_VECTORS; v++)
                vf_store_n(c + v * VF_LANES, sum[r][v], lanes[v]);
        }
    }
    if (args->activation.kind != CI_ACTIVATION_CLAMP)
        gemm_activate_rows(args, first, rows);
}

#define GEMM_EACH_TILE_OF(rows, is_contiguous)                                                               \
    for (; count > 0; count--, first += rows) {                                                              \
        GEMM_TILE_FN(tile)(rows, is_contiguous, args, first, lanes, prefetch, prefetch_step);                \
        if (prefetch)                                                                                        \
            prefetch += prefetch_share;                                                                      \
    }
#ifdef vf_fma_lane
/* The loops over depth are many: apart, either form keeps its sums in the same registers throughout. */
#    define GEMM_EACH_TILE(rows)                                                                             \
        if (args->a_is_contiguous)                                                                           \
            GEMM_EACH_TILE_OF(rows, 1)                                                                       \
        else                                                                                                 \
            GEMM_EACH_TILE_OF(rows, 0)
#else
#    define GEMM_EACH_TILE(rows) GEMM_EACH_TILE_OF(rows, args->a_is_contiguous)
#endif

/* `count` tiles of so many rows each. */
#define GEMM_ROWS(rows)                                                                                      \
    static void GEMM_TILE_FN(rows)(const ci_gemm_f32_args *args, int32_t first, int32_t count,               \
                                   const char *prefetch, int64_t prefetch_share, int64_t prefetch_step) {    \
        int32_t lanes[GEMM_VECTORS];                                                                         \
        for (int v = 0; v < GEMM_VECTORS; v++) {                                                             \
            const int32_t left = args->columns - v * VF_LANES;                                               \
            lanes[v] = left < 0 ? 0 : left < VF_LANES ? left : VF_LANES;                                     \
        }                                                                                                    \
        GEMM_EACH_TILE(rows)                                                                                 \
    }
CI_FOR_EACH_UP_TO(GEMM_MR, GEMM_ROWS)

void GEMM_NAME(const ci_gemm_f32_args *args) {
#define GEMM_ENTRY(rows) GEMM_TILE_FN(rows),
    static gemm_tile_fn *const tiles[] = {CI_FOR_EACH_UP_TO(GEMM_MR, GEMM_ENTRY)};
#undef GEMM_ENTRY
    const int32_t count = (args->rows + GEMM_MR - 1) / GEMM_MR, fewest = args->rows / count;
    const int32_t larger = args->rows - fewest * count; /* tiles with a row more come first */
    const int64_t share = args->prefetch_bytes / count, step = (share + args->depth - 1) / args->depth;
    const char *prefetch = args->prefetch;
    if (larger > 0)
        tiles[fewest](args, 0, larger, prefetch, share, step);
    if (prefetch)
        prefetch += larger * share;
    tiles[fewest - 1](args, larger * (fewest + 1), count - larger, prefetch, share, step);
}

#undef GEMM_ROWS
#undef GEMM_EACH_TILE
#undef GEMM_EACH_TILE_OF
#undef GEMM_NR
#undef GEMM_TILE_FN
#undef GEMM_JOIN
#undef GEMM_JOIN_
#undef GEMM_NAME
#undef GEMM_MR
#undef GEMM_VECTORS
