/* From sums to int8: the multiplier, the shift and both roundings of TensorFlow Lite. */
#ifndef CI_EMBEDDED_OUTPUT_H
#define CI_EMBEDDED_OUTPUT_H

#include "conv_infer/ops.h"

static inline int8_t to_output(int32_t sum, int32_t multiplier, int32_t shift, const ci_quantisation_s8 *q) {
    const uint32_t left = shift > 0 ? (uint32_t)shift : 0;
    int64_t product = (int64_t)(int32_t)((uint32_t)sum << left) * multiplier + (1 << 30);
    int32_t x = (int32_t)(product >> 31);
    if (shift < 0) { /* ties away from zero: the last bit shifted out is the rounding */
        x += x >> 31;
        x = (x >> -shift) + ((x >> (-shift - 1)) & 1);
    }
    x += q->output_offset;
    x = x < q->activation_min ? q->activation_min : x;
    x = x > q->activation_max ? q->activation_max : x;
    return (int8_t)x;
}

#endif
