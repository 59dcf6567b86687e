/* int8 convolution 3x3 by Winograd's F(2x2, 3x3), AVX2, exact: int16 products summed in pairs (vpmaddwd). */
#define WINOGRAD_S8_NAME ci_winograd_s8_3x3_avx2

#include "simd_s8_avx2.h"

#define vi_keep(x) CI_KEEP_YMM(x)
#define vi_dot_pairs_register(sum, a, b) CI_DOT_PAIRS_YMM_REGISTER(sum, a, b)

#include "winograd_s8.inc.h"
