/* float32 GEMM with AVX-512: 32 registers. The body, and what it computes, is in gemm_f32.inc.h. */
#include "simd_f32_avx512.h"

#define GEMM_NAME ci_gemm_f32_10x16_avx512
#define GEMM_MR 10
#define GEMM_VECTORS 1
#include "gemm_f32.inc.h"

#define GEMM_NAME ci_gemm_f32_10x32_avx512
#define GEMM_MR 10
#define GEMM_VECTORS 2
#include "gemm_f32.inc.h"

#define GEMM_NAME ci_gemm_f32_8x48_avx512
#define GEMM_MR 8
#define GEMM_VECTORS 3
#include "gemm_f32.inc.h"

#define GEMM_NAME ci_gemm_f32_6x64_avx512
#define GEMM_MR 6
#define GEMM_VECTORS 4
#include "gemm_f32.inc.h"

#define GEMM_NAME ci_gemm_f32_5x80_avx512
#define GEMM_MR 5
#define GEMM_VECTORS 5
#include "gemm_f32.inc.h"
