/* float32 dot-product GEMM, 4 rows x 4 columns, with AVX-512: 16 sums. The body is in gemm_dot_f32.inc.h. */
#include "simd_f32_avx512.h"

/* In every 128 bits, lane n: the sum of these 128 bits of the n-th vector. */
CI_INLINE __m512 add_within_128(__m512 a, __m512 b, __m512 c, __m512 d) {
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const __m512d low = _mm512_castps_pd(ab), high = _mm512_castps_pd(cd);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(low, high)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)));
}

/* The 128-bit quarters of a and b added in pairs: quarters (a0 + a2, a1 + a3, b0 + b2, b1 + b3). */
CI_INLINE __m512 add_halves(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, _MM_SHUFFLE(1, 0, 1, 0)),
                         _mm512_shuffle_f32x4(a, b, _MM_SHUFFLE(3, 2, 3, 2)));
}

CI_INLINE __m512 gemm_dot_add_lanes(__m512 sum[4][4]) {
    __m512 row[4];
    CI_UNROLL
    for (int r = 0; r < 4; r++)
        row[r] = add_within_128(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
    const __m512 first = add_halves(row[0], row[1]), second = add_halves(row[2], row[3]);
    return _mm512_add_ps(_mm512_shuffle_f32x4(first, second, _MM_SHUFFLE(2, 0, 2, 0)),
                         _mm512_shuffle_f32x4(first, second, _MM_SHUFFLE(3, 1, 3, 1)));
}

#define GEMM_DOT_MR 4
#define GEMM_DOT_NAME ci_gemm_dot_f32_4x4_avx512
#include "gemm_dot_f32.inc.h"
