/* Elementwise float32 kernels, NEON. */
#define CI_NAME(kernel) ci_##kernel##_neon
#include "simd_f32_neon.h"

#include "elementwise_f32.inc.h"
