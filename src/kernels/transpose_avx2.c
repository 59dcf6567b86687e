/* Transposes, AVX2. 32-bit elements: blocks of 8 x 8 in eight registers, two above each other so that whole
 * cache lines of x are used at once, or of 4 x 4; blocks at the edges overlap others. Bytes: three columns
 * that follow one another, which is what the planes of a colour image become, 16 rows at a time. */
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

static inline void transpose_4x4(const float *x, int64_t x_stride, float *y, int64_t y_stride) {
    __m128 row0 = _mm_loadu_ps(x), row1 = _mm_loadu_ps(x + x_stride), row2 = _mm_loadu_ps(x + 2 * x_stride),
           row3 = _mm_loadu_ps(x + 3 * x_stride);
    _MM_TRANSPOSE4_PS(row0, row1, row2, row3);
    _mm_storeu_ps(y, row0);
    _mm_storeu_ps(y + y_stride, row1);
    _mm_storeu_ps(y + 2 * y_stride, row2);
    _mm_storeu_ps(y + 3 * y_stride, row3);
}

/* Where a block of `size` begins: the last one ends with the `count`th row or column, over the one before. */
static inline int64_t block_start(int64_t at, int64_t count, int64_t size) {
    return at < count - size ? at : count - size;
}

void ci_transpose_x32_scalar(const ci_transpose_args *args);

void ci_transpose_x32_avx2(const ci_transpose_args *args) {
    const float *x = args->x;
    float *y = args->y;
    const int64_t x_stride = args->x_column_stride, y_stride = args->y_row_stride;
    const int64_t rows = args->rows, columns = args->columns;
    if (rows < 4 || columns < 4) {
        ci_transpose_x32_scalar(args);
    } else if (rows < 8 || columns < 8) {
        for (int64_t i = 0; i < rows; i += 4) {
            const int64_t row = block_start(i, rows, 4);
            for (int64_t j = 0; j < columns; j += 4) {
                const int64_t column = block_start(j, columns, 4);
                transpose_4x4(x + column * x_stride + row, x_stride, y + row * y_stride + column, y_stride);
            }
        }
    } else {
        for (int64_t i = 0; i < rows; i += 16) {
            const int64_t row = block_start(i, rows, 8), below = block_start(i + 8, rows, 8);
            for (int64_t j = 0; j < columns; j += 8) {
                const int64_t column = block_start(j, columns, 8);
                const float *from = x + column * x_stride;
                transpose_8x8(from + row, x_stride, y + row * y_stride + column, y_stride);
                if (i + 8 < rows)
                    transpose_8x8(from + below, x_stride, y + below * y_stride + column, y_stride);
            }
        }
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
