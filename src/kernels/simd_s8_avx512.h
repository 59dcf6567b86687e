/* The vector vocabulary of the int8 kernels, with AVX-512 F, BW, DQ and VL.
 *
 * vi is a vector of int32, vf one of float32, of VI_LANES each; vb are four vi packed to bytes. The other
 * simd_s8_<isa>.h say the same in another instruction set, so that the bodies (*.inc.h) are written once. */
#ifndef CONV_INFER_KERNELS_SIMD_S8_H
#define CONV_INFER_KERNELS_SIMD_S8_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "asm_s8.h"
#include "compiler.h"

#define VI_LANES 16

typedef __m512i vi;
typedef __m512 vf;
typedef __m512i vb;

CI_INLINE vi vi_set1(int32_t x) {
    return _mm512_set1_epi32(x);
}
CI_INLINE vi vi_load(const void *p) {
    return _mm512_loadu_si512(p);
}
CI_INLINE void vi_store(void *p, vi x) {
    _mm512_storeu_si512(p, x);
}
/* The first n lanes only; the others become 0, and their memory is not touched. */
CI_INLINE void vi_store_n(int32_t *p, vi x, int32_t n) {
    _mm512_mask_storeu_epi32(p, n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1), x);
}
CI_INLINE vi vi_add(vi a, vi b) {
    return _mm512_add_epi32(a, b);
}
CI_INLINE vi vi_sub(vi a, vi b) {
    return _mm512_sub_epi32(a, b);
}
/* int16 */
CI_INLINE vi vi_add_16(vi a, vi b) {
    return _mm512_add_epi16(a, b);
}
CI_INLINE vi vi_sub_16(vi a, vi b) {
    return _mm512_sub_epi16(a, b);
}
CI_INLINE vi vi_quarter(vi x) { /* of multiples of 4 */
    return _mm512_srai_epi32(x, 2);
}
CI_INLINE vi vi_mul(vi a, vi b) {
    return _mm512_mullo_epi32(a, b);
}
CI_INLINE vi vi_and(vi a, vi b) {
    return _mm512_and_si512(a, b);
}
CI_INLINE vi vi_shift_left(vi x, vi counts) {
    return _mm512_sllv_epi32(x, counts);
}
CI_INLINE vi vi_shift_right(vi x, vi counts) {
    return _mm512_srav_epi32(x, counts);
}
CI_INLINE vi vi_max(vi a, vi b) {
    return _mm512_max_epi32(a, b);
}
CI_INLINE vi vi_min(vi a, vi b) {
    return _mm512_min_epi32(a, b);
}
/* x + 1 where a > b, else x. */
CI_INLINE vi vi_increment_where_greater(vi x, vi a, vi b) {
    return _mm512_mask_add_epi32(x, _mm512_cmpgt_epi32_mask(a, b), x, _mm512_set1_epi32(1));
}
/* The low 32 bits of (a * b + 2^30) >> 31. */
CI_INLINE vi vi_doubling_high_mul(vi a, vi b) {
    const vi nudge = _mm512_set1_epi64(1 << 30);
    vi even = _mm512_add_epi64(_mm512_mul_epi32(a, b), nudge);
    vi odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32)), nudge);
    return _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
}

CI_INLINE vf vf_set1(float x) {
    return _mm512_set1_ps(x);
}
CI_INLINE vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}
CI_INLINE vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
CI_INLINE vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
CI_INLINE vf vf_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
CI_INLINE void vf_store(float *p, vf x) {
    _mm512_storeu_ps(p, x);
}
/* 0 for NaN. */
CI_INLINE vf vf_number(vf x) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x);
}
CI_INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
CI_INLINE vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
CI_INLINE vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
CI_INLINE int vf_all_below_1(vf x) {
    return _mm512_cmp_ps_mask(x, _mm512_set1_ps(1.0f), _CMP_LT_OQ) == 0xffff;
}
CI_INLINE vf vf_from_vi(vi x) {
    return _mm512_cvtepi32_ps(x);
}
/* Integers from 0 to 2^23 - 1, plus 2^23: an addition takes that off together with something else. */
CI_INLINE vf vf_above_2_23(vi x) {
    return _mm512_castsi512_ps(_mm512_or_si512(x, _mm512_set1_epi32(0x4b000000)));
}
CI_INLINE vi vi_from_vf(vf x) { /* rounds half to even */
    return _mm512_cvtps_epi32(x);
}

/* Four bytes, in every lane. */
CI_INLINE vi vi_broadcast_4(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
}
/* VI_LANES bytes, the first n of which are read, each in a lane of its own. */
CI_INLINE vi vi_load_bytes(const uint8_t *p, int32_t n) {
    const __mmask16 lanes = n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, p));
}
CI_INLINE vi vi_even_bytes(vi x) {
    return _mm512_and_si512(x, _mm512_set1_epi16(0xff));
}
CI_INLINE vi vi_odd_bytes(vi x) {
    return _mm512_srli_epi16(x, 8);
}

/* Saturates a, b, c, d, each plus `zero_point` in every int16, to unsigned bytes, in this order. */
CI_INLINE vb vb_pack(vi a, vi b, vi c, vi d, vi zero_point) {
    const vi order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const vi low = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero_point);
    const vi high = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero_point);
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
}
/* The same for vectors in the order of vi_interleave_*(). */
CI_INLINE vb vb_pack_interleaved(vi a, vi b, vi c, vi d, vi zero_point) {
    return _mm512_packus_epi16(_mm512_adds_epi16(_mm512_packs_epi32(a, b), zero_point),
                               _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero_point));
}
/* Two vectors; only the first half of the result counts. */
CI_INLINE vb vb_pack_interleaved_2(vi a, vi b, vi zero_point) {
    const vi words = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero_point);
    const vb bytes = _mm512_packus_epi16(words, words);
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6), bytes);
}
CI_INLINE vi vi_set1_16(int32_t x) {
    return _mm512_set1_epi16((int16_t)x);
}
CI_INLINE vb vb_set1(int32_t x) {
    return _mm512_set1_epi8((int8_t)x);
}
CI_INLINE vb vb_max(vb a, vb b) {
    return _mm512_max_epu8(a, b);
}
CI_INLINE vb vb_clamp(vb x, vb low, vb high) {
    return _mm512_min_epu8(_mm512_max_epu8(x, low), high);
}
CI_INLINE vb vb_load(const uint8_t *p) {
    return _mm512_loadu_si512(p);
}
CI_INLINE void vb_store(uint8_t *p, vb x) {
    _mm512_storeu_si512(p, x);
}
/* 16 bytes, in every 128 bits. */
/* A lookup takes so many vectors of a table, each 16 entries over and over; bytes that name none become 0. */
#define VB_TABLE_VECTORS 1
CI_INLINE vb vb_repeat_16(const uint8_t *p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)p));
}
/* Bytes of `table` (vb_repeat_16) where the index is below 16, 0 where it is above. */
CI_INLINE vb vb_lookup(const vb *table, vb index) {
    return _mm512_shuffle_epi8(*table, _mm512_adds_epu8(index, _mm512_set1_epi8(0x70)));
}
CI_INLINE vb vb_or(vb a, vb b) {
    return _mm512_or_si512(a, b);
}
CI_INLINE vb vb_xor(vb a, vb b) {
    return _mm512_xor_si512(a, b);
}
/* Bytes of x in parts of `vectors` * VI_LANES: stores the first n bytes of part `part`. Masked
 * stores hold up what is loaded soon after. */
CI_INLINE void vb_store_part(uint8_t *p, vb x, const int vectors, const int part, int32_t n) {
    if (vectors == 1) {
        const __m128i quarter = part == 0   ? _mm512_castsi512_si128(x)
                                : part == 1 ? _mm512_extracti32x4_epi32(x, 1)
                                : part == 2 ? _mm512_extracti32x4_epi32(x, 2)
                                            : _mm512_extracti32x4_epi32(x, 3);
        if (CI_LIKELY(n >= 16))
            _mm_storeu_si128((__m128i *)(void *)p, quarter);
        else
            _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1), quarter);
    } else if (vectors == 2) {
        const __m256i half = part == 0 ? _mm512_castsi512_si256(x) : _mm512_extracti64x4_epi64(x, 1);
        if (CI_LIKELY(n >= 32))
            _mm256_storeu_si256((__m256i *)(void *)p, half);
        else
            _mm256_mask_storeu_epi8(p, (1u << n) - 1, half);
    } else {
        if (CI_LIKELY(n >= 64))
            _mm512_storeu_si512(p, x);
        else
            _mm512_mask_storeu_epi8(p, (1ull << n) - 1, x);
    }
}
/* 2 * VI_LANES bytes as int16; only the first n are read, or whole vectors where reading on is allowed. */
CI_INLINE vi vi_load_words(const uint8_t *p, int32_t n) {
    return _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(n >= 32 ? ~0u : (1u << n) - 1, p));
}
/* 4 * VI_LANES bytes, likewise. */
CI_INLINE vb vb_load_n(const uint8_t *p, int32_t n) {
    return _mm512_maskz_loadu_epi8(n >= 64 ? ~0ull : (1ull << n) - 1, p);
}

/* The int16 of a and b as pairs (a, b), in two vectors whose order vb_pack_interleaved() undoes. */
CI_INLINE void vi_interleave_pairs(vi a, vi b, vi *pairs) {
    pairs[0] = _mm512_unpacklo_epi16(a, b);
    pairs[1] = _mm512_unpackhi_epi16(a, b);
}
/* The bytes of a, b, c, d as quads (a, b, c, d), in four vectors likewise. */
CI_INLINE void vi_interleave_quads(vb a, vb b, vb c, vb d, vi *quads) {
    const vi ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
    const vi cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
    quads[0] = _mm512_unpacklo_epi16(ab_low, cd_low);
    quads[1] = _mm512_unpackhi_epi16(ab_low, cd_low);
    quads[2] = _mm512_unpacklo_epi16(ab_high, cd_high);
    quads[3] = _mm512_unpackhi_epi16(ab_high, cd_high);
}

#endif
