/* float32 pooling, AVX-512. */
#include "simd_f32_avx512.h"

#define CI_POOL(operation) ci_##operation##_f32_any_avx512
#include "pool_f32.inc.h"
