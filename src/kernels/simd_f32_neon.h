/* The vector vocabulary of the float32 kernels (see simd_f32_avx512.h), with NEON: 64-bit Arm has it always.
 */
#ifndef CONV_INFER_KERNELS_SIMD_F32_H
#define CONV_INFER_KERNELS_SIMD_F32_H

#include <arm_neon.h>

#include "compiler.h"
#include "conv_infer/types.h"

#define VF_LANES 4

typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;

CI_INLINE vf vf_zero(void) {
    return vdupq_n_f32(0.0f);
}
CI_INLINE vf vf_set1(float x) {
    return vdupq_n_f32(x);
}
CI_INLINE vf vf_load(const float *p) {
    return vld1q_f32(p);
}
CI_INLINE void vf_store(float *p, vf x) {
    vst1q_f32(p, x);
}
CI_INLINE vf vf_load_n(const float *p, int32_t n) {
    if (n >= 4)
        return vld1q_f32(p);
    float32x4_t x = vdupq_n_f32(0.0f);
    if (n > 0)
        x = vld1q_lane_f32(p, x, 0);
    if (n > 1)
        x = vld1q_lane_f32(p + 1, x, 1);
    return n > 2 ? vld1q_lane_f32(p + 2, x, 2) : x;
}
CI_INLINE void vf_store_n(float *p, vf x, int32_t n) {
    if (n >= 4) {
        vst1q_f32(p, x);
        return;
    }
    float32x2_t rest = vget_low_f32(x);
    if (n & 2) {
        vst1_f32(p, rest);
        rest = vget_high_f32(x);
        p += 2;
    }
    if (n & 1)
        vst1_lane_f32(p, rest, 0);
}

CI_INLINE vf vf_add(vf a, vf b) {
    return vaddq_f32(a, b);
}
CI_INLINE vf vf_sub(vf a, vf b) {
    return vsubq_f32(a, b);
}
CI_INLINE vf vf_mul(vf a, vf b) {
    return vmulq_f32(a, b);
}
CI_INLINE vf vf_div(vf a, vf b) {
    return vdivq_f32(a, b);
}
CI_INLINE vf vf_fma(vf a, vf b, vf c) {
    return vfmaq_f32(c, a, b);
}
CI_INLINE vf vf_fnma(vf a, vf b, vf c) {
    return vfmsq_f32(c, a, b);
}
/* a times lane 0 .. 3 of b (spelt as a number) plus c: no instruction spreads the lane out first. */
#define vf_fma_lane(a, b, lane, c) vfmaq_laneq_f32(c, a, b, lane)

/* A number in lane 0. Spread out over all lanes while it is loaded, it would take a pipe from multiply-adds.
 */
CI_INLINE vf vf_load_lane_0(const float *p) {
    vf x;
    __asm__("ldr %s0, %1" : "=w"(x) : "m"(*p));
    return x;
}

/* Arm's own minimum and maximum are NaN where the bound is, and order the zeros. */
CI_INLINE vf vf_min(vf x, vf bound) {
    return vbslq_f32(vcltq_f32(bound, x), bound, x);
}
CI_INLINE vf vf_max(vf x, vf bound) {
    return vbslq_f32(vcgtq_f32(bound, x), bound, x);
}
/* Where the bound is known to be a number they save an instruction. NaN stays; a zero may change its sign. */
#define vf_at_least(x, bound) vmaxq_f32(x, bound)
#define vf_at_most(x, bound) vminq_f32(x, bound)

CI_INLINE vf vf_sqrt(vf x) {
    return vsqrtq_f32(x);
}
CI_INLINE vf vf_abs(vf x) {
    return vabsq_f32(x);
}
CI_INLINE vf vf_neg(vf x) {
    return vnegq_f32(x);
}
CI_INLINE vf vf_copysign(vf a, vf b) {
    return vbslq_f32(vdupq_n_u32(0x80000000u), b, a);
}
CI_INLINE vf vf_round(vf x) {
    return vrndnq_f32(x);
}
CI_INLINE vf vf_floor(vf x) {
    return vrndmq_f32(x);
}
CI_INLINE vf vf_ceil(vf x) {
    return vrndpq_f32(x);
}
CI_INLINE vf vf_trunc(vf x) {
    return vrndq_f32(x);
}

CI_INLINE vm vf_lt(vf a, vf b) {
    return vcltq_f32(a, b);
}
CI_INLINE vm vf_le(vf a, vf b) {
    return vcleq_f32(a, b);
}
CI_INLINE vm vf_eq(vf a, vf b) {
    return vceqq_f32(a, b);
}
CI_INLINE vm vf_is_nan(vf x) {
    return vmvnq_u32(vceqq_f32(x, x));
}
CI_INLINE vf vf_select(vm m, vf yes, vf no) {
    return vbslq_f32(m, yes, no);
}

CI_INLINE vi vi_load(const int32_t *p) {
    return vld1q_s32(p);
}
CI_INLINE vf vf_permute(vf x, vi lanes) {
    const int32x4_t bytes = vmlaq_s32(vdupq_n_s32(0x03020100), lanes, vdupq_n_s32(0x04040404));
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(x), vreinterpretq_u8_s32(bytes)));
}
CI_INLINE vi vi_set1(int32_t x) {
    return vdupq_n_s32(x);
}
CI_INLINE vi vi_from_vf(vf x) {
    return vcvtnq_s32_f32(x);
}
CI_INLINE vf vf_from_vi(vi x) {
    return vcvtq_f32_s32(x);
}
CI_INLINE vi vi_bits(vf x) {
    return vreinterpretq_s32_f32(x);
}
CI_INLINE vf vf_bits(vi x) {
    return vreinterpretq_f32_s32(x);
}
CI_INLINE vi vi_add(vi a, vi b) {
    return vaddq_s32(a, b);
}
CI_INLINE vi vi_sub(vi a, vi b) {
    return vsubq_s32(a, b);
}
CI_INLINE vi vi_and(vi a, vi b) {
    return vandq_s32(a, b);
}
CI_INLINE vi vi_or(vi a, vi b) {
    return vorrq_s32(a, b);
}
#define vi_shift_left(x, bits) vshlq_n_s32(x, bits)
#define vi_shift_right(x, bits) vshrq_n_s32(x, bits)

CI_INLINE vf vf_exp2i(vi n) {
    return vf_bits(vi_shift_left(vi_add(n, vi_set1(127)), 23));
}

CI_INLINE float vf_reduce_add(vf x) {
    return vaddvq_f32(x);
}
CI_INLINE float vf_reduce_max(vf x) {
    return vmaxnmvq_f32(x);
}
CI_INLINE float vf_reduce_min(vf x) {
    return vminnmvq_f32(x);
}

#endif
