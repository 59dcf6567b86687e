/* float32 dot-product GEMM, 2 rows x 4 columns, with AVX2 and FMA: 8 sums. The body is in gemm_dot_f32.inc.h.
 */
#include "simd_f32_avx2.h"

CI_INLINE __m256 gemm_dot_add_lanes(__m256 sum[2][4]) {
    __m256 row[2];
    CI_UNROLL
    for (int r = 0; r < 2; r++)
        row[r] = _mm256_hadd_ps(_mm256_hadd_ps(sum[r][0], sum[r][1]), _mm256_hadd_ps(sum[r][2], sum[r][3]));
    return _mm256_add_ps(_mm256_permute2f128_ps(row[0], row[1], 0x20),
                         _mm256_permute2f128_ps(row[0], row[1], 0x31));
}

#define GEMM_DOT_MR 2
#define GEMM_DOT_NAME ci_gemm_dot_f32_2x4_avx2
#include "gemm_dot_f32.inc.h"
