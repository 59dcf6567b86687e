/* int8 depthwise convolution, Arm dot products of unsigned and signed bytes (usdot): four taps to a product.
 */
#define DEPTHWISE_S8_ANY ci_depthwise_s8_any_i8mm
#define DEPTHWISE_S8_3X3 ci_depthwise_s8_3x3_i8mm
#define DEPTHWISE_S8_TAPS 4

#include "simd_s8_neon.h"

#define vi_dot(sum, a, b) ((sum) = vusdotq_s32(sum, vreinterpretq_u8_s32(a), vreinterpretq_s8_s32(b)))

CI_INLINE vb vb_load_n(const uint8_t *p, int32_t n) {
    (void)n;
    return vb_load(p);
}

#include "depthwise_s8.inc.h"
