/* Elementary functions of one float32, free of branches so that a loop over them becomes vector code.
 *
 * Polynomials are minimax fits made for these intervals (relative error below 1e-8 before rounding). Errors
 * against the exact result stay below 4 units in the last place where not said otherwise. NaN gives NaN.
 */
#ifndef CI_MATH_F32_H
#define CI_MATH_F32_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "compiler.h"

/* Fused where the target has the instruction; emulating it elsewhere would cost a library call per product.
 */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#    define CI_FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#    define CI_FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline float ci_float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t ci_bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The comparisons are written so that a NaN in x stays. */
static inline float ci_clamp(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

static inline float ci_min(float a, float b) {
    return a < b || a != a ? a : b;
}
static inline float ci_max(float a, float b) {
    return a > b || a != a ? a : b;
}

/* x = n ln(2) + r with |r| <= ln(2) / 2: returns exp(r) - 1, and n. Adding 1.5 * 2^23 rounds to an integer
 * that can be read off the low bits, without a conversion that NaN would make undefined. */
static inline float ci_exp_reduced(float x, int32_t *n) {
    const float magic = 12582912.0f;
    const float shifted = x * 1.44269504f + magic;
    const float rounded = shifted - magic;
    float r = CI_FMA(rounded, -0.693359375f, x); /* few bits: the product is exact */
    r = CI_FMA(rounded, 2.12194440e-4f, r);
    float q = 1.395062876e-03f;
    q = CI_FMA(q, r, 8.368970138e-03f);
    q = CI_FMA(q, r, 4.166620374e-02f);
    q = CI_FMA(q, r, 1.666651817e-01f);
    q = CI_FMA(q, r, 5.000000096e-01f);
    *n = (int32_t)(ci_bits_of_float(shifted) - 0x4B400000u);
    return CI_FMA(q, r * r, r);
}

static inline float ci_power_of_two(int32_t n) {
    return ci_float_of_bits((uint32_t)(n + 127) << 23);
}

static inline float ci_exp(float x) {
    int32_t n;
    x = ci_clamp(x, -104.0f, 89.0f);
    const float p = ci_exp_reduced(x, &n) + 1.0f;
    const int32_t half = n >> 1; /* in two steps: 2^n itself may overflow or be subnormal */
    return p * ci_power_of_two(half) * ci_power_of_two(n - half);
}

/* exp(x) - 1 for x <= 60 */
static inline float ci_expm1(float x) {
    int32_t n;
    x = ci_clamp(x, -25.0f, 60.0f);
    const float p = ci_exp_reduced(x, &n), scale = ci_power_of_two(n);
    return CI_FMA(p, scale, scale - 1.0f);
}

static inline float ci_log(float x) {
    const float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x; /* subnormal numbers become normal */
    const float bias = x < 1.17549435e-38f ? 23.0f : 0.0f;
    /* scaled = m * 2^e, m in [sqrt(1/2), sqrt(2)) */
    const uint32_t bits = ci_bits_of_float(scaled), shifted = bits - 0x3F3504F3u;
    const float e = (float)((int32_t)shifted >> 23) - bias;
    const float f = ci_float_of_bits((shifted & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f;
    float p = -7.634429665e-02f;
    p = CI_FMA(p, f, 1.276155029e-01f);
    p = CI_FMA(p, f, -1.316019511e-01f);
    p = CI_FMA(p, f, 1.420176248e-01f);
    p = CI_FMA(p, f, -1.662335648e-01f);
    p = CI_FMA(p, f, 2.000122667e-01f);
    p = CI_FMA(p, f, -2.500082106e-01f);
    p = CI_FMA(p, f, 3.333333171e-01f);
    const float square = f * f;
    float y = CI_FMA(e, -2.12194440e-4f, p * (square * f));
    y = CI_FMA(square, -0.5f, y);
    y = CI_FMA(e, 0.693359375f, y + f);
    y = x == 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    return x < INFINITY ? y : x; /* infinity and NaN as they came */
}

/* log(1 + x) for x >= 0: what rounding 1 + x lost comes back as a first-order term. */
static inline float ci_log1p(float x) {
    const float w = 1.0f + x;
    return ci_log(w) + (x - (w - 1.0f)) / w;
}

static inline float ci_sigmoid(float x) {
    return 1.0f / (1.0f + ci_exp(-x));
}

static inline float ci_tanh(float x) {
    const float t = ci_expm1(2.0f * (fabsf(x) > 20.0f ? 20.0f : fabsf(x)));
    return copysignf(t / (t + 2.0f), x);
}

/* x * P(x^2) below 1, 1 - exp(-Q(|x|)) above. */
static inline float ci_erf(float x) {
    const float t = fabsf(x) > 4.0f ? 4.0f : fabsf(x), square = t * t;
    float p = 7.889119407e-05f;
    p = CI_FMA(p, square, -8.020841242e-04f);
    p = CI_FMA(p, square, 5.189535335e-03f);
    p = CI_FMA(p, square, -2.685444459e-02f);
    p = CI_FMA(p, square, 1.128360018e-01f);
    p = CI_FMA(p, square, -3.761262714e-01f);
    p = CI_FMA(p, square, 1.128379166e+00f);
    float q = -1.855748947e-04f;
    q = CI_FMA(q, t, 2.939615749e-03f);
    q = CI_FMA(q, t, -2.180535121e-02f);
    q = CI_FMA(q, t, 1.030374356e-01f);
    q = CI_FMA(q, t, 6.382256022e-01f);
    q = CI_FMA(q, t, 1.127040080e+00f);
    q = CI_FMA(q, t, 3.537089112e-04f);
    const float large = 1.0f - ci_exp(-q);
    return copysignf(t < 1.0f ? p * t : large, x);
}

/* log(1 + exp(x)) */
static inline float ci_softplus(float x) {
    return (x < 0.0f ? 0.0f : x) + ci_log1p(ci_exp(-fabsf(x)));
}

/* x * tanh(log(1 + exp(x))), with tanh(log(w)) = (w^2 - 1) / (w^2 + 1) */
static inline float ci_mish(float x) {
    const float e = ci_exp(x > 20.0f ? 20.0f : x), square = e * (e + 2.0f);
    return x * (square / (square + 2.0f));
}

#endif
