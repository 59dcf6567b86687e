/* float32 GEMM with NEON, scheduled for Cortex-A53: the tiles of gemm_f32_neon.c that leave registers free
 * for loading ahead. */
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC optimize("no-schedule-insns", "no-code-hoisting") /* see gemm_f32_neon.c */
#endif

#include "simd_f32_neon.h"

#define GEMM_NAME ci_gemm_f32_12x4_a53
#define GEMM_MR 12
#define GEMM_VECTORS 1
#include "gemm_f32.inc.h"

#define GEMM_IN_ORDER
#define GEMM_NAME ci_gemm_f32_8x8_a53
#define GEMM_MR 8
#define GEMM_VECTORS 2
#include "gemm_f32.inc.h"
