/* How each instruction set's int8 kernels want their weights: the one place that knows, shared by the
 * packers. */
#ifndef CI_LAYOUT_S8_H
#define CI_LAYOUT_S8_H

#include "conv_infer/pack_s8.h"

typedef struct {
    int32_t lanes;       /* columns of a vector: panels are padded to whole ones */
    int32_t is_wide;     /* weights are int16, k_step 4 split into bytes 0, 2 and 1, 3; else int8 */
    int32_t tile_blocks; /* 16 columns x 64 bytes of depth lie together (AMX) */
    int32_t fours;       /* of the depth of one column that lie together, less one */
    int32_t origin;      /* what is taken off each byte of A, so that its products are signed; and ... */
    int32_t odd_origin;  /* ... off bytes 8 .. 15 of each 16 (GEMM), off every second tap (depthwise) */
} ci_layout_s8;

static inline ci_layout_s8 ci_layout_s8_of(ci_isa isa) {
    switch (isa) {
    case CI_ISA_AVX2:
        return (ci_layout_s8){.lanes = 8, .is_wide = 1};
    case CI_ISA_AVXVNNI:
        return (ci_layout_s8){.lanes = 8};
    case CI_ISA_AVX512:
        return (ci_layout_s8){.lanes = 16, .is_wide = 1};
    case CI_ISA_AVX512VNNI:
        return (ci_layout_s8){.lanes = 16};
    case CI_ISA_AMX:
        return (ci_layout_s8){.lanes = 16, .tile_blocks = 1};
    case CI_ISA_NEON:
    case CI_ISA_A53:
        return (ci_layout_s8){.lanes = 4, .fours = 3, .origin = 128, .odd_origin = 127};
    case CI_ISA_DOTPROD:
        return (ci_layout_s8){.lanes = 4, .origin = 128, .odd_origin = 128};
    case CI_ISA_I8MM:
        return (ci_layout_s8){.lanes = 4, .fours = 1};
    case CI_ISA_DSP:
        return (ci_layout_s8){.lanes = 2, .is_wide = 1};
    default:
        return (ci_layout_s8){.lanes = 4};
    }
}

static inline int64_t ci_round_up(int64_t value, int64_t step) {
    return (value + step - 1) / step * step;
}

/* A weight as the model states it. */
static inline int32_t ci_weight_s8(const void *data, int32_t is_unsigned, int64_t index) {
    return is_unsigned ? ((const uint8_t *)data)[index] : ((const int8_t *)data)[index];
}

/* Element k of column n. */
static inline int32_t ci_weight_at_s8(const ci_weights_s8 *weights, int32_t n, int64_t k) {
    const int64_t offset = weights->depth_offset ? weights->depth_offset[k] : k;
    return ci_weight_s8(weights->data, weights->is_unsigned, n * weights->column_stride + offset);
}

static inline int32_t ci_zero_point_at_s8(const ci_weights_s8 *weights, int32_t n) {
    return weights->zero_point ? weights->zero_point[n] : 0;
}

/* The extremes that a sum reaches over every image of bytes; both ends inside int32. */
typedef struct {
    int64_t bias, lowest, highest;
} ci_sum_range_s8;

/* Adds weights of which the positive and the negative ones have these sums. */
static inline void ci_sum_range_add(ci_sum_range_s8 *range, int32_t positive, int32_t negative,
                                    int32_t a_zero) {
    range->bias -= ((int64_t)positive + negative) * a_zero;
    range->lowest += (int64_t)255 * negative;
    range->highest += (int64_t)255 * positive;
}

/* Adds column n of `depth` weights, their zero point taken off. */
void ci_sum_range_add_column(ci_sum_range_s8 *range, int32_t depth, const ci_weights_s8 *weights, int32_t n,
                             int32_t a_zero);

static inline int32_t ci_sum_range_fits(const ci_sum_range_s8 *range) {
    return range->bias >= INT32_MIN && range->bias <= INT32_MAX && range->bias + range->lowest >= INT32_MIN &&
           range->bias + range->highest <= INT32_MAX;
}

#endif
