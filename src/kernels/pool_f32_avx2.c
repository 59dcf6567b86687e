/* float32 pooling, AVX2. */
#include "simd_f32_avx2.h"

#define CI_POOL(operation) ci_##operation##_f32_any_avx2
#include "pool_f32.inc.h"
