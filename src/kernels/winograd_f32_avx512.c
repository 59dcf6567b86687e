/* The transformations of float32 Winograd convolution, AVX-512: the body is in winograd_f32.inc.h. */
#include "conv_infer/microkernel.h"
#include "simd_f32_avx512.h"

#include "activation_f32.inc.h"

#define CI_WINOGRAD(operation) ci_winograd_##operation##_f32_3x3_avx512
#include "winograd_f32.inc.h"
