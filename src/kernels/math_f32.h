/* Elementary functions of vectors of float32, in the vocabulary of simd_f32_<isa>.h, free of branches.
 *
 * Polynomials are minimax fits made for these intervals (relative error below 1e-8 before rounding). Errors
 * against the exact result stay below 4 units in the last place where not said otherwise. NaN gives NaN.
 */
#ifndef CI_MATH_F32_H
#define CI_MATH_F32_H

#include "activation_f32.inc.h"

/* exp(x) = (p + 1) * 2^n, with x = n ln(2) + r and |r| <= ln(2) / 2: returns p. `shifted` is n and 1.5 * 2^23
 * and `offset` in one: adding that rounds to an integer, which can be read off the low bits, without a
 * conversion that NaN would make undefined. */
CI_INLINE vf vf_exp_reduced(vf x, float offset, vf *shifted) {
    const vf magic = vf_set1(12582912.0f + offset);
    *shifted = vf_fma(x, vf_set1(1.44269504f), magic);
    const vf n = vf_sub(*shifted, magic);
    vf r = vf_fma(n, vf_set1(-0.693359375f), x); /* few bits: the product is exact */
    r = vf_fma(n, vf_set1(2.12194440e-4f), r);
    vf q = vf_set1(1.395062876e-03f);
    q = vf_fma(q, r, vf_set1(8.368970138e-03f));
    q = vf_fma(q, r, vf_set1(4.166620374e-02f));
    q = vf_fma(q, r, vf_set1(1.666651817e-01f));
    q = vf_fma(q, r, vf_set1(5.000000096e-01f));
    return vf_fma(q, vf_mul(r, r), r);
}

/* exp(x) for the whole range: 2^n in two steps, for it may overflow or be subnormal itself. */
CI_INLINE vf vf_exp(vf x) {
    vf shifted;
    const vf p = vf_exp_reduced(vf_clamp(x, vf_set1(-104.0f), vf_set1(89.0f)), 0.0f, &shifted);
    const vi n = vi_sub(vi_bits(shifted), vi_set1(0x4B400000)), half = vi_shift_right(n, 1);
    return vf_mul(vf_mul(vf_add(p, vf_set1(1.0f)), vf_exp2i(half)), vf_exp2i(vi_sub(n, half)));
}

/* exp(x) in fewer instructions: 0 where it is below 2^-126, infinite above 2^127.5. */
CI_INLINE vf vf_exp_flushed(vf x) {
    vf shifted;
    const vf p = vf_exp_reduced(vf_clamp(x, vf_set1(-88.0f), vf_set1(89.0f)), 127.0f, &shifted);
    return vf_mul(vf_add(p, vf_set1(1.0f)), vf_bits(vi_shift_left(vi_bits(shifted), 23)));
}

/* exp(x) - 1 for x <= 60 */
CI_INLINE vf vf_expm1(vf x) {
    vf shifted;
    const vf p = vf_exp_reduced(vf_clamp(x, vf_set1(-25.0f), vf_set1(60.0f)), 127.0f, &shifted);
    const vf scale = vf_bits(vi_shift_left(vi_bits(shifted), 23));
    return vf_fma(p, scale, vf_sub(scale, vf_set1(1.0f)));
}

CI_INLINE vf vf_log(vf x) {
    const vm is_subnormal = vf_lt(x, vf_set1(1.17549435e-38f)); /* such numbers become normal */
    const vf scaled = vf_select(is_subnormal, vf_mul(x, vf_set1(8388608.0f)), x);
    const vf bias = vf_select(is_subnormal, vf_set1(23.0f), vf_zero());
    /* scaled = m * 2^e, m in [sqrt(1/2), sqrt(2)) */
    const vi root = vi_set1(0x3F3504F3), shifted = vi_sub(vi_bits(scaled), root);
    const vf e = vf_sub(vf_from_vi(vi_shift_right(shifted, 23)), bias);
    const vf m = vf_bits(vi_add(vi_and(shifted, vi_set1(0x007FFFFF)), root));
    const vf f = vf_sub(m, vf_set1(1.0f));
    vf p = vf_set1(-7.634429665e-02f);
    p = vf_fma(p, f, vf_set1(1.276155029e-01f));
    p = vf_fma(p, f, vf_set1(-1.316019511e-01f));
    p = vf_fma(p, f, vf_set1(1.420176248e-01f));
    p = vf_fma(p, f, vf_set1(-1.662335648e-01f));
    p = vf_fma(p, f, vf_set1(2.000122667e-01f));
    p = vf_fma(p, f, vf_set1(-2.500082106e-01f));
    p = vf_fma(p, f, vf_set1(3.333333171e-01f));
    const vf square = vf_mul(f, f);
    vf y = vf_fma(e, vf_set1(-2.12194440e-4f), vf_mul(p, vf_mul(square, f)));
    y = vf_fma(square, vf_set1(-0.5f), y);
    y = vf_fma(e, vf_set1(0.693359375f), vf_add(y, f));
    y = vf_select(vf_eq(x, vf_zero()), vf_set1(-INFINITY), y);
    y = vf_select(vf_lt(x, vf_zero()), vf_set1(NAN), y);
    return vf_select(vf_lt(x, vf_set1(INFINITY)), y, x); /* infinity and NaN as they came */
}

/* log(1 + x) for x >= 0: what rounding 1 + x lost comes back as a first-order term. */
CI_INLINE vf vf_log1p(vf x) {
    const vf w = vf_add(vf_set1(1.0f), x);
    return vf_add(vf_log(w), vf_div(vf_sub(x, vf_sub(w, vf_set1(1.0f))), w));
}

CI_INLINE vf vf_sigmoid(vf x) {
    const vf one = vf_set1(1.0f);
    return vf_div(one, vf_add(one, vf_exp_flushed(vf_neg(x))));
}

CI_INLINE vf vf_tanh(vf x) {
    const vf t = vf_expm1(vf_mul(vf_set1(2.0f), vf_min(vf_abs(x), vf_set1(20.0f))));
    return vf_copysign(vf_div(t, vf_add(t, vf_set1(2.0f))), x);
}

/* x * P(x^2) below 1, 1 - exp(-Q(|x|)) above. */
CI_INLINE vf vf_erf(vf x) {
    const vf t = vf_min(vf_abs(x), vf_set1(4.0f)), square = vf_mul(t, t);
    vf p = vf_set1(7.889119407e-05f);
    p = vf_fma(p, square, vf_set1(-8.020841242e-04f));
    p = vf_fma(p, square, vf_set1(5.189535335e-03f));
    p = vf_fma(p, square, vf_set1(-2.685444459e-02f));
    p = vf_fma(p, square, vf_set1(1.128360018e-01f));
    p = vf_fma(p, square, vf_set1(-3.761262714e-01f));
    p = vf_fma(p, square, vf_set1(1.128379166e+00f));
    vf q = vf_set1(1.855748947e-04f);
    q = vf_fma(q, t, vf_set1(-2.939615749e-03f));
    q = vf_fma(q, t, vf_set1(2.180535121e-02f));
    q = vf_fma(q, t, vf_set1(-1.030374356e-01f));
    q = vf_fma(q, t, vf_set1(-6.382256022e-01f));
    q = vf_fma(q, t, vf_set1(-1.127040080e+00f));
    q = vf_fma(q, t, vf_set1(-3.537089112e-04f));
    const vf large = vf_sub(vf_set1(1.0f), vf_exp_flushed(q));
    return vf_copysign(vf_select(vf_lt(t, vf_set1(1.0f)), vf_mul(p, t), large), x);
}

/* log(1 + exp(x)) */
CI_INLINE vf vf_softplus(vf x) {
    return vf_add(vf_max(x, vf_zero()), vf_log1p(vf_exp_flushed(vf_neg(vf_abs(x)))));
}

/* x * tanh(log(1 + exp(x))), with tanh(log(w)) = (w^2 - 1) / (w^2 + 1) */
CI_INLINE vf vf_mish(vf x) {
    const vf e = vf_exp_flushed(vf_min(x, vf_set1(20.0f))), two = vf_set1(2.0f);
    const vf square = vf_mul(e, vf_add(e, two));
    return vf_mul(x, vf_div(square, vf_add(square, two)));
}

#endif
