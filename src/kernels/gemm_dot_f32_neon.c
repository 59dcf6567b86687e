/* float32 dot-product GEMM, 4 rows x 4 columns, with NEON: 16 sums. The body is in gemm_dot_f32.inc.h. */
#include "simd_f32_neon.h"

CI_INLINE vf gemm_dot_add_lanes(vf sum[1][4]) {
    return vpaddq_f32(vpaddq_f32(sum[0][0], sum[0][1]), vpaddq_f32(sum[0][2], sum[0][3]));
}

#define GEMM_DOT_MR 4
#define GEMM_DOT_NAME ci_gemm_dot_f32_4x4_neon
#include "gemm_dot_f32.inc.h"
