/* Transposes, NEON. 32-bit elements: blocks of 4 x 4 in registers, four above each other so that whole cache
 * lines of x are used at once; edges one element at a time. Bytes: three columns that follow one another,
 * which is what the planes of a colour image become, 16 rows at a time. */
#include <arm_neon.h>

#include "conv_infer/microkernel.h"

static inline void transpose_4x4(const float *x, int64_t x_stride, float *y, int64_t y_stride) {
    const float32x4_t a = vld1q_f32(x), b = vld1q_f32(x + x_stride);
    const float32x4_t c = vld1q_f32(x + 2 * x_stride), d = vld1q_f32(x + 3 * x_stride);
    const float64x2_t ab_even = vreinterpretq_f64_f32(vtrn1q_f32(a, b));
    const float64x2_t ab_odd = vreinterpretq_f64_f32(vtrn2q_f32(a, b));
    const float64x2_t cd_even = vreinterpretq_f64_f32(vtrn1q_f32(c, d));
    const float64x2_t cd_odd = vreinterpretq_f64_f32(vtrn2q_f32(c, d));
    vst1q_f32(y, vreinterpretq_f32_f64(vtrn1q_f64(ab_even, cd_even)));
    vst1q_f32(y + y_stride, vreinterpretq_f32_f64(vtrn1q_f64(ab_odd, cd_odd)));
    vst1q_f32(y + 2 * y_stride, vreinterpretq_f32_f64(vtrn2q_f64(ab_even, cd_even)));
    vst1q_f32(y + 3 * y_stride, vreinterpretq_f32_f64(vtrn2q_f64(ab_odd, cd_odd)));
}

void ci_transpose_x32_neon(const ci_transpose_args *args) {
    const float *x = args->x;
    float *y = args->y;
    const int64_t x_stride = args->x_column_stride, y_stride = args->y_row_stride;
    const int64_t whole_rows = args->rows & ~(int64_t)3, whole_columns = args->columns & ~(int64_t)3;
    for (int64_t first = 0; first < whole_rows; first += 16) {
        const int64_t end = first + 16 < whole_rows ? first + 16 : whole_rows;
        for (int64_t column = 0; column < whole_columns; column += 4) {
            for (int64_t row = first; row < end; row += 4)
                transpose_4x4(x + column * x_stride + row, x_stride, y + row * y_stride + column, y_stride);
        }
    }
    for (int64_t column = whole_columns; column < args->columns; column++) {
        for (int64_t row = 0; row < whole_rows; row++)
            y[row * y_stride + column] = x[column * x_stride + row];
    }
    for (int64_t row = whole_rows; row < args->rows; row++) {
        for (int64_t column = 0; column < args->columns; column++)
            y[row * y_stride + column] = x[column * x_stride + row];
    }
}

void ci_transpose_x8_scalar(const ci_transpose_args *args);

void ci_transpose_x8_neon(const ci_transpose_args *args) {
    ci_transpose_args rest = *args;
    if (args->columns == 3 && args->y_row_stride == 3) {
        const uint8_t *x = args->x;
        uint8_t *y = args->y;
        const int64_t stride = args->x_column_stride;
        int64_t row = 0;
        for (; row + 16 <= args->rows; row += 16) {
            const uint8x16x3_t planes = {
                {vld1q_u8(x + row), vld1q_u8(x + stride + row), vld1q_u8(x + 2 * stride + row)}};
            vst3q_u8(y + 3 * row, planes);
        }
        rest.x = x + row;
        rest.y = y + 3 * row;
        rest.rows -= row;
    }
    ci_transpose_x8_scalar(&rest);
}
