/* Kernels on quantised tensors, AVX2 and FMA. */
#define CI_NAME(kernel) ci_##kernel##_avx2
#include "simd_s8_avx2.h"

#include "elementwise_u8.inc.h"
