/* Transforming and packing int8 weights for Winograd's F(2x2, 3x3). */
#include <string.h>

#include "conv_infer/pack_s8.h"
#include "layout_s8.h"
#include "layout_winograd_s8.h"

enum { TAPS = 9, MAX_DEPTH = INT32_MAX / 1024, MOST_WIDTH = 64 /* columns of a panel */ };

int32_t ci_winograd_s8_fits(const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights) {
    /* Transformed weights are at most 9 * 255 in magnitude, transformed inputs 4 * 255: both are int16. */
    for (int32_t n = 0; n < shape->columns; n++) {
        ci_sum_range_s8 range = {0};
        ci_sum_range_add_column(&range, TAPS * shape->depth, weights, n, 0);
        if (range.lowest < INT32_MIN / 4 || range.highest > INT32_MAX / 4)
            return 0;
    }
    return 1;
}

ci_status ci_winograd_s8_measure(const ci_winograd_shape_s8 *shape, int32_t *padded_columns,
                                 int64_t *weight_bytes, int64_t *scratch_bytes) {
    if (!shape->kernel || shape->kernel->operation != CI_OPERATION_winograd_s8 || shape->columns < 1 ||
        shape->depth < 1 || shape->kernel->nr > MOST_WIDTH)
        return CI_ERROR_ARGUMENT;
    if (shape->columns > INT32_MAX / 64 || shape->depth > MAX_DEPTH)
        return CI_ERROR_OVERFLOW;
    const int32_t width = shape->kernel->nr;
    *padded_columns = (int32_t)ci_round_up(shape->columns, width);
    *weight_bytes = (int64_t)*padded_columns * ci_round_up(shape->depth, 2) * CI_WINOGRAD_POSITIONS * 2;
    *scratch_bytes = ci_winograd_layout_s8_of(shape->depth, width).bytes;
    return CI_OK;
}

/* 2G times a column of three: the rows of 2G are (2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2). */
static inline void expand(int32_t x, int32_t y, int32_t z, int32_t *four) {
    four[0] = 2 * x;
    four[1] = x + y + z;
    four[2] = x - y + z;
    four[3] = 2 * z;
}

/* 2G g (2G)^T of a 3x3 filter. */
static inline void transform(const ci_weights_s8 *weights, int32_t depth, int32_t n, int32_t c, int32_t zero,
                             int32_t positions[4][4]) {
    int32_t g[TAPS], columns[3][4];
    for (int32_t tap = 0; tap < TAPS; tap++)
        g[tap] = ci_weight_at_s8(weights, n, (int64_t)tap * depth + c) - zero;
    for (int32_t x = 0; x < 3; x++)
        expand(g[x], g[3 + x], g[6 + x], columns[x]);
    for (int32_t i = 0; i < 4; i++)
        expand(columns[0][i], columns[1][i], columns[2][i], positions[i]);
}

/* Both channels of a pair, for the columns of one panel: the packed form of each position, int16
 * [column][2], or with NEON, which multiplies by one channel at a time, [2][column]. */
static void transform_pair(const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights, int32_t first,
                           int32_t columns, int32_t pair,
                           int16_t packed[CI_WINOGRAD_POSITIONS][2 * MOST_WIDTH]) {
    const int32_t is_paired = shape->kernel->isa != CI_ISA_NEON, width = shape->kernel->nr;
    const int32_t column_step = is_paired ? 2 : 1, channel_step = is_paired ? 1 : width;
    for (int32_t column = 0; column < columns; column++) {
        const int32_t zero = ci_zero_point_at_s8(weights, first + column);
        for (int32_t c = 2 * pair; c < 2 * pair + 2 && c < shape->depth; c++) {
            int32_t positions[4][4];
            transform(weights, shape->depth, first + column, c, zero, positions);
            for (int32_t position = 0; position < CI_WINOGRAD_POSITIONS; position++)
                packed[position][column * column_step + c % 2 * channel_step] =
                    (int16_t)positions[position / 4][position % 4];
        }
    }
}

void ci_winograd_s8_weights(const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights, void *packed) {
    const int32_t width = shape->kernel->nr, pairs = (shape->depth + 1) / 2;
    int16_t *panel = packed;
    for (int32_t first = 0; first < shape->columns; first += width) {
        const int32_t columns = shape->columns - first < width ? shape->columns - first : width;
        for (int32_t pair = 0; pair < pairs; pair++) {
            /* Positions lie a power of two apart, which caches do not like: so each is written at once. */
            int16_t ready[CI_WINOGRAD_POSITIONS][2 * MOST_WIDTH] = {0};
            transform_pair(shape, weights, first, columns, pair, ready);
            for (int64_t position = 0; position < CI_WINOGRAD_POSITIONS; position++)
                memcpy(panel + (position * pairs + pair) * 2 * width, ready[position],
                       2 * (size_t)width * sizeof(int16_t));
        }
        panel += (int64_t)CI_WINOGRAD_POSITIONS * pairs * 2 * width;
    }
}

ci_status ci_winograd_s8_bias(const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights, int32_t a_zero,
                              const int32_t *bias, int32_t *folded) {
    const int64_t padded = ci_round_up(shape->columns, shape->kernel->nr);
    for (int32_t n = 0; n < padded; n++) {
        const int32_t is_column = n < shape->columns;
        ci_sum_range_s8 range = {.bias = bias && is_column ? bias[n] : 0};
        if (is_column)
            ci_sum_range_add_column(&range, TAPS * shape->depth, weights, n, a_zero);
        if (!ci_sum_range_fits(&range))
            return CI_ERROR_OVERFLOW;
        folded[n] = (int32_t)range.bias;
    }
    return CI_OK;
}
