/* Max pooling of int8 and uint8, by the compiler for AVX2. */
#include <stdint.h>

#define POOL_FUNCTION ci_maxpool_s8_any_avx2
#define POOL_ELEMENT int8_t
#define POOL_JOIN(so_far, tap) ((so_far) > (tap) ? (so_far) : (tap))
#define POOL_FINISH(result, scale) (result)
#define POOL_EMPTY INT8_MIN
#include "pool_block.inc.h"

#define POOL_FUNCTION ci_maxpool_u8_any_avx2
#define POOL_ELEMENT uint8_t
#define POOL_JOIN(so_far, tap) ((so_far) > (tap) ? (so_far) : (tap))
#define POOL_FINISH(result, scale) (result)
#define POOL_EMPTY 0
#include "pool_block.inc.h"
