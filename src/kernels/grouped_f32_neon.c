/* float32 convolution in narrow groups, NEON: 32 registers. Groups of 8 are two vectors wide: a GEMM
 * whose panels are as wide as a group takes them. */
#include "conv_infer/microkernel.h"
#include "simd_f32_neon.h"

#include "activation_f32.inc.h"

#define CI_GROUPED(variant) ci_grouped_f32_##variant##_neon
#define GROUPED_PIXELS_W2 8
#define GROUPED_PIXELS_W4 6
#include "grouped_f32.inc.h"
