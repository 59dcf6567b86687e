/* Reductions, normalisations and interpolation, float32, portable C. */
#define CI_NAME(kernel) ci_##kernel##_scalar
#include "simd_f32_scalar.h"

#include "reduce_f32.inc.h"
