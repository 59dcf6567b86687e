/* int8 GEMM, AVX-VNNI: four byte products summed in int32 (vpdpbusd). Up to 4 rows x 24 columns. */
#define GEMM_S8_NAME ci_gemm_s8_any_avxvnni
#define GEMM_S8_ROWS_1 8
#define GEMM_S8_ROWS_2 6
#define GEMM_S8_ROWS_3 4

#include "simd_s8_avx2.h"

#define vi_keep(x) CI_KEEP_YMM(x)
#define vi_dot_quads(sum, a, b) CI_DPBUSD_YMM(sum, a, b)

#include "gemm_s8.inc.h"
