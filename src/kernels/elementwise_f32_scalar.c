/* Elementwise float32 kernels, portable C. */
#define CI_NAME(kernel) ci_##kernel##_scalar
#include "simd_f32_scalar.h"

#include "elementwise_f32.inc.h"
