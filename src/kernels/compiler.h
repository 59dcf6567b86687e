/* What the kernels ask of the compiler beyond C11, behind names that any compiler can be given. */
#ifndef CONV_INFER_KERNELS_COMPILER_H
#define CONV_INFER_KERNELS_COMPILER_H

#if defined(__GNUC__)
#    define CI_INLINE static inline __attribute__((always_inline))
#    define CI_NOINLINE __attribute__((noinline))
#    define CI_LIKELY(condition) __builtin_expect(!!(condition), 1)
#elif defined(_MSC_VER)
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

/* Draws the cache line of an address, which need not be a valid one, into the second-level cache. */
#if defined(__GNUC__)
#    define CI_PREFETCH_L2(address) __builtin_prefetch((address), 0, 2)
#else
#    define CI_PREFETCH_L2(address) ((void)(address))
#endif

#endif
