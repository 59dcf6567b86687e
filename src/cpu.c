/* What this machine offers, asked of the processor and of the operating system. */
#include "conv_infer/cpu.h"

#include <string.h>

#include "arm_core.h"

#if defined(_MSC_VER) && !defined(__clang__) && (defined(_M_X64) || defined(_M_IX86))
#    include <immintrin.h>
#    include <intrin.h>
#    define CI_X86 1
#elif defined(__x86_64__) || defined(__i386__)
#    include <cpuid.h>
#    define CI_X86 1
#endif
#if defined(__linux__)
#    include <sys/syscall.h>
#    include <unistd.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#    include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#    include <sys/sysctl.h>
#elif defined(__aarch64__) && defined(_WIN32)
#    include <windows.h>
#endif

static const char *const names[CI_ISA_COUNT] = {"scalar", "avx2", "avxvnni", "avx512", "avx512vnni", "amx",
                                                "neon",   "a53",  "dotprod", "i8mm",   "dsp"};

const char *ci_isa_name(ci_isa isa) {
    return isa < CI_ISA_COUNT ? names[isa] : "?";
}

ci_isa ci_isa_from_name(const char *name) {
    for (int isa = 0; isa < CI_ISA_COUNT; isa++) {
        if (strcmp(name, names[isa]) == 0)
            return (ci_isa)isa;
    }
    return CI_ISA_COUNT;
}

uint32_t ci_isa_implied(ci_isa isa) {
    const uint32_t scalar = CI_ISA_BIT(CI_ISA_SCALAR), avx2 = scalar | CI_ISA_BIT(CI_ISA_AVX2);
    const uint32_t avx512 = avx2 | CI_ISA_BIT(CI_ISA_AVX512), vnni = avx512 | CI_ISA_BIT(CI_ISA_AVX512VNNI);
    const uint32_t neon = scalar | CI_ISA_BIT(CI_ISA_NEON), a53 = neon | CI_ISA_BIT(CI_ISA_A53);
    const uint32_t dotprod = a53 | CI_ISA_BIT(CI_ISA_DOTPROD);
    switch (isa) {
    case CI_ISA_AVX2:
        return avx2;
    case CI_ISA_AVXVNNI:
        return avx2 | CI_ISA_BIT(CI_ISA_AVXVNNI);
    case CI_ISA_AVX512:
        return avx512;
    case CI_ISA_AVX512VNNI:
        return vnni;
    case CI_ISA_AMX:
        return vnni | CI_ISA_BIT(CI_ISA_AMX);
    case CI_ISA_NEON:
        return neon;
    case CI_ISA_A53:
        return a53;
    case CI_ISA_DOTPROD:
        return dotprod;
    case CI_ISA_I8MM:
        return dotprod | CI_ISA_BIT(CI_ISA_I8MM);
    case CI_ISA_DSP:
        return scalar | CI_ISA_BIT(CI_ISA_DSP);
    default:
        return scalar;
    }
}

uint32_t ci_isa_built(void) {
    uint32_t built = CI_ISA_BIT(CI_ISA_SCALAR);
#ifdef CI_BUILT_AVX2
    built |= CI_ISA_BIT(CI_ISA_AVX2);
#endif
#ifdef CI_BUILT_AVXVNNI
    built |= CI_ISA_BIT(CI_ISA_AVXVNNI);
#endif
#ifdef CI_BUILT_AVX512
    built |= CI_ISA_BIT(CI_ISA_AVX512);
#endif
#ifdef CI_BUILT_AVX512VNNI
    built |= CI_ISA_BIT(CI_ISA_AVX512VNNI);
#endif
#ifdef CI_BUILT_AMX
    built |= CI_ISA_BIT(CI_ISA_AMX);
#endif
#ifdef CI_BUILT_NEON
    built |= CI_ISA_BIT(CI_ISA_NEON);
#endif
#ifdef CI_BUILT_A53
    built |= CI_ISA_BIT(CI_ISA_A53);
#endif
#ifdef CI_BUILT_DOTPROD
    built |= CI_ISA_BIT(CI_ISA_DOTPROD);
#endif
#ifdef CI_BUILT_I8MM
    built |= CI_ISA_BIT(CI_ISA_I8MM);
#endif
#ifdef CI_BUILT_DSP
    built |= CI_ISA_BIT(CI_ISA_DSP);
#endif
    return built;
}

#ifdef CI_X86
typedef struct {
    unsigned a, b, c, d;
} registers;

static registers cpuid(unsigned leaf, unsigned subleaf) {
    registers r = {0, 0, 0, 0};
#    if defined(_MSC_VER) && !defined(__clang__)
    int values[4];
    __cpuid(values, 0);
    if ((unsigned)values[0] >= leaf) {
        __cpuidex(values, (int)leaf, (int)subleaf);
        r = (registers){(unsigned)values[0], (unsigned)values[1], (unsigned)values[2], (unsigned)values[3]};
    }
#    else
    if ((unsigned)__get_cpuid_max(0, NULL) >= leaf)
        __cpuid_count(leaf, subleaf, r.a, r.b, r.c, r.d);
#    endif
    return r;
}

/* The register states that the operating system saves (XCR0). */
static unsigned enabled_states(void) {
    if (!(cpuid(1, 0).c & (1u << 27)))
        return 0;
#    if defined(_MSC_VER) && !defined(__clang__)
    return (unsigned)_xgetbv(0);
#    else
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
#    endif
}

/* Linux hands out the AMX tile registers on request only. */
static int amx_permitted(void) {
#    if defined(__linux__) && defined(__x86_64__)
    enum { ARCH_REQUEST_STATE = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQUEST_STATE, TILE_DATA) == 0;
#    else
    return 0;
#    endif
}

static int all(unsigned value, unsigned bits) {
    return (value & bits) == bits;
}

static uint32_t present(void) {
    uint32_t found = CI_ISA_BIT(CI_ISA_SCALAR);
    const unsigned states = enabled_states();
    const registers basic = cpuid(1, 0), extended = cpuid(7, 0), more = cpuid(7, 1);
    const unsigned fma_f16c = (1u << 12) | (1u << 29);
    if (!all(states, 0x6) || !all(basic.c, fma_f16c) || !all(extended.b, 1u << 5))
        return found;
    found |= CI_ISA_BIT(CI_ISA_AVX2);
    if (all(more.a, 1u << 4))
        found |= CI_ISA_BIT(CI_ISA_AVXVNNI);
    const unsigned f_dq_bw_vl = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);
    if (!all(states, 0xe6) || !all(extended.b, f_dq_bw_vl))
        return found;
    found |= CI_ISA_BIT(CI_ISA_AVX512);
    if (!all(extended.c, 1u << 11))
        return found;
    found |= CI_ISA_BIT(CI_ISA_AVX512VNNI);
    if (all(states, 0x60000) && all(extended.d, (1u << 24) | (1u << 25)) && amx_permitted())
        found |= CI_ISA_BIT(CI_ISA_AMX);
    return found;
}
#elif defined(__aarch64__)
#    if defined(__APPLE__)
static int system_says(const char *name) {
    int answer = 0;
    size_t size = sizeof answer;
    return sysctlbyname(name, &answer, &size, NULL, 0) == 0 && answer != 0;
}
#    endif

static uint32_t present(void) {
    uint32_t found = CI_ISA_BIT(CI_ISA_SCALAR);
#    if defined(__linux__)
    enum { HWCAP_ADVANCED_SIMD = 1 << 1, HWCAP_DOT_PRODUCT = 1 << 20, HWCAP2_INT8_MATRIX = 1 << 13 };
    if (!(getauxval(AT_HWCAP) & HWCAP_ADVANCED_SIMD))
        return found;
    found |= CI_ISA_BIT(CI_ISA_NEON);
    if (ci_arm_cores_are_in_order())
        found |= CI_ISA_BIT(CI_ISA_A53);
    if (!(getauxval(AT_HWCAP) & HWCAP_DOT_PRODUCT))
        return found;
    found |= CI_ISA_BIT(CI_ISA_DOTPROD);
    if (getauxval(AT_HWCAP2) & HWCAP2_INT8_MATRIX)
        found |= CI_ISA_BIT(CI_ISA_I8MM);
#    else
    found |= CI_ISA_BIT(CI_ISA_NEON); /* every 64-bit Arm computer that runs macOS or Windows has it */
#        if defined(__APPLE__)
    if (system_says("hw.optional.arm.FEAT_DotProd"))
        found |= CI_ISA_BIT(CI_ISA_DOTPROD);
    if (system_says("hw.optional.arm.FEAT_DotProd") && system_says("hw.optional.arm.FEAT_I8MM"))
        found |= CI_ISA_BIT(CI_ISA_I8MM);
#        elif defined(_WIN32)
    enum {
        DOT_PRODUCT_INSTRUCTIONS = 43
    }; /* PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE, absent from older headers */
    if (IsProcessorFeaturePresent(DOT_PRODUCT_INSTRUCTIONS))
        found |= CI_ISA_BIT(CI_ISA_DOTPROD);
#        endif
#    endif
    return found;
}
#endif

#if defined(CI_X86) || defined(__aarch64__)
uint32_t ci_isa_present(void) {
    static uint32_t cached; /* a race writes the same value twice */
    if (!cached)
        cached = present();
    return cached;
}
#elif defined(__ARM_FEATURE_DSP) && defined(__thumb2__)
/* Nobody to ask on a microcontroller: the compiler was told which one it is. */
uint32_t ci_isa_present(void) {
    return CI_ISA_BIT(CI_ISA_SCALAR) | CI_ISA_BIT(CI_ISA_DSP);
}
#else
uint32_t ci_isa_present(void) {
    return CI_ISA_BIT(CI_ISA_SCALAR);
}
#endif

uint32_t ci_isa_allowed(ci_isa best) {
    uint32_t allowed = ci_isa_built() & ci_isa_present();
    return best < CI_ISA_COUNT ? allowed & ci_isa_implied(best) : allowed;
}
