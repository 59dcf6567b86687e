/* Picks 32-bit elements and bytes of each row by a table, AVX2. */
#include <immintrin.h>

#include "conv_infer/microkernel.h"

void ci_gather_x32_avx2(const ci_gather_args *args) {
    for (int64_t row = 0; row < args->rows; row++) {
        const float *x = (const float *)args->x + row * args->x_row_stride;
        float *y = (float *)args->y + row * args->y_row_stride;
        int64_t column = 0;
        for (; column + 8 <= args->columns; column += 8) {
            const __m256i index = _mm256_loadu_si256((const __m256i *)(args->index + column));
            _mm256_storeu_ps(y + column, _mm256_i32gather_ps(x, index, 4));
        }
        for (; column < args->columns; column++)
            y[column] = x[args->index[column]];
    }
}

#define GATHER_BYTES ci_gather_x8_avx2
#define bytes16 __m128i
#define bytes16_load(from) _mm_loadu_si128((const __m128i *)(const void *)(from))
#define bytes16_store(to, x) _mm_storeu_si128((__m128i *)(void *)(to), x)
#define bytes16_pick(x, places) _mm_shuffle_epi8(x, places)
#define bytes16_or(a, b) _mm_or_si128(a, b)
#include "gather_bytes.inc.h"
