/* float32 pooling, portable C. */
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC optimize("O2") /* small rather than fast: instruction sets have kernels of their own */
#endif

#include <float.h>

#define POOL_FUNCTION ci_maxpool_f32_any_scalar
#define POOL_ELEMENT float
#define POOL_JOIN(so_far, tap) ((so_far) > (tap) ? (so_far) : (tap))
#define POOL_FINISH(result, scale) (result)
#define POOL_EMPTY -FLT_MAX
#include "pool_block.inc.h"

#define POOL_FUNCTION ci_avgpool_f32_any_scalar
#define POOL_ELEMENT float
#define POOL_JOIN(so_far, tap) ((so_far) + (tap))
#define POOL_FINISH(result, scale) ((result) * (scale))
#define POOL_EMPTY 0.0f
#include "pool_block.inc.h"
