/* Kernels on quantised tensors, NEON. */
#define AVERAGE_PAIRS 2
#define CI_NAME(kernel) ci_##kernel##_neon
#include "simd_s8_neon.h"

#include "elementwise_u8.inc.h"
