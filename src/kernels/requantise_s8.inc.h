/* The epilogue of the int8 kernels, written in their vector vocabulary: sums become bytes (ci_requantise). */
#ifndef CONV_INFER_KERNELS_REQUANTISE_S8_INC_H
#define CONV_INFER_KERNELS_REQUANTISE_S8_INC_H

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

/* Where the scaled sum leaves int32, it becomes the least int32: right downwards, where bytes saturate, and
 * wrong upwards. A scale below 1 cannot bring it so far; others need the bound, which is far outside of any
 * byte. */
CI_INLINE vi s8_scale_small(vi sum, vf scale) {
    return vi_from_vf(vf_mul(vf_from_vi(sum), scale));
}
CI_INLINE vi s8_scale_any(vi sum, vf scale) {
    return vi_from_vf(vf_min(vf_mul(vf_from_vi(sum), scale), vf_set1(32767.0f)));
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

/* Adds the residual to the rounded value of `columns` columns from `data` on; answers the new rounded value,
 * to which `out_origin` is yet to be added. */
CI_INLINE vi s8_add_residual(vi rounded, const ci_requantise *requantise, const uint8_t *data,
                             int32_t columns) {
    const ci_residual_s8 *residual = &requantise->residual;
    const int32_t zero_point = requantise->zero_point;
    const vi low = vi_set1(requantise->minimum - zero_point),
             high = vi_set1(requantise->maximum - zero_point);
    const vi q = vi_add(vi_max(vi_min(rounded, high), low), vi_set1(zero_point));
    const vf own = vf_from_vi(vi_sub(q, vi_set1(residual->origin)));
    const vf other = vf_from_vi(vi_sub(vi_load_bytes(data, columns), vi_set1(residual->data_origin)));
    const vf sum = vf_fma(own, vf_set1(residual->scale),
                          vf_fma(other, vf_set1(residual->data_scale), vf_set1(residual->constant)));
    return vi_from_vf(vf_min(sum, vf_set1(32767.0f)));
}

#endif
