/* Max pooling of int8 and uint8, portable C. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__aarch64__)
#    pragma GCC optimize("O2") /* as in pool_f32_scalar.c; 64-bit Arm has no other kernel */
#endif

#include <stdint.h>

#define POOL_FUNCTION ci_maxpool_s8_any_scalar
#define POOL_ELEMENT int8_t
#define POOL_JOIN(so_far, tap) ((so_far) > (tap) ? (so_far) : (tap))
#define POOL_FINISH(result, scale) (result)
#define POOL_EMPTY INT8_MIN
#include "pool_block.inc.h"

#define POOL_FUNCTION ci_maxpool_u8_any_scalar
#define POOL_ELEMENT uint8_t
#define POOL_JOIN(so_far, tap) ((so_far) > (tap) ? (so_far) : (tap))
#define POOL_FINISH(result, scale) (result)
#define POOL_EMPTY 0
#include "pool_block.inc.h"
