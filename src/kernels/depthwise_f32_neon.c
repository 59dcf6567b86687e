/* float32 depthwise convolution, NEON. */
#include "conv_infer/microkernel.h"
#include "simd_f32_neon.h"

#include "activation_f32.inc.h"

#define CI_DEPTHWISE(variant) ci_depthwise_f32_##variant##_neon
#include "depthwise_f32.inc.h"
