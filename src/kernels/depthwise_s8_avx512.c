/* int8 depthwise convolution, AVX-512 without VNNI: as with AVX2. */
#define DEPTHWISE_S8_ANY ci_depthwise_s8_any_avx512
#define DEPTHWISE_S8_3X3 ci_depthwise_s8_3x3_avx512
#define DEPTHWISE_S8_TAPS 2

#include "simd_s8_avx512.h"

#define vi_dot(sum, a, b) CI_DOT_PAIRS_ZMM(sum, a, b)

#include "depthwise_s8.inc.h"
