/* float32 GEMM with NEON: 32 registers. The body, and what it computes, is in gemm_f32.inc.h; its inner loop
 * in gemm_f32_by_lane.inc.h. Beside its sums a tile holds four depths of each row and a vector of weights. */
#if defined(__GNUC__) && !defined(__clang__)
/* Before registers are handed out gcc moves loads up, past each other and out of branches, beyond what there
 * are registers for, and sums end up in memory. */
#    pragma GCC optimize("no-schedule-insns", "no-code-hoisting")
#endif

#include "simd_f32_neon.h"

#define GEMM_NAME ci_gemm_f32_12x4_neon
#define GEMM_MR 12
#define GEMM_VECTORS 1
#include "gemm_f32.inc.h"

#define GEMM_NAME ci_gemm_f32_8x8_neon
#define GEMM_MR 8
#define GEMM_VECTORS 2
#include "gemm_f32.inc.h"

#define GEMM_NAME ci_gemm_f32_6x16_neon
#define GEMM_MR 6
#define GEMM_VECTORS 4
#include "gemm_f32.inc.h"
