/* int8 depthwise convolution, AVX2: bytes widened to int16, two taps to a product (vpmaddwd). */
#define DEPTHWISE_S8_ANY ci_depthwise_s8_any_avx2
#define DEPTHWISE_S8_3X3 ci_depthwise_s8_3x3_avx2
#define DEPTHWISE_S8_TAPS 2

#include "simd_s8_avx2.h"

#define vi_dot(sum, a, b) CI_DOT_PAIRS_YMM(sum, a, b)

#include "depthwise_s8.inc.h"
