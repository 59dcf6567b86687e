/* int8 convolution 3x3 by Winograd's F(2x2, 3x3), AVX-512, exact: int16 products summed in pairs (vpmaddwd).
 */
#define WINOGRAD_S8_NAME ci_winograd_s8_3x3_avx512

#include "simd_s8_avx512.h"

#define vi_keep(x) CI_KEEP_ZMM(x)
#define vi_dot_pairs_register(sum, a, b) CI_DOT_PAIRS_ZMM_REGISTER(sum, a, b)

#include "winograd_s8.inc.h"
