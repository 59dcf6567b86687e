/* What one core can do: compiled by benchmarks/limits.py for the instruction set that conv_infer has chosen.
 *
 * VECTOR_BYTES is the width of a vector: 64, 32 or 16.
 */
#include <stddef.h>
#include <string.h>

#ifdef __SSE2__
#    include <immintrin.h>
#elif defined __ARM_NEON
#    include <arm_neon.h>
#endif

typedef float vector __attribute__((vector_size(VECTOR_BYTES)));
enum { LANES = VECTOR_BYTES / 4, CHAINS = 12 };

/* `rounds` times a multiply-add in each of CHAINS independent vectors, enough of them to hide the latency.
 * Returns the floating-point operations done; `sink` receives a value that depends on all of them. */
double limit_multiply_adds(long rounds, float *sink) {
    vector sum[CHAINS];
    vector factor, term;
    for (int lane = 0; lane < LANES; ++lane) {
        factor[lane] = 0.999F;
        term[lane] = *sink;
    }
    for (int chain = 0; chain < CHAINS; ++chain)
        sum[chain] = term * (float)chain;
    for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int chain = 0; chain < CHAINS; ++chain)
            sum[chain] = sum[chain] * factor + term;
    }
    vector total = sum[0];
    for (int chain = 1; chain < CHAINS; ++chain)
        total += sum[chain];
    for (int lane = 0; lane < LANES; ++lane)
        *sink += total[lane];
    return 2.0 * (double)rounds * CHAINS * LANES;
}

/* The products of bytes that one instruction (or two) adds to exact int32 sums: SUM += A . B, PRODUCTS of
 * them. */
#if defined __AMX_INT8__
#    include <sys/syscall.h>
#    include <unistd.h>
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
#elif defined __AVX512VNNI__
typedef __m512i integers;
#    define PRODUCTS 64
#    define ADD_PRODUCTS(sum, a, b) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
#elif defined __AVXVNNI__
typedef __m256i integers;
#    define PRODUCTS 32
#    define ADD_PRODUCTS(sum, a, b) __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b))
#elif defined __AVX512BW__
typedef __m512i integers;
#    define PRODUCTS 32
#    define ADD_PRODUCTS(sum, a, b) sum = _mm512_add_epi32(sum, _mm512_madd_epi16(a, b))
#elif defined __AVX2__
typedef __m256i integers;
#    define PRODUCTS 16
#    define ADD_PRODUCTS(sum, a, b) sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
#elif defined __ARM_FEATURE_MATMUL_INT8
typedef int32x4_t integers;
#    define PRODUCTS 32
#    define ADD_PRODUCTS(sum, a, b) sum = vusmmlaq_s32(sum, vreinterpretq_u8_s32(a), vreinterpretq_s8_s32(b))
#elif defined __ARM_FEATURE_DOTPROD
typedef int32x4_t integers;
#    define PRODUCTS 16
#    define ADD_PRODUCTS(sum, a, b) sum = vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))
#elif defined __ARM_NEON
typedef int32x4_t integers;
#    define PRODUCTS 4
#    define ADD_PRODUCTS(sum, a, b)                                                                          \
        sum = vmlal_s16(sum, vreinterpret_s16_s32(vget_low_s32(a)), vreinterpret_s16_s32(vget_low_s32(b)))
#else
typedef int integers;
#    define REGISTER "r"
#    define PRODUCTS 1
#    define ADD_PRODUCTS(sum, a, b) sum += (signed char)(a) * (b)
#endif

#ifndef REGISTER
#    ifdef __ARM_NEON
#        define REGISTER "w"
#    else
#        define REGISTER "v"
#    endif
#endif

/* `rounds` times the products of bytes in each of some independent sums. Returns the operations done, a
 * multiply-add being two. */
#ifdef __AMX_INT8__
double limit_multiply_adds_s8(long rounds, int *sink) {
    const struct {
        unsigned char palette, start, reserved[14];
        unsigned short row_bytes[16];
        unsigned char rows[16];
    } shape = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    /* Linux hands out the tile registers on request. */
    if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA))
        return 0;
    _tile_loadconfig(&shape);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (long round = 0; round < rounds / 16; ++round) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_release();
    *sink += 1;
    return 2.0 * (double)(rounds / 16) * 4 * 16 * 16 * 64;
}
#else
/* The compiler is not to notice that it has computed the same before. */
#    define STEP(sum)                                                                                        \
        ADD_PRODUCTS(sum, a, b);                                                                             \
        __asm__("" : "+" REGISTER(a), "+" REGISTER(sum))

double limit_multiply_adds_s8(long rounds, int *sink) {
    integers a, b, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9;
    memset(&a, 1, sizeof a);
    memset(&b, *sink, sizeof b);
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = a;
    for (long round = 0; round < rounds; ++round) {
        STEP(s0);
        STEP(s1);
        STEP(s2);
        STEP(s3);
        STEP(s4);
        STEP(s5);
        STEP(s6);
        STEP(s7);
        STEP(s8);
        STEP(s9);
    }
    const integers sums[] = {s0, s1, s2, s3, s4, s5, s6, s7, s8, s9};
    int total = 0;
    for (size_t index = 0; index < sizeof sums / sizeof *sums; ++index) {
        int first;
        memcpy(&first, &sums[index], sizeof first);
        total ^= first;
    }
    *sink += total;
    return 2.0 * (double)rounds * 10 * PRODUCTS;
}
#endif

/* Reads `count` floats (a multiple of 8 vectors, aligned) `repeats` times. Returns a value that depends on
 * all. */
float limit_read(const float *data, size_t count, long repeats) {
    vector sum[8] = {0};
    for (long repeat = 0; repeat < repeats; ++repeat)
        for (size_t at = 0; at < count; at += (size_t)8 * LANES)
            for (int chain = 0; chain < 8; ++chain)
                sum[chain] += *(const vector *)(data + at + (size_t)chain * LANES);
    float total = 0;
    for (int chain = 0; chain < 8; ++chain)
        for (int lane = 0; lane < LANES; ++lane)
            total += sum[chain][lane];
    return total;
}
