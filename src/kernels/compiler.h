/* What the kernels ask of the compiler beyond C11, behind names that any compiler can be given. */
#ifndef CONV_INFER_KERNELS_COMPILER_H
#define CONV_INFER_KERNELS_COMPILER_H

#if defined(__GNUC__) || defined(__clang__)
#    define CI_INLINE static inline __attribute__((always_inline))
#    define CI_NOINLINE __attribute__((noinline))
#    define CI_LIKELY(condition) __builtin_expect(!!(condition), 1)
#elif defined(_MSC_VER)
#    pragma fp_contract(off) /* a fused multiply-add is only where the source asks for one */
#    define CI_INLINE static __forceinline
#    define CI_NOINLINE __declspec(noinline)
#    define CI_LIKELY(condition) (condition)
#else
#    define CI_INLINE static inline
#    define CI_NOINLINE
#    define CI_LIKELY(condition) (condition)
#endif

/* Before a loop of a compile-time count (at most 32) over an array that is to stay in registers. */
#if defined(__clang__)
#    define CI_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#    define CI_UNROLL _Pragma("GCC unroll 32")
#else
#    define CI_UNROLL
#endif

/* Before a loop whose iterations are independent even where output and input are the same array. */
#if defined(__clang__)
#    define CI_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#    define CI_INDEPENDENT _Pragma("GCC ivdep")
#else
#    define CI_INDEPENDENT
#endif

/* In the body of a loop that is not to be made a vector loop itself: the vectors are in its body. */
#if defined(__GNUC__) && !defined(__clang__)
#    define CI_ONE_BY_ONE __asm__ volatile("")
#else
#    define CI_ONE_BY_ONE ((void)0)
#endif

/* Draws the cache line of an address, which need not be a valid one, into the first- or second-level cache.
 */
#if defined(__GNUC__) || defined(__clang__)
#    define CI_PREFETCH_L1(address) __builtin_prefetch((address), 0, 3)
#    define CI_PREFETCH_L2(address) __builtin_prefetch((address), 0, 2)
#elif defined(_MSC_VER) && defined(_M_X64)
#    include <immintrin.h>
#    define CI_PREFETCH_L1(address) _mm_prefetch((const char *)(address), _MM_HINT_T0)
#    define CI_PREFETCH_L2(address) _mm_prefetch((const char *)(address), _MM_HINT_T1)
#else
#    define CI_PREFETCH_L1(address) ((void)(address))
#    define CI_PREFETCH_L2(address) ((void)(address))
#endif

/* X(1) X(2) ... X(count), for a count of 1 to 16 spelt as a number. */
#define CI_FOR_EACH_UP_TO(count, X) CI_FOR_EACH_UP_TO_(count, X)
#define CI_FOR_EACH_UP_TO_(count, X) CI_FOR_EACH_UP_TO_##count(X)
#define CI_FOR_EACH_UP_TO_1(X) X(1)
#define CI_FOR_EACH_UP_TO_2(X) CI_FOR_EACH_UP_TO_1(X) X(2)
#define CI_FOR_EACH_UP_TO_3(X) CI_FOR_EACH_UP_TO_2(X) X(3)
#define CI_FOR_EACH_UP_TO_4(X) CI_FOR_EACH_UP_TO_3(X) X(4)
#define CI_FOR_EACH_UP_TO_5(X) CI_FOR_EACH_UP_TO_4(X) X(5)
#define CI_FOR_EACH_UP_TO_6(X) CI_FOR_EACH_UP_TO_5(X) X(6)
#define CI_FOR_EACH_UP_TO_7(X) CI_FOR_EACH_UP_TO_6(X) X(7)
#define CI_FOR_EACH_UP_TO_8(X) CI_FOR_EACH_UP_TO_7(X) X(8)
#define CI_FOR_EACH_UP_TO_9(X) CI_FOR_EACH_UP_TO_8(X) X(9)
#define CI_FOR_EACH_UP_TO_10(X) CI_FOR_EACH_UP_TO_9(X) X(10)
#define CI_FOR_EACH_UP_TO_11(X) CI_FOR_EACH_UP_TO_10(X) X(11)
#define CI_FOR_EACH_UP_TO_12(X) CI_FOR_EACH_UP_TO_11(X) X(12)
#define CI_FOR_EACH_UP_TO_13(X) CI_FOR_EACH_UP_TO_12(X) X(13)
#define CI_FOR_EACH_UP_TO_14(X) CI_FOR_EACH_UP_TO_13(X) X(14)
#define CI_FOR_EACH_UP_TO_15(X) CI_FOR_EACH_UP_TO_14(X) X(15)
#define CI_FOR_EACH_UP_TO_16(X) CI_FOR_EACH_UP_TO_15(X) X(16)

#endif
