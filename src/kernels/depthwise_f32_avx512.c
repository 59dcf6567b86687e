/* float32 depthwise convolution, AVX-512. */
#include "conv_infer/microkernel.h"
#include "simd_f32_avx512.h"

#include "activation_f32.inc.h"

#define CI_DEPTHWISE(variant) ci_depthwise_f32_##variant##_avx512
#include "depthwise_f32.inc.h"
