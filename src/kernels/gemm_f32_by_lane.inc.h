/* The sums of a tile of gemm_f32.inc.h, which includes this file, where a multiply-add takes one factor from
 * a lane: four elements of depth of each row are loaded at once. Depth that is read through a table is taken
 * in fours too wherever four entries follow one another, as they do in the windows of images of more than a
 * few channels. The order of additions is the same either way. */

/* 1 where depth k .. k + 3 of a row are neighbours. */
#ifndef GEMM_F32_FOUR_IN_A_ROW
#    define GEMM_F32_FOUR_IN_A_ROW
#    include <string.h>
CI_INLINE int gemm_four_in_a_row(const int32_t *a_depth) {
    uint64_t first, second;
    memcpy(&first, a_depth, sizeof first);
    memcpy(&second, a_depth + 2, sizeof second);
    /* Offsets may be negative, and the sum must not carry into the upper half: they are compared apart. */
    return second - first == UINT64_C(0x0000000200000002) && (uint32_t)(first >> 32) - (uint32_t)first == 1;
}
#endif

CI_INLINE void GEMM_TILE_FN(sum_up)(const int rows, const int is_contiguous, const float *const row[GEMM_MR],
                                    vf sum[GEMM_MR][GEMM_VECTORS], const ci_gemm_f32_args *args,
                                    const char *prefetch, int64_t prefetch_step) {
    const float *b = args->b;
    const int32_t *a_depth = args->a_depth;
    const int64_t depth = args->depth;
    int64_t k = 0;

/* Each vector of weights is loaded while the one before it is multiplied: cores that execute in order would
 * wait. */
#define GEMM_ONE_DEPTH(lane, is_last)                                                                        \
    do {                                                                                                     \
        CI_UNROLL                                                                                            \
        for (int v = 0; v < GEMM_VECTORS; v++) {                                                             \
            const vf column = next;                                                                          \
            if (!(is_last) || v + 1 < GEMM_VECTORS)                                                          \
                next = vf_load(b + (v + 1) * VF_LANES);                                                      \
            CI_UNROLL                                                                                        \
            for (int r = 0; r < rows; r++)                                                                   \
                sum[r][v] = vf_fma_lane(column, value[r], lane, sum[r][v]);                                  \
        }                                                                                                    \
        b += GEMM_NR;                                                                                        \
    } while (0)

#define GEMM_FOUR_DEPTHS(offset)                                                                             \
    do {                                                                                                     \
        const int64_t from = (offset);                                                                       \
        vf value[GEMM_MR], next = vf_load(b);                                                                \
        CI_UNROLL                                                                                            \
        for (int r = 0; r < rows; r++)                                                                       \
            value[r] = vf_load(row[r] + from);                                                               \
        GEMM_ONE_DEPTH(0, 0);                                                                                \
        GEMM_ONE_DEPTH(1, 0);                                                                                \
        GEMM_ONE_DEPTH(2, 0);                                                                                \
        GEMM_ONE_DEPTH(3, 1);                                                                                \
    } while (0)

#define GEMM_SINGLE_DEPTH(offset)                                                                            \
    do {                                                                                                     \
        const int64_t from = (offset);                                                                       \
        vf value[GEMM_MR], next = vf_load(b);                                                                \
        CI_UNROLL                                                                                            \
        for (int r = 0; r < rows; r++)                                                                       \
            value[r] = vf_load_lane_0(row[r] + from);                                                        \
        GEMM_ONE_DEPTH(0, 1);                                                                                \
    } while (0)

    if (is_contiguous) {
        for (; k + 4 <= depth; k += 4) {
            if (prefetch) {
                CI_PREFETCH_L2(prefetch);
                prefetch += 4 * prefetch_step;
            }
            GEMM_FOUR_DEPTHS(k);
        }
        for (; k < depth; k++)
            GEMM_SINGLE_DEPTH(k);
        return;
    }
    /* One loop for both ways: between two, compilers would move the sums to other registers. */
    for (; k + 4 <= depth; k += 4) {
        if (prefetch) {
            CI_PREFETCH_L2(prefetch);
            prefetch += 4 * prefetch_step;
        }
        if (gemm_four_in_a_row(a_depth + k)) {
            GEMM_FOUR_DEPTHS(a_depth[k]);
        } else {
            GEMM_SINGLE_DEPTH(a_depth[k]);
            GEMM_SINGLE_DEPTH(a_depth[k + 1]);
            GEMM_SINGLE_DEPTH(a_depth[k + 2]);
            GEMM_SINGLE_DEPTH(a_depth[k + 3]);
        }
    }
    for (; k < depth; k++)
        GEMM_SINGLE_DEPTH(a_depth[k]);
#undef GEMM_SINGLE_DEPTH
#undef GEMM_FOUR_DEPTHS
#undef GEMM_ONE_DEPTH
}
