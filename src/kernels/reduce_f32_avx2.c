/* Reductions, normalisations and interpolation, float32, AVX2 and FMA. */
#define CI_NAME(kernel) ci_##kernel##_avx2
#include "simd_f32_avx2.h"

#include "reduce_f32.inc.h"
