/* The vector vocabulary of the float32 kernels (see simd_f32_avx512.h) as portable C: vectors of one lane. */
#ifndef CONV_INFER_KERNELS_SIMD_F32_H
#define CONV_INFER_KERNELS_SIMD_F32_H

#include <math.h>
#include <string.h>

#include "compiler.h"
#include "conv_infer/types.h"

#define VF_LANES 1

typedef float vf;
typedef int32_t vi;
typedef int vm;

CI_INLINE vf vf_zero(void) {
    return 0.0f;
}
CI_INLINE vf vf_set1(float x) {
    return x;
}
CI_INLINE vf vf_load(const float *p) {
    return *p;
}
CI_INLINE void vf_store(float *p, vf x) {
    *p = x;
}
CI_INLINE vf vf_load_n(const float *p, int32_t n) {
    return n > 0 ? *p : 0.0f;
}
CI_INLINE void vf_store_n(float *p, vf x, int32_t n) {
    if (n > 0)
        *p = x;
}

CI_INLINE vi vi_bits(vf x) {
    vi bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
CI_INLINE vf vf_bits(vi bits) {
    vf x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

CI_INLINE vf vf_add(vf a, vf b) {
    return a + b;
}
CI_INLINE vf vf_sub(vf a, vf b) {
    return a - b;
}
CI_INLINE vf vf_mul(vf a, vf b) {
    return a * b;
}
CI_INLINE vf vf_div(vf a, vf b) {
    return a / b;
}
CI_INLINE vf vf_fma(vf a, vf b, vf c) {
    return a * b + c;
}
CI_INLINE vf vf_fnma(vf a, vf b, vf c) {
    return c - a * b;
}
CI_INLINE vf vf_min(vf x, vf bound) {
    return bound < x ? bound : x;
}
CI_INLINE vf vf_max(vf x, vf bound) {
    return bound > x ? bound : x;
}
CI_INLINE vf vf_sqrt(vf x) {
    return sqrtf(x);
}
CI_INLINE vf vf_abs(vf x) {
    return vf_bits(vi_bits(x) & INT32_MAX);
}
CI_INLINE vf vf_neg(vf x) {
    return -x;
}
CI_INLINE vf vf_copysign(vf a, vf b) {
    return vf_bits((vi_bits(a) & INT32_MAX) | (vi_bits(b) & INT32_MIN));
}

/* Half to even, without a call to the C library: adding 2^23 leaves no bits for a fraction. NaN stays NaN. */
CI_INLINE vf vf_round(vf x) {
    const float size = vf_abs(x), no_fraction = 8388608.0f;
    return size < no_fraction ? vf_copysign((size + no_fraction) - no_fraction, x) : x;
}
CI_INLINE vf vf_floor(vf x) {
    const float near = vf_round(x);
    return near > x ? near - 1.0f : near;
}
CI_INLINE vf vf_ceil(vf x) {
    const float near = vf_round(x);
    return near < x ? vf_copysign(near + 1.0f, x) : near;
}
CI_INLINE vf vf_trunc(vf x) {
    return vf_copysign(vf_floor(vf_abs(x)), x);
}

CI_INLINE vm vf_lt(vf a, vf b) {
    return a < b;
}
CI_INLINE vm vf_le(vf a, vf b) {
    return a <= b;
}
CI_INLINE vm vf_eq(vf a, vf b) {
    return a == b;
}
CI_INLINE vm vf_is_nan(vf x) {
    return x != x;
}
CI_INLINE vf vf_select(vm m, vf yes, vf no) {
    return m ? yes : no;
}

CI_INLINE vi vi_load(const int32_t *p) {
    return *p;
}
CI_INLINE vf vf_permute(vf x, vi lanes) {
    (void)lanes;
    return x;
}
CI_INLINE vi vi_set1(int32_t x) {
    return x;
}
CI_INLINE vi vi_from_vf(vf x) {
    return (vi)vf_round(x);
} /* of values that fit */
CI_INLINE vf vf_from_vi(vi x) {
    return (vf)x;
}
CI_INLINE vi vi_add(vi a, vi b) {
    return (vi)((uint32_t)a + (uint32_t)b);
}
CI_INLINE vi vi_sub(vi a, vi b) {
    return (vi)((uint32_t)a - (uint32_t)b);
}
CI_INLINE vi vi_and(vi a, vi b) {
    return a & b;
}
CI_INLINE vi vi_or(vi a, vi b) {
    return a | b;
}
#define vi_shift_left(x, bits) ((vi)((uint32_t)(x) << (bits)))
#define vi_shift_right(x, bits) ((x) >> (bits)) /* keeps the sign */

CI_INLINE vf vf_exp2i(vi n) {
    return vf_bits(vi_shift_left(vi_add(n, 127), 23));
}

CI_INLINE float vf_reduce_add(vf x) {
    return x;
}
CI_INLINE float vf_reduce_max(vf x) {
    return x;
}
CI_INLINE float vf_reduce_min(vf x) {
    return x;
}

#endif
