/* The transformations of float32 Winograd convolution, portable C: the body is in winograd_f32.inc.h. */
#include "conv_infer/microkernel.h"
#include "simd_f32_scalar.h"

#include "activation_f32.inc.h"

#define CI_WINOGRAD(operation) ci_winograd_##operation##_f32_3x3_scalar
#include "winograd_f32.inc.h"
