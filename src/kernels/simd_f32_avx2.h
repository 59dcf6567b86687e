/* The vector vocabulary of the float32 kernels (see simd_f32_avx512.h), with AVX2 and FMA. */
#ifndef CONV_INFER_KERNELS_SIMD_F32_H
#define CONV_INFER_KERNELS_SIMD_F32_H

#include <immintrin.h>

#include "compiler.h"
#include "conv_infer/types.h"

#define VF_LANES 8

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;

CI_INLINE __m256i vf_first_lanes(int32_t n) {
    static const int32_t ones_then_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones_then_zeros + 8 - n));
}

CI_INLINE vf vf_zero(void) {
    return _mm256_setzero_ps();
}
CI_INLINE vf vf_set1(float x) {
    return _mm256_set1_ps(x);
}
CI_INLINE vf vf_load(const float *p) {
    return _mm256_loadu_ps(p);
}
CI_INLINE void vf_store(float *p, vf x) {
    _mm256_storeu_ps(p, x);
}
CI_INLINE vf vf_load_n(const float *p, int32_t n) {
    return _mm256_maskload_ps(p, vf_first_lanes(n));
}
CI_INLINE void vf_store_n(float *p, vf x, int32_t n) {
    _mm256_maskstore_ps(p, vf_first_lanes(n), x);
}

/* Two or four floats again and again. */
CI_INLINE vf vf_repeat2(const float *p) {
    return _mm256_castsi256_ps(_mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)p)));
}
CI_INLINE vf vf_repeat4(const float *p) {
    return _mm256_broadcast_ps((const __m128 *)p);
}

/* The sums of neighbouring lanes: those of a, then those of b. */
CI_INLINE vf vf_add_pairs(vf a, vf b) {
    const __m256d sums = _mm256_castps_pd(_mm256_hadd_ps(a, b)); /* by halves: of a, of b; of a, of b */
    return _mm256_castpd_ps(_mm256_permute4x64_pd(sums, 0xd8));
}

CI_INLINE vf vf_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
CI_INLINE vf vf_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
CI_INLINE vf vf_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
CI_INLINE vf vf_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
CI_INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
CI_INLINE vf vf_fnma(vf a, vf b, vf c) {
    return _mm256_fnmadd_ps(a, b, c);
}
CI_INLINE vf vf_min(vf x, vf bound) {
    return _mm256_min_ps(bound, x);
}
CI_INLINE vf vf_max(vf x, vf bound) {
    return _mm256_max_ps(bound, x);
}
CI_INLINE vf vf_sqrt(vf x) {
    return _mm256_sqrt_ps(x);
}
CI_INLINE vf vf_abs(vf x) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}
CI_INLINE vf vf_neg(vf x) {
    return _mm256_xor_ps(_mm256_set1_ps(-0.0f), x);
}
CI_INLINE vf vf_copysign(vf a, vf b) {
    const vf sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, b));
}

#define VF_ROUND(x, mode) _mm256_round_ps(x, (mode) | _MM_FROUND_NO_EXC)
CI_INLINE vf vf_round(vf x) {
    return VF_ROUND(x, _MM_FROUND_TO_NEAREST_INT);
}
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

CI_INLINE vm vf_lt(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
CI_INLINE vm vf_le(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_LE_OQ);
}
CI_INLINE vm vf_eq(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}
CI_INLINE vm vf_is_nan(vf x) {
    return _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
}
CI_INLINE vf vf_select(vm m, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, m);
}

CI_INLINE vi vi_load(const int32_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
CI_INLINE vf vf_permute(vf x, vi lanes) {
    return _mm256_permutevar8x32_ps(x, lanes);
}
CI_INLINE vi vi_set1(int32_t x) {
    return _mm256_set1_epi32(x);
}
CI_INLINE vi vi_from_vf(vf x) {
    return _mm256_cvtps_epi32(x);
}
CI_INLINE vf vf_from_vi(vi x) {
    return _mm256_cvtepi32_ps(x);
}
CI_INLINE vi vi_bits(vf x) {
    return _mm256_castps_si256(x);
}
CI_INLINE vf vf_bits(vi x) {
    return _mm256_castsi256_ps(x);
}
CI_INLINE vi vi_add(vi a, vi b) {
    return _mm256_add_epi32(a, b);
}
CI_INLINE vi vi_sub(vi a, vi b) {
    return _mm256_sub_epi32(a, b);
}
CI_INLINE vi vi_and(vi a, vi b) {
    return _mm256_and_si256(a, b);
}
CI_INLINE vi vi_or(vi a, vi b) {
    return _mm256_or_si256(a, b);
}
#define vi_shift_left(x, bits) _mm256_slli_epi32(x, bits)
#define vi_shift_right(x, bits) _mm256_srai_epi32(x, bits)

CI_INLINE vf vf_exp2i(vi n) {
    return vf_bits(vi_shift_left(vi_add(n, vi_set1(127)), 23));
}

CI_INLINE float vf_reduce_add(vf x) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}
CI_INLINE float vf_reduce_max(vf x) {
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
}
CI_INLINE float vf_reduce_min(vf x) {
    __m128 least = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    least = _mm_min_ps(least, _mm_movehl_ps(least, least));
    return _mm_cvtss_f32(_mm_min_ss(least, _mm_movehdup_ps(least)));
}

#endif
