/* Transposes, AVX2. 32-bit elements: blocks of 8 x 8 in eight registers, two above each other so that whole
 * cache lines of x are used at once; edges one element at a time. Bytes: three columns that follow one
 * another, which is what the planes of a colour image become, 16 rows at a time. */
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

/* Of byte `i` of three vectors in which three columns alternate: its row where it is of column `column`, else
 * a number that makes a zero. */
#define ROW(column, i) (char)((i) % 3 == (column) ? (i) / 3 : -1)
#define ROWS(column, i)                                                                                      \
    _mm_setr_epi8(ROW(column, i), ROW(column, i + 1), ROW(column, i + 2), ROW(column, i + 3),                \
                  ROW(column, i + 4), ROW(column, i + 5), ROW(column, i + 6), ROW(column, i + 7),            \
                  ROW(column, i + 8), ROW(column, i + 9), ROW(column, i + 10), ROW(column, i + 11),          \
                  ROW(column, i + 12), ROW(column, i + 13), ROW(column, i + 14), ROW(column, i + 15))

static inline __m128i interleaved(__m128i x0, __m128i x1, __m128i x2, __m128i rows0, __m128i rows1,
                                  __m128i rows2) {
    return _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(x0, rows0), _mm_shuffle_epi8(x1, rows1)),
                        _mm_shuffle_epi8(x2, rows2));
}

/* Answers how many rows are done. */
static int64_t interleave_3(const uint8_t *x, int64_t x_stride, uint8_t *y, int64_t rows) {
    int64_t row = 0;
    for (; row + 16 <= rows; row += 16) {
        const __m128i x0 = _mm_loadu_si128((const __m128i *)(x + row));
        const __m128i x1 = _mm_loadu_si128((const __m128i *)(x + x_stride + row));
        const __m128i x2 = _mm_loadu_si128((const __m128i *)(x + 2 * x_stride + row));
        __m128i *to = (__m128i *)(y + 3 * row);
        _mm_storeu_si128(to, interleaved(x0, x1, x2, ROWS(0, 0), ROWS(1, 0), ROWS(2, 0)));
        _mm_storeu_si128(to + 1, interleaved(x0, x1, x2, ROWS(0, 16), ROWS(1, 16), ROWS(2, 16)));
        _mm_storeu_si128(to + 2, interleaved(x0, x1, x2, ROWS(0, 32), ROWS(1, 32), ROWS(2, 32)));
    }
    return row;
}

void ci_transpose_x8_scalar(const ci_transpose_args *args);

void ci_transpose_x8_avx2(const ci_transpose_args *args) {
    ci_transpose_args rest = *args;
    if (args->columns == 3 && args->y_row_stride == 3) {
        const int64_t done = interleave_3(args->x, args->x_column_stride, args->y, args->rows);
        rest.x = (const uint8_t *)args->x + done;
        rest.y = (uint8_t *)args->y + 3 * done;
        rest.rows -= done;
    }
    ci_transpose_x8_scalar(&rest);
}
