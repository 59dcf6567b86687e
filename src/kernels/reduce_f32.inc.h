/* Reductions and normalisations over rows, and interpolation between pixels, float32.
 *
 * One body for every instruction set, as elementwise_f32.inc.h. Sums run in an order that depends on sizes
 * only: the elements of a row fall to LANES accumulators in turn, which are then added pairwise.
 */
#include <math.h>

#include "conv_infer/microkernel.h"
#include "math_f32.h"

enum {
    LANES = 32,
    PIECE = 256,
    FOLD_VECTORS = VF_LANES == 1 ? 16
    : VF_LANES <= 4              ? 4
                                 : 2, /* of sums in registers */
    FOLD_ELEMENTS = 4096,
};

#define SUM(a, b) ((a) + (b))
#define ITSELF(v) (v)

/* What is accumulated of v; `accumulation` is a compile-time number. */
CI_INLINE vf mapped(const int accumulation, vf v, vf shift) {
    switch (accumulation) {
    case CI_REDUCE_SUM_ABS:
        return vf_abs(v);
    case CI_REDUCE_SUM_SQUARE:
        return vf_mul(v, v);
    case CI_REDUCE_SUM_SQUARE_SHIFTED:
        v = vf_sub(v, shift);
        return vf_mul(v, v);
    case CI_REDUCE_SUM_EXP_SHIFTED:
        return vf_exp_flushed(vf_sub(v, shift));
    default:
        return v;
    }
}

/* A NaN in either stays. */
CI_INLINE vf combined(const int accumulation, vf a, vf b) {
    switch (accumulation) {
    case CI_REDUCE_PROD:
        return vf_mul(a, b);
    case CI_REDUCE_MAX:
        return vf_select(vf_is_nan(a), a, vf_max(b, a));
    case CI_REDUCE_MIN:
        return vf_select(vf_is_nan(a), a, vf_min(b, a));
    default:
        return vf_add(a, b);
    }
}

/* Columns of some rows: `vectors` whole ones, or one of `lanes`. */
CI_INLINE void fold_columns(const int accumulation, const int vectors, const ci_reduce_f32_args *args,
                            int64_t first_row, int64_t rows, int64_t column, int32_t lanes) {
    const int64_t stride = args->x_row_stride;
    const float *x = args->x + first_row * stride + column;
    const int has_shift =
        accumulation == CI_REDUCE_SUM_SQUARE_SHIFTED || accumulation == CI_REDUCE_SUM_EXP_SHIFTED;
    vf total[FOLD_VECTORS], shift[FOLD_VECTORS];
#define FOLD_LOAD(from, v) (lanes == VF_LANES ? vf_load((from) + (v) * VF_LANES) : vf_load_n(from, lanes))
#define FOLD_ROW(k, v) mapped(accumulation, FOLD_LOAD(x + (k) * stride, v), shift[v])
    CI_UNROLL
    for (int v = 0; v < vectors; v++) {
        total[v] = FOLD_LOAD(args->total + column, v);
        shift[v] = has_shift ? FOLD_LOAD(args->shift + column, v) : vf_zero();
    }
    int64_t row = 0;
    for (; row + 4 <= rows; row += 4, x += 4 * stride) {
        CI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const vf upper = combined(accumulation, FOLD_ROW(0, v), FOLD_ROW(1, v));
            const vf lower = combined(accumulation, FOLD_ROW(2, v), FOLD_ROW(3, v));
            total[v] = combined(accumulation, total[v], combined(accumulation, upper, lower));
        }
    }
    for (; row < rows; row++, x += stride) {
        CI_UNROLL
        for (int v = 0; v < vectors; v++)
            total[v] = combined(accumulation, total[v], FOLD_ROW(0, v));
    }
    CI_UNROLL
    for (int v = 0; v < vectors; v++) {
        if (lanes == VF_LANES)
            vf_store(args->total + column + v * VF_LANES, total[v]);
        else
            vf_store_n(args->total + column, total[v], lanes);
    }
#undef FOLD_ROW
#undef FOLD_LOAD
}

/* Rows in blocks that stay in the first-level cache while their columns are gone through. */
CI_INLINE void fold(const int accumulation, const ci_reduce_f32_args *args) {
    const int64_t columns = args->columns, fitting = FOLD_ELEMENTS / (columns + 1) & ~(int64_t)3;
    const int64_t most = columns <= FOLD_VECTORS * VF_LANES ? args->rows : fitting < 8 ? 8 : fitting;
    for (int64_t row = 0; row < args->rows; row += most) {
        const int64_t rows = args->rows - row < most ? args->rows - row : most;
        int64_t column = 0;
        for (; column + FOLD_VECTORS * VF_LANES <= columns; column += FOLD_VECTORS * VF_LANES)
            fold_columns(accumulation, FOLD_VECTORS, args, row, rows, column, VF_LANES);
        for (; column + VF_LANES <= columns; column += VF_LANES)
            fold_columns(accumulation, 1, args, row, rows, column, VF_LANES);
        if (column < columns)
            fold_columns(accumulation, 1, args, row, rows, column, (int32_t)(columns - column));
    }
}

#define FOLD_CASE(accumulation)                                                                              \
    case accumulation:                                                                                       \
        fold(accumulation, args);                                                                            \
        break

void CI_NAME(reduce_f32_any)(const ci_reduce_f32_args *args) {
    switch (args->accumulation) {
        FOLD_CASE(CI_REDUCE_SUM);
        FOLD_CASE(CI_REDUCE_SUM_ABS);
        FOLD_CASE(CI_REDUCE_SUM_SQUARE);
        FOLD_CASE(CI_REDUCE_SUM_SQUARE_SHIFTED);
        FOLD_CASE(CI_REDUCE_SUM_EXP_SHIFTED);
        FOLD_CASE(CI_REDUCE_PROD);
        FOLD_CASE(CI_REDUCE_MAX);
    default:
        fold(CI_REDUCE_MIN, args);
    }
}
#undef FOLD_CASE

/* y = exp(x - shift); `step` is 0 where one shift serves a whole row. */
static void exponentials(const float *x, int64_t columns, const float *shift, int64_t step, float *y) {
    int64_t i = 0;
    for (; i + VF_LANES <= columns; i += VF_LANES) {
        const vf from = step ? vf_load(shift + i) : vf_set1(*shift);
        vf_store(y + i, vf_exp_flushed(vf_sub(vf_load(x + i), from)));
    }
    if (i < columns) {
        const int32_t left = (int32_t)(columns - i);
        const vf from = step ? vf_load_n(shift + i, left) : vf_set1(*shift);
        vf_store_n(y + i, vf_exp_flushed(vf_sub(vf_load_n(x + i, left), from)), left);
    }
}

/* lane[j] is combined with elements j, j + LANES, ... of a row. */
#define LANE_LOOP(combine, value)                                                                            \
    do {                                                                                                     \
        int64_t first = 0;                                                                                   \
        for (; first + LANES <= columns; first += LANES) {                                                   \
            for (int j = 0; j < LANES; j++)                                                                  \
                lane[j] = combine(lane[j], value(x[first + j]));                                             \
        }                                                                                                    \
        for (int j = 0; j < columns - first; j++)                                                            \
            lane[j] = combine(lane[j], value(x[first + j]));                                                 \
    } while (0)

static void add_to_lanes(const float *x, int64_t columns, float *lane) {
    LANE_LOOP(SUM, ITSELF);
}

#define SQUARE_FROM_MEAN(v) (((v) - mean) * ((v) - mean))
static void add_squares_to_lanes(const float *x, int64_t columns, float mean, float *lane) {
    LANE_LOOP(SUM, SQUARE_FROM_MEAN);
}

static float sum_of_lanes(float *lane) {
    for (int half = LANES / 2; half > 0; half /= 2) {
        for (int j = 0; j < half; j++)
            lane[j] += lane[j + half];
    }
    return lane[0];
}

/* Where there is a NaN, any number: the sum of exponentials will be NaN. */
static float row_maximum(const float *x, int64_t columns) {
    vf most = vf_set1(-INFINITY), other = most;
    int64_t i = 0;
    for (; i + 2 * VF_LANES <= columns; i += 2 * VF_LANES) {
        most = vf_max(vf_load(x + i), most);
        other = vf_max(vf_load(x + i + VF_LANES), other);
    }
    float result = vf_reduce_max(vf_max(most, other));
    for (; i < columns; i++)
        result = x[i] > result ? x[i] : result;
    return result;
}

static float log_of(float x) {
    float result;
    vf_store_n(&result, vf_log(vf_set1(x)), 1);
    return result;
}

void CI_NAME(softmax_f32_any)(const ci_softmax_f32_args *args) {
    const int64_t columns = args->columns;
    for (int64_t row = 0; row < args->rows; row++) {
        const float *x = args->x + row * args->x_row_stride;
        float *y = args->y + row * args->y_row_stride;
        const float most = row_maximum(x, columns);
        float lane[LANES] = {0}, piece[PIECE];
        for (int64_t first = 0; first < columns; first += PIECE) {
            const int64_t count = columns - first < PIECE ? columns - first : PIECE;
            float *e = args->is_log ? piece : y + first;
            exponentials(x + first, count, &most, 0, e);
            add_to_lanes(e, count, lane);
        }
        const float sum = sum_of_lanes(lane);
        const float factor = 1.0f / sum;
        if (args->is_log) {
            const float logarithm = log_of(sum);
            CI_INDEPENDENT
            for (int64_t i = 0; i < columns; i++)
                y[i] = (x[i] - most) - logarithm;
        } else {
            CI_INDEPENDENT
            for (int64_t i = 0; i < columns; i++)
                y[i] *= factor;
        }
    }
}

/* (bias + alpha * sum)^beta */
CI_INLINE vf lrn_factor(vf sum, float alpha, float beta, float bias) {
    const vf base = vf_fma(sum, vf_set1(alpha), vf_set1(bias));
    return vf_exp(vf_mul(vf_set1(beta), vf_log(base)));
}

void CI_NAME(lrn_f32_any)(const ci_lrn_f32_args *args) {
    const int64_t columns = args->columns;
    const int32_t size = args->size, before = (size - 1) / 2;
    float *square = args->scratch, *sum = square + columns + size;
    const float alpha = args->alpha / (float)size, beta = -args->beta, bias = args->bias;
    /* Zeros stand for the columns that do not exist: `before` of them in front, the rest behind. */
    for (int32_t i = 0; i < size; i++)
        square[i < before ? i : columns + i] = 0.0f;
    for (int64_t row = 0; row < args->rows; row++) {
        const float *x = args->x + row * args->x_row_stride;
        float *y = args->y + row * args->y_row_stride;
        CI_INDEPENDENT
        for (int64_t i = 0; i < columns; i++) {
            square[before + i] = x[i] * x[i];
            sum[i] = 0.0f;
        }
        for (int32_t k = 0; k < size; k++) {
            const float *moved = square + k;
            CI_INDEPENDENT
            for (int64_t i = 0; i < columns; i++)
                sum[i] += moved[i];
        }
        int64_t i = 0;
        for (; i + VF_LANES <= columns; i += VF_LANES)
            vf_store(y + i, vf_mul(vf_load(x + i), lrn_factor(vf_load(sum + i), alpha, beta, bias)));
        if (i < columns) {
            const int32_t left = (int32_t)(columns - i);
            const vf factor = lrn_factor(vf_load_n(sum + i, left), alpha, beta, bias);
            vf_store_n(y + i, vf_mul(vf_load_n(x + i, left), factor), left);
        }
    }
}

void CI_NAME(layer_norm_f32_any)(const ci_layer_norm_f32_args *args) {
    const int64_t columns = args->columns;
    const float *scale = args->scale, *shift = args->shift;
    for (int64_t row = 0; row < args->rows; row++) {
        const float *x = args->x + row * args->x_row_stride;
        float *y = args->y + row * args->y_row_stride;
        float lane[LANES] = {0}, squares[LANES] = {0};
        add_to_lanes(x, columns, lane);
        const float mean = sum_of_lanes(lane) / (float)columns;
        add_squares_to_lanes(x, columns, mean, squares);
        const float factor = 1.0f / sqrtf(sum_of_lanes(squares) / (float)columns + args->epsilon);
        CI_INDEPENDENT
        for (int64_t i = 0; i < columns; i++)
            y[i] = (x[i] - mean) * factor;
        if (scale) {
            CI_INDEPENDENT
            for (int64_t i = 0; i < columns; i++)
                y[i] *= scale[i];
        }
        if (shift) {
            CI_INDEPENDENT
            for (int64_t i = 0; i < columns; i++)
                y[i] += shift[i];
        }
    }
}

void CI_NAME(bilinear_f32_any)(const ci_bilinear_f32_args *args) {
    const int64_t columns = args->columns;
    for (int64_t row = 0; row < args->rows; row++) {
        const float *upper_left = args->upper + args->left[row],
                    *upper_right = args->upper + args->right[row];
        const float *lower_left = args->lower + args->left[row],
                    *lower_right = args->lower + args->right[row];
        const float left = args->left_weight[row], right = args->right_weight[row];
        const float w0 = left * args->upper_weight, w1 = right * args->upper_weight;
        const float w2 = left * args->lower_weight, w3 = right * args->lower_weight;
        float *y = args->y + row * args->y_row_stride;
        CI_INDEPENDENT
        for (int64_t i = 0; i < columns; i++)
            y[i] = upper_left[i] * w0 + upper_right[i] * w1 + lower_left[i] * w2 + lower_right[i] * w3;
    }
}
