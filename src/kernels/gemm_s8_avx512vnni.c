/* int8 GEMM, AVX-512 VNNI: four byte products summed in int32 (vpdpbusd). Up to 5 rows x 80 columns. */
#define GEMM_S8_NAME ci_gemm_s8_any_avx512vnni
#define GEMM_S8_ROWS_1 8
#define GEMM_S8_ROWS_2 8
#define GEMM_S8_ROWS_3 8
#define GEMM_S8_ROWS_4 6
#define GEMM_S8_ROWS_5 5

#include "simd_s8_avx512.h"

#define vi_keep(x) CI_KEEP_ZMM(x)
#define vi_dot_quads(sum, a, b) CI_DPBUSD_ZMM(sum, a, b)

#include "gemm_s8.inc.h"
