/* The vector vocabulary of the float32 kernels, with AVX-512.
 *
 * Every simd_f32_<isa>.h defines the same names, so that a kernel's body (<operation>.inc.h) is written once:
 * vf is VF_LANES floats, vi as many int32, vm as many truth values. Loads and stores need the alignment of a
 * float only. vf_min and vf_max answer NaN where their first argument, the data, is NaN. vf_fma rounds once
 * where the instruction set can, twice where it cannot (scalar).
 */
#ifndef CONV_INFER_KERNELS_SIMD_F32_H
#define CONV_INFER_KERNELS_SIMD_F32_H

#include <immintrin.h>

#include "compiler.h"
#include "conv_infer/types.h"

#define VF_LANES 16

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

CI_INLINE vm vm_first(int32_t n) {
    return (vm)((1u << n) - 1);
}

CI_INLINE vf vf_zero(void) {
    return _mm512_setzero_ps();
}
CI_INLINE vf vf_set1(float x) {
    return _mm512_set1_ps(x);
}
CI_INLINE vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}
CI_INLINE void vf_store(float *p, vf x) {
    _mm512_storeu_ps(p, x);
}

/* The first n lanes, 0 <= n <= VF_LANES; no memory beyond them is touched, and the other lanes load as zero.
 */
CI_INLINE vf vf_load_n(const float *p, int32_t n) {
    return _mm512_maskz_loadu_ps(vm_first(n), p);
}
CI_INLINE void vf_store_n(float *p, vf x, int32_t n) {
    _mm512_mask_storeu_ps(p, vm_first(n), x);
}

/* Two or four floats again and again. */
CI_INLINE vf vf_repeat2(const float *p) {
    return _mm512_castsi512_ps(_mm512_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)p)));
}
CI_INLINE vf vf_repeat4(const float *p) {
    return _mm512_broadcast_f32x4(_mm_loadu_ps(p));
}

/* The sums of neighbouring lanes: those of a, then those of b. */
CI_INLINE vf vf_add_pairs(vf a, vf b) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return _mm512_add_ps(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b));
}

CI_INLINE vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
CI_INLINE vf vf_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
CI_INLINE vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
CI_INLINE vf vf_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
CI_INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
} /* a * b + c */
CI_INLINE vf vf_fnma(vf a, vf b, vf c) {
    return _mm512_fnmadd_ps(a, b, c);
} /* c - a * b */
CI_INLINE vf vf_min(vf x, vf bound) {
    return _mm512_min_ps(bound, x);
}
CI_INLINE vf vf_max(vf x, vf bound) {
    return _mm512_max_ps(bound, x);
}
CI_INLINE vf vf_sqrt(vf x) {
    return _mm512_sqrt_ps(x);
}
CI_INLINE vf vf_abs(vf x) {
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x);
}
CI_INLINE vf vf_neg(vf x) {
    return _mm512_xor_ps(_mm512_set1_ps(-0.0f), x);
}
/* The magnitude of a with the sign of b. */
CI_INLINE vf vf_copysign(vf a, vf b) {
    const vf sign = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b));
}

#define VF_ROUND(x, mode) _mm512_roundscale_ps(x, (mode) | _MM_FROUND_NO_EXC)
CI_INLINE vf vf_round(vf x) {
    return VF_ROUND(x, _MM_FROUND_TO_NEAREST_INT);
} /* half to even */
CI_INLINE vf vf_floor(vf x) {
    return VF_ROUND(x, _MM_FROUND_TO_NEG_INF);
}
CI_INLINE vf vf_ceil(vf x) {
    return VF_ROUND(x, _MM_FROUND_TO_POS_INF);
}
CI_INLINE vf vf_trunc(vf x) {
    return VF_ROUND(x, _MM_FROUND_TO_ZERO);
}
#undef VF_ROUND

/* Comparisons are false where an argument is NaN, but vf_is_nan. */
CI_INLINE vm vf_lt(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
CI_INLINE vm vf_le(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
CI_INLINE vm vf_eq(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
CI_INLINE vm vf_is_nan(vf x) {
    return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
}
CI_INLINE vf vf_select(vm m, vf yes, vf no) {
    return _mm512_mask_blend_ps(m, no, yes);
}

CI_INLINE vi vi_load(const int32_t *p) {
    return _mm512_loadu_si512(p);
}
/* Lane l of the result is lane lanes[l] of x. */
CI_INLINE vf vf_permute(vf x, vi lanes) {
    return _mm512_permutexvar_ps(lanes, x);
}
CI_INLINE vi vi_set1(int32_t x) {
    return _mm512_set1_epi32(x);
}
CI_INLINE vi vi_from_vf(vf x) {
    return _mm512_cvtps_epi32(x);
} /* half to even */
CI_INLINE vf vf_from_vi(vi x) {
    return _mm512_cvtepi32_ps(x);
}
CI_INLINE vi vi_bits(vf x) {
    return _mm512_castps_si512(x);
}
CI_INLINE vf vf_bits(vi x) {
    return _mm512_castsi512_ps(x);
}
CI_INLINE vi vi_add(vi a, vi b) {
    return _mm512_add_epi32(a, b);
}
CI_INLINE vi vi_sub(vi a, vi b) {
    return _mm512_sub_epi32(a, b);
}
CI_INLINE vi vi_and(vi a, vi b) {
    return _mm512_and_si512(a, b);
}
CI_INLINE vi vi_or(vi a, vi b) {
    return _mm512_or_si512(a, b);
}
#define vi_shift_left(x, bits) _mm512_slli_epi32(x, bits)
#define vi_shift_right(x, bits) _mm512_srai_epi32(x, bits) /* keeps the sign */

/* 2^n for -126 <= n <= 127. */
CI_INLINE vf vf_exp2i(vi n) {
    return vf_bits(vi_shift_left(vi_add(n, vi_set1(127)), 23));
}

/* Over the lanes, in a fixed order. */
CI_INLINE float vf_reduce_add(vf x) {
    return _mm512_reduce_add_ps(x);
}
CI_INLINE float vf_reduce_max(vf x) {
    return _mm512_reduce_max_ps(x);
} /* of numbers: no NaN */
CI_INLINE float vf_reduce_min(vf x) {
    return _mm512_reduce_min_ps(x);
}

#endif
