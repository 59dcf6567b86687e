/* Kernels on quantised tensors, AVX-512. */
#define CI_NAME(kernel) ci_##kernel##_avx512
#include "simd_s8_avx512.h"

#include "elementwise_u8.inc.h"
