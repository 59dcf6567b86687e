/* The vector vocabulary of the int8 kernels (see simd_s8_avx512.h), with AVX2 and FMA. */
#ifndef CONV_INFER_KERNELS_SIMD_S8_H
#define CONV_INFER_KERNELS_SIMD_S8_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "asm_s8.h"
#include "compiler.h"

#define VI_LANES 8

typedef __m256i vi;
typedef __m256 vf;
typedef __m256i vb;

CI_INLINE vi vi_set1(int32_t x) {
    return _mm256_set1_epi32(x);
}
CI_INLINE vi vi_load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
CI_INLINE void vi_store(void *p, vi x) {
    _mm256_storeu_si256((__m256i *)p, x);
}
CI_INLINE vi vi_first_lanes(int32_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
CI_INLINE void vi_store_n(int32_t *p, vi x, int32_t n) {
    _mm256_maskstore_epi32(p, vi_first_lanes(n), x);
}
CI_INLINE vi vi_add(vi a, vi b) {
    return _mm256_add_epi32(a, b);
}
CI_INLINE vi vi_sub(vi a, vi b) {
    return _mm256_sub_epi32(a, b);
}

CI_INLINE vi vi_add_16(vi a, vi b) {
    return _mm256_add_epi16(a, b);
}
CI_INLINE vi vi_sub_16(vi a, vi b) {
    return _mm256_sub_epi16(a, b);
}
CI_INLINE vi vi_quarter(vi x) {
    return _mm256_srai_epi32(x, 2);
}
CI_INLINE vi vi_mul(vi a, vi b) {
    return _mm256_mullo_epi32(a, b);
}
CI_INLINE vi vi_and(vi a, vi b) {
    return _mm256_and_si256(a, b);
}
CI_INLINE vi vi_shift_left(vi x, vi counts) {
    return _mm256_sllv_epi32(x, counts);
}
CI_INLINE vi vi_shift_right(vi x, vi counts) {
    return _mm256_srav_epi32(x, counts);
}
CI_INLINE vi vi_max(vi a, vi b) {
    return _mm256_max_epi32(a, b);
}
CI_INLINE vi vi_min(vi a, vi b) {
    return _mm256_min_epi32(a, b);
}
CI_INLINE vi vi_increment_where_greater(vi x, vi a, vi b) {
    return _mm256_sub_epi32(x, _mm256_cmpgt_epi32(a, b));
}
CI_INLINE vi vi_doubling_high_mul(vi a, vi b) {
    const vi nudge = _mm256_set1_epi64x(1 << 30);
    vi even = _mm256_add_epi64(_mm256_mul_epi32(a, b), nudge);
    vi odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)), nudge);
    return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xaa);
}

CI_INLINE vf vf_set1(float x) {
    return _mm256_set1_ps(x);
}
CI_INLINE vf vf_load(const float *p) {
    return _mm256_loadu_ps(p);
}
CI_INLINE vf vf_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
CI_INLINE vf vf_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
CI_INLINE vf vf_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
CI_INLINE void vf_store(float *p, vf x) {
    _mm256_storeu_ps(p, x);
}
CI_INLINE vf vf_number(vf x) {
    return _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q));
}
CI_INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
CI_INLINE vf vf_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
CI_INLINE vf vf_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
CI_INLINE int vf_all_below_1(vf x) {
    return _mm256_movemask_ps(_mm256_cmp_ps(x, _mm256_set1_ps(1.0f), _CMP_LT_OQ)) == 0xff;
}
CI_INLINE vf vf_from_vi(vi x) {
    return _mm256_cvtepi32_ps(x);
}
CI_INLINE vf vf_above_2_23(vi x) {
    return _mm256_castsi256_ps(_mm256_or_si256(x, _mm256_set1_epi32(0x4b000000)));
}
CI_INLINE vi vi_from_vf(vf x) {
    return _mm256_cvtps_epi32(x);
}

CI_INLINE vi vi_broadcast_4(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
}
CI_INLINE vi vi_load_bytes(const uint8_t *p, int32_t n) {
    uint64_t bytes = 0;
    if (CI_LIKELY(n >= 8)) {
        memcpy(&bytes, p, 8);
    } else if (n >= 4) { /* two fours that overlap */
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        bytes = low | (uint64_t)high << (8 * (n - 4));
    } else {
        for (int32_t i = 0; i < n; i++)
            bytes |= (uint64_t)p[i] << (8 * i);
    }
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)bytes));
}
CI_INLINE vi vi_even_bytes(vi x) {
    return _mm256_and_si256(x, _mm256_set1_epi16(0xff));
}
CI_INLINE vi vi_odd_bytes(vi x) {
    return _mm256_srli_epi16(x, 8);
}

CI_INLINE vb vb_pack_interleaved(vi a, vi b, vi c, vi d, vi zero_point) {
    return _mm256_packus_epi16(_mm256_adds_epi16(_mm256_packs_epi32(a, b), zero_point),
                               _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero_point));
}
CI_INLINE vb vb_pack(vi a, vi b, vi c, vi d, vi zero_point) {
    const vi order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    return _mm256_permutevar8x32_epi32(vb_pack_interleaved(a, b, c, d, zero_point), order);
}

CI_INLINE vb vb_pack_interleaved_2(vi a, vi b, vi zero_point) {
    const vi words = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero_point);
    const vb bytes = _mm256_packus_epi16(words, words);
    return _mm256_permute4x64_epi64(bytes, 0x08);
}
CI_INLINE vi vi_set1_16(int32_t x) {
    return _mm256_set1_epi16((int16_t)x);
}
CI_INLINE vb vb_set1(int32_t x) {
    return _mm256_set1_epi8((int8_t)x);
}
CI_INLINE vb vb_max(vb a, vb b) {
    return _mm256_max_epu8(a, b);
}
CI_INLINE vb vb_clamp(vb x, vb low, vb high) {
    return _mm256_min_epu8(_mm256_max_epu8(x, low), high);
}
CI_INLINE vb vb_load(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
CI_INLINE void vb_store(uint8_t *p, vb x) {
    _mm256_storeu_si256((__m256i *)(void *)p, x);
}
/* A lookup takes so many vectors of a table, each 16 entries over and over; bytes that name none become 0. */
#define VB_TABLE_VECTORS 1
CI_INLINE vb vb_repeat_16(const uint8_t *p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
}
CI_INLINE vb vb_lookup(const vb *table, vb index) {
    return _mm256_shuffle_epi8(*table, _mm256_adds_epu8(index, _mm256_set1_epi8(0x70)));
}
CI_INLINE vb vb_or(vb a, vb b) {
    return _mm256_or_si256(a, b);
}
CI_INLINE vb vb_xor(vb a, vb b) {
    return _mm256_xor_si256(a, b);
}

/* The first n < 16 bytes. */
CI_INLINE void store_first_bytes(uint8_t *p, __m128i x, int32_t n) {
    if (n & 8) {
        _mm_storel_epi64((__m128i *)(void *)p, x);
        x = _mm_unpackhi_epi64(x, x);
        p += 8;
    }
    uint64_t rest = (uint64_t)_mm_cvtsi128_si64(x);
    if (n & 4) {
        memcpy(p, &rest, 4);
        rest >>= 32;
        p += 4;
    }
    if (n & 2) {
        memcpy(p, &rest, 2);
        rest >>= 16;
        p += 2;
    }
    if (n & 1)
        *p = (uint8_t)rest;
}
CI_INLINE void store_up_to_16(uint8_t *p, __m128i x, int32_t n) {
    if (CI_LIKELY(n >= 16))
        _mm_storeu_si128((__m128i *)(void *)p, x);
    else
        store_first_bytes(p, x, n);
}
CI_INLINE void vb_store_part(uint8_t *p, vb x, const int vectors, const int part, int32_t n) {
    const __m128i low = _mm256_castsi256_si128(x), high = _mm256_extracti128_si256(x, 1);
    if (vectors == 1) {
        const __m128i half = part < 2 ? low : high,
                      quarter = part % 2 ? _mm_unpackhi_epi64(half, half) : half;
        if (CI_LIKELY(n >= 8))
            _mm_storel_epi64((__m128i *)(void *)p, quarter);
        else
            store_first_bytes(p, quarter, n);
    } else if (vectors == 2) {
        store_up_to_16(p, part ? high : low, n);
    } else if (CI_LIKELY(n >= 32)) {
        _mm256_storeu_si256((__m256i *)(void *)p, x);
    } else {
        store_up_to_16(p, low, n);
        if (n > 16)
            store_first_bytes(p + 16, high, n - 16);
    }
}
CI_INLINE vi vi_load_words(const uint8_t *p, int32_t n) {
    (void)n;
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
CI_INLINE vb vb_load_n(const uint8_t *p, int32_t n) {
    (void)n;
    return vi_load(p);
}

CI_INLINE void vi_interleave_pairs(vi a, vi b, vi *pairs) {
    pairs[0] = _mm256_unpacklo_epi16(a, b);
    pairs[1] = _mm256_unpackhi_epi16(a, b);
}
CI_INLINE void vi_interleave_quads(vb a, vb b, vb c, vb d, vi *quads) {
    const vi ab_low = _mm256_unpacklo_epi8(a, b), ab_high = _mm256_unpackhi_epi8(a, b);
    const vi cd_low = _mm256_unpacklo_epi8(c, d), cd_high = _mm256_unpackhi_epi8(c, d);
    quads[0] = _mm256_unpacklo_epi16(ab_low, cd_low);
    quads[1] = _mm256_unpackhi_epi16(ab_low, cd_low);
    quads[2] = _mm256_unpacklo_epi16(ab_high, cd_high);
    quads[3] = _mm256_unpackhi_epi16(ab_high, cd_high);
}

#endif
