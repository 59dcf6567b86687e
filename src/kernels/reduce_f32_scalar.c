/* Reductions, normalisations and interpolation, float32, portable C. */
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC optimize("O2") /* small rather than fast: instruction sets have kernels of their own */
#endif

#define CI_NAME(kernel) ci_##kernel##_scalar
#include "simd_f32_scalar.h"

#include "reduce_f32.inc.h"
