/* float32 GEMM with sums split over lanes, with AVX2 and FMA. The body is in gemm_split_f32.inc.h. */
#include "simd_f32_avx2.h"

#define SPLIT_NAME ci_gemm_split_f32_4x12_avx2
#define SPLIT_MR 4
#define SPLIT_VECTORS 3
#define SPLIT_STEP 2
#include "gemm_split_f32.inc.h"
