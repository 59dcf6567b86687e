/* Elementwise float32 kernels, AVX-512. */
#define CI_NAME(kernel) ci_##kernel##_avx512
#include "simd_f32_avx512.h"

#include "elementwise_f32.inc.h"
