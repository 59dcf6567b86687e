/* Contracts of the kernels that multiply no matrices: copies, elementwise operators, reductions,
 * interpolation.
 *
 * They work on `rows` rows of `columns` elements; strides are in elements, a row's elements are neighbours
 * unless a column stride says otherwise. Buffers have the alignment of their element type only. An output may
 * be one of the inputs where the comment says so, and is disjoint from them otherwise. Kernels cannot fail.
 */
#ifndef CONV_INFER_ELEMENTWISE_H
#define CONV_INFER_ELEMENTWISE_H

#include "conv_infer/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y[r * y_row_stride + c] = x[c * x_column_stride + r] for r < rows, c < columns; the variant (x8, x16, x32,
 * x64) says how many bits an element has. */
typedef struct {
    int64_t rows, columns;
    const void *x;
    int64_t x_column_stride;
    void *y;
    int64_t y_row_stride;
} ci_transpose_args;
typedef void ci_transpose_fn(const ci_transpose_args *args);

/* y[r][c] = x[r][index[c]]; variants as above. */
typedef struct {
    int64_t rows, columns;
    const int32_t *index;
    const void *x;
    int64_t x_row_stride;
    void *y;
    int64_t y_row_stride;
} ci_gather_args;
typedef void ci_gather_fn(const ci_gather_args *args);

/* y[r][c] = activation(x[r][c]), any kind; y may be x. */
typedef struct {
    int64_t rows, columns;
    const float *x;
    int64_t x_row_stride;
    float *y;
    int64_t y_row_stride;
    ci_activation activation;
} ci_activation_f32_args;
typedef void ci_activation_f32_fn(const ci_activation_f32_args *args);

typedef enum {
    CI_BINARY_ADD,
    CI_BINARY_SUB,
    CI_BINARY_MUL,
    CI_BINARY_DIV,
    CI_BINARY_MIN, /* NaN where either is NaN; so is max */
    CI_BINARY_MAX,
    CI_BINARY_POW,
    CI_BINARY_PRELU, /* a >= 0 ? a : a * b */
    CI_BINARY_MOD,   /* the sign of a, as C's fmod */
    CI_BINARY_COUNT,
} ci_binary_kind;

/* y[r][c] = activation(a[r][c] op b[r][c]). A column stride is 1, or 0: one value for the whole row (not for
 * both). y may be a or b. */
typedef struct {
    int32_t kind; /* ci_binary_kind */
    int64_t rows, columns;
    const float *a, *b;
    int64_t a_row_stride, b_row_stride;
    int64_t a_column_stride, b_column_stride;
    float *y;
    int64_t y_row_stride;
    ci_activation activation;
} ci_binary_f32_args;
typedef void ci_binary_f32_fn(const ci_binary_f32_args *args);

/* y[r][c] = activation((x[r][c] - centre[c]) * scale[c] + shift[c]); column_stride is that of centre, scale
 * and shift, 1 or 0; centre is NULL for 0. y may be x. */
typedef struct {
    int64_t rows, columns;
    const float *x;
    int64_t x_row_stride;
    const float *centre, *scale, *shift;
    int64_t column_stride;
    float *y;
    int64_t y_row_stride;
    ci_activation activation;
} ci_affine_f32_args;
typedef void ci_affine_f32_fn(const ci_affine_f32_args *args);

/* What a reduction accumulates; `m` is the column's shift. */
typedef enum {
    CI_REDUCE_SUM,
    CI_REDUCE_SUM_ABS,
    CI_REDUCE_SUM_SQUARE,
    CI_REDUCE_SUM_SQUARE_SHIFTED, /* (x - m)^2 */
    CI_REDUCE_SUM_EXP_SHIFTED,    /* exp(x - m) */
    CI_REDUCE_PROD,
    CI_REDUCE_MAX, /* NaN where any is NaN; so is min */
    CI_REDUCE_MIN,
} ci_reduce_accumulation;

/* total[c] = total[c] combined with x[r][c] over all rows r, in an order that depends on the number of rows
 * only. */
typedef struct {
    int32_t accumulation; /* ci_reduce_accumulation */
    int64_t rows, columns;
    const float *x;
    int64_t x_row_stride;
    const float *shift; /* [columns], of the shifted ones */
    float *total;       /* [columns] */
} ci_reduce_f32_args;
typedef void ci_reduce_f32_fn(const ci_reduce_f32_args *args);

/* Softmax of each row, or its logarithm: exp(x - max) / sum(exp(x - max)). y may be x. */
typedef struct {
    int64_t rows, columns;
    const float *x;
    int64_t x_row_stride;
    float *y;
    int64_t y_row_stride;
    int32_t is_log;
} ci_softmax_f32_args;
typedef void ci_softmax_f32_fn(const ci_softmax_f32_args *args);

/* Local response normalisation: y[r][c] = x[r][c] * (bias + alpha / size * sum of squares of the `size`
 * columns around c)^-beta, (size - 1) / 2 of them before c, those that exist. y may be x. */
typedef struct {
    int64_t rows, columns;
    const float *x;
    int64_t x_row_stride;
    float *y;
    int64_t y_row_stride;
    int32_t size;
    float alpha, beta, bias;
    float *scratch; /* [2 * columns + size] */
} ci_lrn_f32_args;
typedef void ci_lrn_f32_fn(const ci_lrn_f32_args *args);

/* Layer normalisation: y[r][c] = (x[r][c] - mean) / sqrt(variance + epsilon) * scale[c] + shift[c], mean and
 * variance over the row; scale and shift may be NULL. y may be x. */
typedef struct {
    int64_t rows, columns;
    const float *x;
    int64_t x_row_stride;
    float *y;
    int64_t y_row_stride;
    const float *scale, *shift;
    float epsilon;
} ci_layer_norm_f32_args;
typedef void ci_layer_norm_f32_fn(const ci_layer_norm_f32_args *args);

/* One row of a bilinear resize, a pixel for each of `rows`: with l = left[r] + c, r' = right[r] + c and the
 * products of weights a = left_weight * upper_weight, b = right_weight * upper_weight, and so on,
 *
 *     y[r * y_row_stride + c] = ((upper[l] * a + upper[r'] * b) + lower[l] * c) + lower[r'] * d
 *
 * in this order, without fma, as onnxruntime computes it: where levels of a quantised tensor are resized,
 * many results lie halfway between two levels. */
typedef struct {
    int64_t rows, columns;
    const float *upper, *lower;  /* the two source rows */
    const int64_t *left, *right; /* [rows], elements */
    float upper_weight, lower_weight;
    const float *left_weight, *right_weight; /* [rows] */
    float *y;
    int64_t y_row_stride;
} ci_bilinear_f32_args;
typedef void ci_bilinear_f32_fn(const ci_bilinear_f32_args *args);

#ifdef __cplusplus
}
#endif
#endif
