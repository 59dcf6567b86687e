/* What the int8 kernels say in assembly, because compilers say it badly.
 *
 * Written with intrinsics, gcc 12 copies and spills the sums of vpdpbusd (a quarter of the speed); as one
 * instruction whose sum is read and written in place they stay in registers. Where a compiler takes no
 * assembly (Microsoft's), the intrinsics below mean the same. */
#ifndef CONV_INFER_KERNELS_ASM_S8_H
#define CONV_INFER_KERNELS_ASM_S8_H

#if defined(__GNUC__) || defined(__clang__)

/* sum += a . b over the four bytes of each lane, a unsigned, b signed. */
#    define CI_DPBUSD_ZMM(sum, a, b) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
#    define CI_DPBUSD_YMM(sum, a, b) __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b))

/* The same with b in memory. */
#    define CI_DPBUSD_ZMM_MEMORY(sum, a, b) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "m"(b))
#    define CI_DPBUSD_YMM_MEMORY(sum, a, b)                                                                  \
        __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "m"(b))

/* sum += a . b over the two int16 of each lane, b a vector in memory. As intrinsics, the compiler adds the
 * products to each other first, and has no registers left. */
#    define CI_DOT_PAIRS_ZMM(sum, a, b)                                                                      \
        do {                                                                                                 \
            __m512i product_;                                                                                \
            __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"                                               \
                    : "+v"(sum), "=&v"(product_)                                                             \
                    : "v"(a), "m"(b));                                                                       \
        } while (0)
#    define CI_DOT_PAIRS_YMM(sum, a, b)                                                                      \
        do {                                                                                                 \
            __m256i product_;                                                                                \
            __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"                                               \
                    : "+x"(sum), "=&x"(product_)                                                             \
                    : "x"(a), "m"(b));                                                                       \
        } while (0)

/* The same with b in a register. */
#    define CI_DOT_PAIRS_ZMM_REGISTER(sum, a, b)                                                             \
        do {                                                                                                 \
            __m512i product_;                                                                                \
            __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"                                               \
                    : "+v"(sum), "=&v"(product_)                                                             \
                    : "v"(a), "v"(b));                                                                       \
        } while (0)
#    define CI_DOT_PAIRS_YMM_REGISTER(sum, a, b)                                                             \
        do {                                                                                                 \
            __m256i product_;                                                                                \
            __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"                                               \
                    : "+x"(sum), "=&x"(product_)                                                             \
                    : "x"(a), "x"(b));                                                                       \
        } while (0)

/* Keeps a value in a register of its own: copies of one value are not merged. */
#    define CI_KEEP_ZMM(x) __asm__("" : "+v"(x))
#    define CI_KEEP_YMM(x) __asm__("" : "+x"(x))

#else
#    define CI_DPBUSD_ZMM(sum, a, b) ((sum) = _mm512_dpbusd_epi32((sum), (a), (b)))
#    define CI_DPBUSD_YMM(sum, a, b) ((sum) = _mm256_dpbusd_avx_epi32((sum), (a), (b)))
#    define CI_DPBUSD_ZMM_MEMORY(sum, a, b) CI_DPBUSD_ZMM(sum, a, b)
#    define CI_DPBUSD_YMM_MEMORY(sum, a, b) CI_DPBUSD_YMM(sum, a, b)
#    define CI_DOT_PAIRS_ZMM(sum, a, b) ((sum) = _mm512_add_epi32((sum), _mm512_madd_epi16((a), (b))))
#    define CI_DOT_PAIRS_YMM(sum, a, b) ((sum) = _mm256_add_epi32((sum), _mm256_madd_epi16((a), (b))))
#    define CI_DOT_PAIRS_ZMM_REGISTER(sum, a, b) CI_DOT_PAIRS_ZMM(sum, a, b)
#    define CI_DOT_PAIRS_YMM_REGISTER(sum, a, b) CI_DOT_PAIRS_YMM(sum, a, b)
#    define CI_KEEP_ZMM(x) ((void)(x))
#    define CI_KEEP_YMM(x) ((void)(x))
#endif

#endif
