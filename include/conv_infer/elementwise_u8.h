/* Contracts of the kernels on quantised tensors that multiply no matrices.
 *
 * Quantised elements are unsigned bytes (see the stored form in microkernel_s8.h). Kernels work on `rows`
 * rows of `columns` elements; row strides are in elements, a row's elements are neighbours unless a column
 * stride says otherwise. An output may be one of the inputs of its own element size, and is disjoint from the
 * others. All float32 arithmetic rounds at each step, or as one fused multiply-add where `fma` is written;
 * `round` rounds half to even, and results saturate. Every instruction set gives the same bits. Kernels
 * cannot fail.
 */
#ifndef CONV_INFER_ELEMENTWISE_U8_H
#define CONV_INFER_ELEMENTWISE_U8_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Quantise: y = round(x / scale) + zero_point, x float32 (NaN counts as 0), y bytes. Dequantise: y =
 * float32(x - zero_point) * scale, x bytes or int32 (x - zero_point wraps around), y float32. */
typedef struct {
    int64_t rows, columns;
    const void *x;
    int64_t x_row_stride;
    void *y;
    int64_t y_row_stride;
    const float *scale; /* greater than 0 */
    const int32_t *zero_point;
    int64_t column_stride; /* of scale and zero_point: 1, or 0 for one of each */
} ci_quantise_args;
typedef void ci_quantise_u8_fn(const ci_quantise_args *args);
typedef void ci_dequantise_u8_fn(const ci_quantise_args *args);
typedef void ci_dequantise_s32_fn(const ci_quantise_args *args);

/* Sum: y = round(fma(a - a_origin, a_scale, fma(b - b_origin, b_scale, constant))) + y_origin.
 * Product: y = round(float32((a - a_origin) * (b - b_origin)) * a_scale + constant) + y_origin.
 * Both limited to minimum .. maximum. A column stride is 1, or 0: one value for the whole row (not for both).
 */
typedef struct {
    int64_t rows, columns;
    const uint8_t *a, *b;
    int64_t a_row_stride, b_row_stride;
    int64_t a_column_stride, b_column_stride;
    uint8_t *y;
    int64_t y_row_stride;
    float a_scale, b_scale, constant;
    int32_t a_origin, b_origin, y_origin;
    int32_t minimum, maximum;
} ci_binary_u8_args;
typedef void ci_add_u8_fn(const ci_binary_u8_args *args);
typedef void ci_mul_u8_fn(const ci_binary_u8_args *args);

/* y = table[x] */
typedef struct {
    int64_t rows, columns;
    const uint8_t *x;
    int64_t x_row_stride;
    uint8_t *y;
    int64_t y_row_stride;
    const uint8_t *table; /* [256] */
} ci_lookup_u8_args;
typedef void ci_lookup_u8_fn(const ci_lookup_u8_args *args);

/* total[c] += the sum of x[r][c] over all rows, modulo 2^32. */
typedef struct {
    int64_t rows, columns;
    const uint8_t *x;
    int64_t x_row_stride;
    uint32_t *total;
} ci_sum_u8_args;
typedef void ci_sum_u8_fn(const ci_sum_u8_args *args);

/* One pixel of an average pool: y[c] = round(sum / count / y_scale + y_zero_point) + y_origin, sum that of
 * float32(x[tap][c] - x_zero_point) * x_scale, the taps added one by one. */
typedef struct {
    int64_t columns;
    int32_t taps;
    const uint8_t *const *x; /* [taps] */
    uint8_t *y;
    float x_scale, count, y_scale, y_zero_point;
    int32_t x_zero_point, y_origin;
} ci_average_u8_args;
typedef void ci_average_u8_fn(const ci_average_u8_args *args);

#ifdef __cplusplus
}
#endif
#endif
