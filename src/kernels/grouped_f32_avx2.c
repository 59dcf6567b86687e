/* float32 convolution in narrow groups, AVX2 and FMA: 16 registers. */
#include "conv_infer/microkernel.h"
#include "simd_f32_avx2.h"

#include "activation_f32.inc.h"

#define CI_GROUPED(variant) ci_grouped_f32_##variant##_avx2
#define GROUPED_PIXELS_W2 4
#define GROUPED_PIXELS_W4 3
#define GROUPED_PIXELS_W8 1
#include "grouped_f32.inc.h"
