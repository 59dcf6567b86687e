/* Transpose of 32-bit elements, AVX2: blocks of 8 x 8 in eight registers, two above each other so that whole
 * cache lines of x are used at once; edges one element at a time. */
#include <immintrin.h>

#include "conv_infer/microkernel.h"

static inline void transpose_8x8(const float *x, int64_t x_stride, float *y, int64_t y_stride) {
    __m256 row[8], pair[8];
    for (int i = 0; i < 8; i++)
        row[i] = _mm256_loadu_ps(x + i * x_stride);
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) { /* columns 0 | 4, 1 | 5, 2 | 6, 3 | 7 of rows i .. i + 3 */
        row[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
        row[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xEE);
        row[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
        row[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(y + i * y_stride, _mm256_permute2f128_ps(row[i], row[i + 4], 0x20));
        _mm256_storeu_ps(y + (i + 4) * y_stride, _mm256_permute2f128_ps(row[i], row[i + 4], 0x31));
    }
}

void ci_transpose_x32_avx2(const ci_transpose_args *args) {
    const float *x = args->x;
    float *y = args->y;
    const int64_t x_stride = args->x_column_stride, y_stride = args->y_row_stride;
    const int64_t whole_rows = args->rows & ~(int64_t)7, whole_columns = args->columns & ~(int64_t)7;
    for (int64_t row = 0; row < whole_rows; row += 16) {
        for (int64_t column = 0; column < whole_columns; column += 8) {
            transpose_8x8(x + column * x_stride + row, x_stride, y + row * y_stride + column, y_stride);
            if (row + 8 < whole_rows)
                transpose_8x8(x + column * x_stride + row + 8, x_stride, y + (row + 8) * y_stride + column,
                              y_stride);
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
