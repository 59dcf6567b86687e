/* Picks bytes of each row by a table, NEON. */
#include <arm_neon.h>

#define GATHER_BYTES ci_gather_x8_neon
#define bytes16 uint8x16_t
#define bytes16_load(from) vld1q_u8(from)
#define bytes16_store(to, x) vst1q_u8(to, x)
#define bytes16_pick(x, places) vqtbl1q_u8(x, places)
#define bytes16_or(a, b) vorrq_u8(a, b)
#include "gather_bytes.inc.h"
