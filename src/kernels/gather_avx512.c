/* Picks 32-bit elements of each row by a table, AVX-512; the last few under a mask. */
#include <immintrin.h>

#include "conv_infer/microkernel.h"

void ci_gather_x32_avx512(const ci_gather_args *args) {
    const int64_t whole = args->columns & ~(int64_t)15;
    const __mmask16 rest = (__mmask16)((1u << (args->columns - whole)) - 1);
    for (int64_t row = 0; row < args->rows; row++) {
        const float *x = (const float *)args->x + row * args->x_row_stride;
        float *y = (float *)args->y + row * args->y_row_stride;
        for (int64_t column = 0; column < whole; column += 16) {
            const __m512i index = _mm512_loadu_si512(args->index + column);
            _mm512_storeu_ps(y + column, _mm512_i32gather_ps(index, x, 4));
        }
        if (rest) {
            const __m512i index = _mm512_maskz_loadu_epi32(rest, args->index + whole);
            _mm512_mask_storeu_ps(y + whole, rest,
                                  _mm512_mask_i32gather_ps(_mm512_setzero_ps(), rest, index, x, 4));
        }
    }
}
