/* The transformations of float32 Winograd convolution, AVX2: the body is in winograd_f32.inc.h. */
#include "conv_infer/microkernel.h"
#include "simd_f32_avx2.h"

#include "activation_f32.inc.h"

#define CI_WINOGRAD(operation) ci_winograd_##operation##_f32_3x3_avx2
#include "winograd_f32.inc.h"
