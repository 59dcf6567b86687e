/* float32 pooling, NEON. */
#include "simd_f32_neon.h"

#define CI_POOL(operation) ci_##operation##_f32_any_neon
#include "pool_f32.inc.h"
