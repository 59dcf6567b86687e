/* Reductions, normalisations and interpolation, float32, AVX-512. */
#define CI_NAME(kernel) ci_##kernel##_avx512
#include "simd_f32_avx512.h"

#include "reduce_f32.inc.h"
