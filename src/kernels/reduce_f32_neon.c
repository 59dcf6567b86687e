/* Reductions, normalisations and interpolation, float32, NEON. */
#define CI_NAME(kernel) ci_##kernel##_neon
#include "simd_f32_neon.h"

#include "reduce_f32.inc.h"
