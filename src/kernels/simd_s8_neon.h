/* The vector vocabulary of the int8 kernels (see simd_s8_avx512.h), with NEON: 64-bit Arm has it always. */
#ifndef CONV_INFER_KERNELS_SIMD_S8_H
#define CONV_INFER_KERNELS_SIMD_S8_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "compiler.h"

#define VI_LANES 4

typedef int32x4_t vi;
typedef float32x4_t vf;
typedef uint8x16_t vb;

/* Keeps a value in a register of its own: copies of one value are not merged. */
#define vi_keep(x) __asm__("" : "+w"(x))

/* Vectors in memory, each into a register of its own that is not merged with others of the same value. */
#define vi_load_apart vi_load_apart
CI_INLINE void vi_load_apart(vi *x, const int count, const int32_t *p) {
    CI_UNROLL
    for (int v = 0; v + 2 <= count; v += 2)
        __asm__ volatile("ldp %q0, %q1, [%2, %3]"
                         : "=w"(x[v]), "=w"(x[v + 1])
                         : "r"(p), "i"(v * 16), "m"(*(const int32_t (*)[VI_LANES * 2])(p + v * VI_LANES)));
    if (count % 2)
        __asm__ volatile("ldr %q0, [%1, %2]"
                         : "=w"(x[count - 1])
                         : "r"(p), "i"((count - 1) * 16),
                           "m"(*(const int32_t (*)[VI_LANES])(p + (count - 1) * VI_LANES)));
}

CI_INLINE vi vi_set1(int32_t x) {
    return vdupq_n_s32(x);
}
CI_INLINE vi vi_load(const void *p) {
    return vld1q_s32(p);
}
CI_INLINE void vi_store(void *p, vi x) {
    vst1q_s32(p, x);
}
/* The first n lanes only, where n is less than all. */
CI_INLINE void vi_store_n(int32_t *p, vi x, int32_t n) {
    if (n >= 4) {
        vst1q_s32(p, x);
        return;
    }
    int32x2_t rest = vget_low_s32(x);
    if (n & 2) {
        vst1_s32(p, rest);
        rest = vget_high_s32(x);
        p += 2;
    }
    if (n & 1)
        vst1_lane_s32(p, rest, 0);
}
CI_INLINE vi vi_add(vi a, vi b) {
    return vaddq_s32(a, b);
}
CI_INLINE vi vi_sub(vi a, vi b) {
    return vsubq_s32(a, b);
}
CI_INLINE vi vi_add_16(vi a, vi b) {
    return vreinterpretq_s32_s16(vaddq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
}
CI_INLINE vi vi_sub_16(vi a, vi b) {
    return vreinterpretq_s32_s16(vsubq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
}
CI_INLINE vi vi_quarter(vi x) {
    return vshrq_n_s32(x, 2);
}
CI_INLINE vi vi_mul(vi a, vi b) {
    return vmulq_s32(a, b);
}
CI_INLINE vi vi_and(vi a, vi b) {
    return vandq_s32(a, b);
}
CI_INLINE vi vi_shift_left(vi x, vi counts) {
    return vshlq_s32(x, counts);
}
CI_INLINE vi vi_shift_right(vi x, vi counts) {
    return vshlq_s32(x, vnegq_s32(counts));
}
CI_INLINE vi vi_max(vi a, vi b) {
    return vmaxq_s32(a, b);
}
CI_INLINE vi vi_min(vi a, vi b) {
    return vminq_s32(a, b);
}
CI_INLINE vi vi_increment_where_greater(vi x, vi a, vi b) {
    return vsubq_s32(x, vreinterpretq_s32_u32(vcgtq_s32(a, b)));
}
CI_INLINE vi vi_doubling_high_mul(vi a, vi b) {
    return vqrdmulhq_s32(a, b);
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
CI_INLINE vf vf_mul(vf a, vf b) {
    return vmulq_f32(a, b);
}
CI_INLINE vf vf_add(vf a, vf b) {
    return vaddq_f32(a, b);
}
CI_INLINE vf vf_div(vf a, vf b) {
    return vdivq_f32(a, b);
}
CI_INLINE vf vf_number(vf x) {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vceqq_f32(x, x)));
}
CI_INLINE vf vf_fma(vf a, vf b, vf c) {
    return vfmaq_f32(c, a, b);
}
CI_INLINE vf vf_max(vf a, vf b) {
    return vmaxq_f32(a, b);
}
CI_INLINE vf vf_min(vf a, vf b) {
    return vminq_f32(a, b);
}
CI_INLINE int vf_all_below_1(vf x) {
    return vmaxvq_f32(x) < 1.0f;
}
CI_INLINE vf vf_from_vi(vi x) {
    return vcvtq_f32_s32(x);
}
CI_INLINE vf vf_above_2_23(vi x) {
    return vreinterpretq_f32_s32(vorrq_s32(x, vdupq_n_s32(0x4b000000)));
}
CI_INLINE vi vi_from_vf(vf x) {
    return vcvtnq_s32_f32(x);
}
#define vi_from_large_vf(x) vcvtnq_s32_f32(x)

/* The first n bytes, as many as there are lanes or fewer, widened. */
CI_INLINE vi vi_load_bytes(const uint8_t *p, int32_t n) {
    uint32_t bytes = 0;
    if (CI_LIKELY(n >= 4))
        memcpy(&bytes, p, 4);
    else
        for (int32_t i = 0; i < n; i++)
            bytes |= (uint32_t)p[i] << (8 * i);
    const uint16x8_t words = vmovl_u8(vcreate_u8(bytes));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(words)));
}
/* Four vectors of bytes, widened, less a number that is a byte too. */
#define vi_load_16_bytes_less vi_load_16_bytes_less
CI_INLINE void vi_load_16_bytes_less(vi *x, const uint8_t *p, vi number) {
    const uint8x16_t bytes = vld1q_u8(p), origin = vdupq_laneq_u8(vreinterpretq_u8_s32(number), 0);
    const int16x8_t low = vreinterpretq_s16_u16(vsubl_u8(vget_low_u8(bytes), vget_low_u8(origin)));
    const int16x8_t high = vreinterpretq_s16_u16(vsubl_high_u8(bytes, origin));
    x[0] = vmovl_s16(vget_low_s16(low));
    x[1] = vmovl_high_s16(low);
    x[2] = vmovl_s16(vget_low_s16(high));
    x[3] = vmovl_high_s16(high);
}
CI_INLINE vi vi_load_words(const uint8_t *p, int32_t n) {
    (void)n;
    return vreinterpretq_s32_u16(vmovl_u8(vld1_u8(p)));
}

CI_INLINE vi vi_set1_16(int32_t x) {
    return vreinterpretq_s32_s16(vdupq_n_s16((int16_t)x));
}
CI_INLINE vb vb_set1(int32_t x) {
    return vdupq_n_u8((uint8_t)x);
}
CI_INLINE vb vb_pack(vi a, vi b, vi c, vi d, vi zero_point) {
    const int16x8_t zero = vreinterpretq_s16_s32(zero_point);
    const int16x8_t low = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), zero);
    const int16x8_t high = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(c), d), zero);
    return vqmovun_high_s16(vqmovun_s16(low), high);
}
/* Of sums whose bytes were interleaved within 128 bits: here, in order. */
CI_INLINE vb vb_pack_interleaved(vi a, vi b, vi c, vi d, vi zero_point) {
    return vb_pack(a, b, c, d, zero_point);
}
CI_INLINE vb vb_pack_interleaved_2(vi a, vi b, vi zero_point) {
    return vb_pack(a, b, a, b, zero_point);
}
CI_INLINE vb vb_max(vb a, vb b) {
    return vmaxq_u8(a, b);
}
CI_INLINE vb vb_clamp(vb x, vb low, vb high) {
    return vminq_u8(vmaxq_u8(x, low), high);
}
CI_INLINE vb vb_or(vb a, vb b) {
    return vorrq_u8(a, b);
}
CI_INLINE vb vb_xor(vb a, vb b) {
    return veorq_u8(a, b);
}
CI_INLINE vb vb_load(const uint8_t *p) {
    return vld1q_u8(p);
}
CI_INLINE void vb_store(uint8_t *p, vb x) {
    vst1q_u8(p, x);
}

/* A lookup takes so many vectors of a table, each 16 entries; bytes that name none become 0. */
#define VB_TABLE_VECTORS 4
CI_INLINE vb vb_repeat_16(const uint8_t *p) {
    return vld1q_u8(p);
}
CI_INLINE vb vb_lookup(const vb *table, vb index) {
    return vqtbl4q_u8((uint8x16x4_t){{table[0], table[1], table[2], table[3]}}, index);
}

/* The int16 of a and b as pairs (a, b). */
CI_INLINE void vi_interleave_pairs(vi a, vi b, vi *pairs) {
    pairs[0] = vreinterpretq_s32_s16(vzip1q_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
    pairs[1] = vreinterpretq_s32_s16(vzip2q_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
}
/* Of each lane the bytes of a, b, c, d. */
CI_INLINE void vi_interleave_quads(vb a, vb b, vb c, vb d, vi *quads) {
    const uint16x8_t ab_low = vreinterpretq_u16_u8(vzip1q_u8(a, b));
    const uint16x8_t ab_high = vreinterpretq_u16_u8(vzip2q_u8(a, b));
    const uint16x8_t cd_low = vreinterpretq_u16_u8(vzip1q_u8(c, d));
    const uint16x8_t cd_high = vreinterpretq_u16_u8(vzip2q_u8(c, d));
    quads[0] = vreinterpretq_s32_u16(vzip1q_u16(ab_low, cd_low));
    quads[1] = vreinterpretq_s32_u16(vzip2q_u16(ab_low, cd_low));
    quads[2] = vreinterpretq_s32_u16(vzip1q_u16(ab_high, cd_high));
    quads[3] = vreinterpretq_s32_u16(vzip2q_u16(ab_high, cd_high));
}

/* The first n < 16 bytes. */
CI_INLINE void store_first_bytes(uint8_t *p, vb x, int32_t n) {
    if (n & 8) {
        vst1_u8(p, vget_low_u8(x));
        x = vextq_u8(x, x, 8);
        p += 8;
    }
    if (n & 4) {
        const uint32_t four = vgetq_lane_u32(vreinterpretq_u32_u8(x), 0);
        memcpy(p, &four, 4);
        x = vextq_u8(x, x, 4);
        p += 4;
    }
    if (n & 2) {
        const uint16_t two = vgetq_lane_u16(vreinterpretq_u16_u8(x), 0);
        memcpy(p, &two, 2);
        x = vextq_u8(x, x, 2);
        p += 2;
    }
    if (n & 1)
        *p = vgetq_lane_u8(x, 0);
}
/* Of the quarter (vectors = 1), half (2) or whole (3, 4) of x that is number `part`, the first n bytes. */
CI_INLINE void vb_store_part(uint8_t *p, vb x, const int vectors, const int part, int32_t n) {
    if (vectors == 1) {
        const uint32x4_t quarters = vreinterpretq_u32_u8(x);
        const uint32_t quarter = part == 0   ? vgetq_lane_u32(quarters, 0)
                                 : part == 1 ? vgetq_lane_u32(quarters, 1)
                                 : part == 2 ? vgetq_lane_u32(quarters, 2)
                                             : vgetq_lane_u32(quarters, 3);
        if (CI_LIKELY(n >= 4))
            memcpy(p, &quarter, 4);
        else
            for (int32_t i = 0; i < n; i++)
                p[i] = (uint8_t)(quarter >> (8 * i));
    } else if (vectors == 2) {
        const vb half = part ? vextq_u8(x, x, 8) : x;
        if (CI_LIKELY(n >= 8))
            vst1_u8(p, vget_low_u8(half));
        else
            store_first_bytes(p, half, n);
    } else if (CI_LIKELY(n >= 16)) {
        vst1q_u8(p, x);
    } else {
        store_first_bytes(p, x, n);
    }
}

#endif
