/* int8 GEMM, AVX-512 without VNNI: as with AVX2 (gemm_s8_avx2.c), 16 columns to a vector. Up to 6 rows x 64.
 */
#define GEMM_S8_NAME ci_gemm_s8_any_avx512
#define GEMM_S8_ROWS_1 8
#define GEMM_S8_ROWS_2 8
#define GEMM_S8_ROWS_3 8
#define GEMM_S8_ROWS_4 6
#define GEMM_S8_ROWS_5 5

#include "simd_s8_avx512.h"

#define vi_keep(x) CI_KEEP_ZMM(x)
#define vi_dot_pairs(sum, a, b) CI_DOT_PAIRS_ZMM(sum, a, b)

#include "gemm_s8.inc.h"
