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

#ifdef __cplusplus
}
#endif
#endif
