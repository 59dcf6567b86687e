/* How an int32 sum becomes a byte, in portable C: the reference of every instruction set. */
#ifndef CI_REQUANTISE_H
#define CI_REQUANTISE_H

#include <math.h>

#include "conv_infer/microkernel_s8.h"

/* Whether a step may use it: by scale or not at all, its bounds bytes. */
static inline int ci_requantise_is_legal(const ci_requantise *way) {
    const ci_residual_s8 *residual = &way->residual;
    return way->rule == CI_REQUANTISE_NONE ||
           (way->rule == CI_REQUANTISE_SCALE && 0 <= way->minimum && way->minimum <= way->maximum &&
            way->maximum <= 255 && 0 <= way->zero_point && way->zero_point <= 255 &&
            (way->flip == 0 || way->flip == 0x80) && 0 <= residual->minimum &&
            residual->minimum <= residual->maximum && residual->maximum <= 255);
}

static inline int32_t ci_clamp_s32(int32_t x, int32_t minimum, int32_t maximum) {
    return x < minimum ? minimum : x > maximum ? maximum : x;
}

/* x + offset within bounds, for bounds and offsets of a byte's size: the sum itself may not fit. */
static inline int32_t ci_move_and_clamp(int32_t x, int32_t offset, int32_t minimum, int32_t maximum) {
    return ci_clamp_s32(x, minimum - offset, maximum - offset) + offset;
}

/* Rounds half to even; values outside of int16, which no byte needs, become its ends. */
static inline int32_t ci_round_half_even(float x) {
    const float to_integer = 12582912.0f; /* 1.5 * 2^23: a float of this size has no fraction bits */
    x = x < 32767.0f ? x : 32767.0f;
    x = x > -32768.0f ? x : -32768.0f;
    volatile float shifted = x + to_integer;
    return (int32_t)(shifted - to_integer);
}

/* (x * multiplier + 2^30) >> 31. The result's 32 bits are the same whether the shift keeps the sign or not.
 */
static inline int32_t ci_doubling_high_multiply(int32_t x, int32_t multiplier) {
    return (int32_t)((uint64_t)((int64_t)x * multiplier + (1 << 30)) >> 31);
}

/* x / 2^exponent to nearest, ties away from zero, for exponents up to 31: in 32 bits, for on small processors
 * a variable shift of 64 costs more than all the rest. */
static inline int32_t ci_divide_by_power_of_two(int32_t x, int32_t exponent) {
    const uint32_t sign = x < 0 ? UINT32_MAX : 0;
    if (exponent == 0)
        return x;
    const uint32_t size = ((uint32_t)x ^ sign) - sign;
    return (int32_t)(((((size >> (exponent - 1)) + 1) >> 1) ^ sign) - sign);
}

/* CI_REQUANTISE_MULTIPLIER, without the zero point. */
static inline int32_t ci_multiply_by_quantised(int32_t x, int32_t multiplier, int32_t shift) {
    if (shift > 0)
        return ci_doubling_high_multiply((int32_t)((uint32_t)x << shift), multiplier);
    return ci_divide_by_power_of_two(ci_doubling_high_multiply(x, multiplier), -shift);
}

/* The output (unsigned terms) of one column's sum, before residual and flip. */
static inline int32_t ci_requantise_sum(const ci_requantise *requantise, int32_t column, int32_t sum) {
    int32_t rounded;
    if (requantise->rule == CI_REQUANTISE_SCALE)
        rounded = ci_round_half_even((float)sum * requantise->scale[column]);
    else
        rounded = ci_multiply_by_quantised(sum, requantise->multiplier[column], requantise->shift[column]);
    return ci_move_and_clamp(rounded, requantise->zero_point, requantise->minimum, requantise->maximum);
}

/* `q` with the residual's byte added. */
static inline int32_t ci_add_residual(const ci_residual_s8 *residual, int32_t q, uint8_t other) {
    const float own = (float)(q - residual->origin), data = (float)((int32_t)other - residual->data_origin);
    const float sum = fmaf(own, residual->scale, fmaf(data, residual->data_scale, residual->constant));
    return ci_clamp_s32(ci_round_half_even(sum) + residual->out_origin, residual->minimum, residual->maximum);
}

#endif
