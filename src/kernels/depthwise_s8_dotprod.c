/* int8 depthwise convolution, Arm dot products: four taps to a product (sdot), for which 128 is taken off the
 * bytes as they are loaded; what that changes is in the bias (origin in layout_s8.h). */
#define DEPTHWISE_S8_ANY ci_depthwise_s8_any_dotprod
#define DEPTHWISE_S8_3X3 ci_depthwise_s8_3x3_dotprod
#define DEPTHWISE_S8_TAPS 4

#include "simd_s8_neon.h"

#define vi_dot(sum, a, b) ((sum) = vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b)))

CI_INLINE vb vb_load_n(const uint8_t *p, int32_t n) {
    (void)n;
    return vb_xor(vb_load(p), vb_set1(0x80));
}

#include "depthwise_s8.inc.h"
