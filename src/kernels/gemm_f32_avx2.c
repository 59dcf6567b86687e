/* float32 GEMM with AVX2 and FMA: 16 registers. The body, and what it computes, is in gemm_f32.inc.h. */
#include "simd_f32_avx2.h"

#define GEMM_NAME ci_gemm_f32_10x8_avx2
#define GEMM_MR 10
#define GEMM_VECTORS 1
#include "gemm_f32.inc.h"

#define GEMM_NAME ci_gemm_f32_6x16_avx2
#define GEMM_MR 6
#define GEMM_VECTORS 2
#include "gemm_f32.inc.h"

#define GEMM_NAME ci_gemm_f32_4x24_avx2
#define GEMM_MR 4
#define GEMM_VECTORS 3
#include "gemm_f32.inc.h"
