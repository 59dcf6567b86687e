/* The epilogue of the int8 kernels, written in their vector vocabulary: sums become bytes (ci_requantise). */
#ifndef CONV_INFER_KERNELS_REQUANTISE_S8_INC_H
#define CONV_INFER_KERNELS_REQUANTISE_S8_INC_H

#include "bytes_s8.inc.h"
#include "conv_infer/microkernel_s8.h"

/* What vectors of every row share. */
typedef struct {
    vi zero_point; /* int16 */
    vb minimum, maximum, flip;
} s8_range;

CI_INLINE s8_range s8_range_of(const ci_requantise *requantise) {
    const s8_range range = {vi_set1_16(requantise->zero_point), vb_set1(requantise->minimum),
                            vb_set1(requantise->maximum), vb_set1(requantise->flip)};
    return range;
}

/* The same of what is stored in the end, which is another tensor where a residual is added. */
CI_INLINE s8_range s8_stored_range_of(const ci_requantise *requantise) {
    s8_range range = s8_range_of(requantise);
    if (requantise->residual.data) {
        range.zero_point = vi_set1_16(requantise->residual.out_origin);
        range.minimum = vb_set1(requantise->residual.minimum);
        range.maximum = vb_set1(requantise->residual.maximum);
    }
    return range;
}

/* A scale below 1 cannot bring a sum out of int32. */
CI_INLINE vi s8_scale_small(vi sum, vf scale) {
    return vi_from_vf(vf_mul(vf_from_vi(sum), scale));
}
CI_INLINE vi s8_scale_any(vi sum, vf scale) {
    return vi_from_large_vf(vf_mul(vf_from_vi(sum), scale));
}

/* Shift > 0: to the left, before; shift < 0: to the right, after, rounding to nearest, ties away from zero.
 */
CI_INLINE vi s8_multiply(vi sum, vi multiplier, vi shift) {
    const vi zero = vi_set1(0), one = vi_set1(1);
    const vi right = vi_max(vi_sub(zero, shift), zero);
    const vi high = vi_doubling_high_mul(vi_shift_left(sum, vi_max(shift, zero)), multiplier);
    const vi mask = vi_sub(vi_shift_left(one, right), one);
    const vi half = vi_shift_right(mask, one), tie = vi_increment_where_greater(half, zero, high);
    return vi_increment_where_greater(vi_shift_right(high, right), vi_and(high, mask), tie);
}

/* The rounded value of a sum of column `column`, before the zero point is added. */
CI_INLINE vi s8_rounded(vi sum, const ci_requantise *requantise, int32_t column) {
    if (requantise->rule == CI_REQUANTISE_SCALE)
        return s8_scale_any(sum, vf_load(requantise->scale + column));
    return s8_multiply(sum, vi_load(requantise->multiplier + column), vi_load(requantise->shift + column));
}

CI_INLINE vb s8_finish(vi a, vi b, vi c, vi d, const s8_range *range) {
    return vb_xor(vb_clamp(vb_pack(a, b, c, d, range->zero_point), range->minimum, range->maximum),
                  range->flip);
}

#define TO_INTEGER                                                                                           \
    12582912.0f /* 1.5 * 2^23: a float of this size has no fraction bits, nor has what is near it */

/* What adding a residual needs, read once. */
typedef struct {
    vf low, high; /* of the value before the residual is added, less its zero point */
    vf scale, data_scale, constant;
    vf to_integer, own_offset; /* added one after the other: rounds, and moves to the value less its origin */
    vf data_offset;            /* what vf_above_2_23() adds, and the residual's origin: to be added */
} s8_addition;

CI_INLINE s8_addition s8_addition_of(const ci_requantise *requantise) {
    const ci_residual_s8 *residual = &requantise->residual;
    const s8_addition addition = {
        .low = vf_set1((float)(requantise->minimum - requantise->zero_point)),
        .high = vf_set1((float)(requantise->maximum - requantise->zero_point)),
        .scale = vf_set1(residual->scale),
        .data_scale = vf_set1(residual->data_scale),
        .constant = vf_set1(residual->constant),
        .to_integer = vf_set1(TO_INTEGER),
        .own_offset = vf_set1((float)(requantise->zero_point - residual->origin) - TO_INTEGER),
        .data_offset = vf_set1(-8388608.0f - (float)residual->data_origin),
    };
    return addition;
}

/* Whether no sum of a residual and what it is added to comes near the ends of int32. */
CI_INLINE int s8_adds_little(const ci_residual_s8 *residual) {
    const float limit = 1e6f, constant = residual->constant;
    return residual->scale < limit && residual->data_scale < limit && constant < limit && constant > -limit;
}

/* The residual's first `columns` bytes from `data` on, less their origin. */
CI_INLINE vf s8_residual_at(const s8_addition *addition, const uint8_t *data, int32_t columns) {
    return vf_add(vf_above_2_23(vi_load_bytes(data, columns)), addition->data_offset);
}

/* The same of `count` vectors. */
CI_INLINE void s8_residual_row(vf *other, const int count, const ci_residual_s8 *residual,
                               const s8_addition *addition, const uint8_t *data, int32_t columns) {
#ifdef vi_load_16_bytes_less
    if (count == 4 && CI_LIKELY(columns >= 16)) {
        vi bytes[4];
        vi_load_16_bytes_less(bytes, data, vi_set1(residual->data_origin));
        CI_UNROLL
        for (int v = 0; v < 4; v++)
            other[v] = vf_from_vi(bytes[v]);
        return;
    }
#endif
    (void)residual;
    CI_UNROLL
    for (int v = 0; v < count; v++) /* only the last may be short */
        other[v] =
            s8_residual_at(addition, data + v * VI_LANES, v + 1 < count ? VI_LANES : columns - v * VI_LANES);
}

/* A scaled value, or one that is rounded already, and what of the residual is added to it. The limits are
 * whole numbers, so that it does not matter whether they or the rounding come first. */
CI_INLINE vf s8_with_residual(vf scaled, vf other, const s8_addition *addition) {
    const vf limited = vf_max(vf_min(scaled, addition->high), addition->low);
    const vf own = vf_add(vf_add(limited, addition->to_integer), addition->own_offset);
    return vf_fma(own, addition->scale, vf_fma(other, addition->data_scale, addition->constant));
}

/* The new rounded value, to which `out_origin` is yet to be added; bounded as in s8_scale_any(), where it is
 * not known that it s8_adds_little(). */
CI_INLINE vi s8_add_small(vf scaled, const s8_addition *addition, const uint8_t *data, int32_t columns) {
    return vi_from_vf(s8_with_residual(scaled, s8_residual_at(addition, data, columns), addition));
}
CI_INLINE vi s8_add_any(vf scaled, const s8_addition *addition, const uint8_t *data, int32_t columns) {
    return vi_from_large_vf(s8_with_residual(scaled, s8_residual_at(addition, data, columns), addition));
}

#endif
