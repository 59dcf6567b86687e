/* Transforming and packing int8 weights for Winograd's F(2x2, 3x3). */
#include <string.h>

#include "conv_infer/pack_s8.h"
#include "layout_s8.h"
#include "layout_winograd_s8.h"

enum { TAPS = 9, MAX_DEPTH = INT32_MAX / 1024 };

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
        shape->depth < 1)
        return CI_ERROR_ARGUMENT;
    if (shape->columns > INT32_MAX / 64 || shape->depth > MAX_DEPTH)
        return CI_ERROR_OVERFLOW;
    const int32_t width = shape->kernel->nr;
    *padded_columns = (int32_t)ci_round_up(shape->columns, width);
    *weight_bytes = (int64_t)*padded_columns * ci_round_up(shape->depth, 2) * CI_WINOGRAD_POSITIONS * 2;
    *scratch_bytes = ci_winograd_layout_s8_of(shape->depth, width).bytes;
    return CI_OK;
}

/* 2G g (2G)^T of a 3x3 filter, with the rows of 2G (2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2). */
static void transform(const ci_weights_s8 *weights, int32_t depth, int32_t n, int32_t c, int16_t *positions) {
    static const int32_t g2[4][3] = {{2, 0, 0}, {1, 1, 1}, {1, -1, 1}, {0, 0, 2}};
    const int32_t zero = ci_zero_point_at_s8(weights, n);
    int32_t g[TAPS], rows[4][3];
    for (int32_t tap = 0; tap < TAPS; tap++)
        g[tap] = ci_weight_at_s8(weights, n, (int64_t)tap * depth + c) - zero;
    for (int32_t i = 0; i < 4; i++) {
        for (int32_t x = 0; x < 3; x++)
            rows[i][x] = g2[i][0] * g[x] + g2[i][1] * g[3 + x] + g2[i][2] * g[6 + x];
    }
    for (int32_t i = 0; i < 4; i++) {
        for (int32_t j = 0; j < 4; j++)
            positions[i * 4 + j] =
                (int16_t)(rows[i][0] * g2[j][0] + rows[i][1] * g2[j][1] + rows[i][2] * g2[j][2]);
    }
}

void ci_winograd_s8_weights(const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights, void *packed) {
    const int64_t width = shape->kernel->nr, pairs = (shape->depth + 1) / 2;
    memset(packed, 0,
           (size_t)(ci_round_up(shape->columns, width) * pairs * 2 * CI_WINOGRAD_POSITIONS) *
               sizeof(int16_t));
    for (int32_t n = 0; n < shape->columns; n++) {
        for (int32_t c = 0; c < shape->depth; c++) {
            int16_t positions[CI_WINOGRAD_POSITIONS];
            transform(weights, shape->depth, n, c, positions);
            for (int64_t position = 0; position < CI_WINOGRAD_POSITIONS; position++) {
                const int64_t group = (n / width * CI_WINOGRAD_POSITIONS + position) * pairs + c / 2;
                ((int16_t *)packed)[(group * width + n % width) * 2 + c % 2] = positions[position];
            }
        }
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
