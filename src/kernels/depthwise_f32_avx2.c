/* float32 depthwise convolution, AVX2 and FMA. */
#include "conv_infer/microkernel.h"
#include "simd_f32_avx2.h"

#include "activation_f32.inc.h"

#define CI_DEPTHWISE(variant) ci_depthwise_f32_##variant##_avx2
#include "depthwise_f32.inc.h"
