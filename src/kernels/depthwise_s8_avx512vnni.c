/* int8 depthwise convolution, AVX-512 VNNI: four taps to a product (vpdpbusd). */
#define DEPTHWISE_S8_ANY ci_depthwise_s8_any_avx512vnni
#define DEPTHWISE_S8_3X3 ci_depthwise_s8_3x3_avx512vnni
#define DEPTHWISE_S8_TAPS 4

#include "simd_s8_avx512.h"

#define vi_dot(sum, a, b) CI_DPBUSD_ZMM_MEMORY(sum, a, b)

#include "depthwise_s8.inc.h"
