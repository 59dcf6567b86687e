/* float32 convolution in narrow groups, AVX-512: 32 registers. */
#include "conv_infer/microkernel.h"
#include "simd_f32_avx512.h"

#include "activation_f32.inc.h"

#define CI_GROUPED(variant) ci_grouped_f32_##variant##_avx512
#define GROUPED_PIXELS_W2 8
#define GROUPED_PIXELS_W4 6
#define GROUPED_PIXELS_W8 3
#include "grouped_f32.inc.h"
