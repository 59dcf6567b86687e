/* int8 GEMM, AVX2, exact: bytes widened to int16, products summed in pairs (vpmaddwd). Up to 3 rows x 32
 * columns. The saturating byte product (vpmaddubsw) is not used: about one pair of weights in fifty could
 * saturate it. */
#define GEMM_S8_NAME ci_gemm_s8_any_avx2
#define GEMM_S8_ROWS_1 6
#define GEMM_S8_ROWS_2 6
#define GEMM_S8_ROWS_3 4
#define GEMM_S8_ROWS_4 3

#include "simd_s8_avx2.h"

#define vi_keep(x) CI_KEEP_YMM(x)
#define vi_dot_pairs(sum, a, b) CI_DOT_PAIRS_YMM(sum, a, b)

#include "gemm_s8.inc.h"
