/* float32 GEMM with sums split over lanes, with AVX-512. The body is in gemm_split_f32.inc.h. */
#include "simd_f32_avx512.h"

#define SPLIT_NAME ci_gemm_split_f32_8x12_avx512
#define SPLIT_MR 8
#define SPLIT_VECTORS 3
#define SPLIT_STEP 4
#include "gemm_split_f32.inc.h"

#define SPLIT_NAME ci_gemm_split_f32_5x20_avx512
#define SPLIT_MR 5
#define SPLIT_VECTORS 5
#define SPLIT_STEP 4
#include "gemm_split_f32.inc.h"

#define SPLIT_NAME ci_gemm_split_f32_8x24_avx512
#define SPLIT_MR 8
#define SPLIT_VECTORS 3
#define SPLIT_STEP 2
#include "gemm_split_f32.inc.h"

#define SPLIT_NAME ci_gemm_split_f32_5x40_avx512
#define SPLIT_MR 5
#define SPLIT_VECTORS 5
#define SPLIT_STEP 2
#include "gemm_split_f32.inc.h"
