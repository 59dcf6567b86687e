/* Instruction sets: which were built into this library, which this CPU (and its operating system) has, and
 * which may be used. "Built" and "present" are kept apart, and CONV_INFER_ISA can only take away. */
#ifndef CONV_INFER_CPU_H
#define CONV_INFER_CPU_H

#include "conv_infer/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In order of preference within one architecture: a kernel of a later set is taken before one of an earlier.
 */
typedef enum {
    CI_ISA_SCALAR = 0,
    CI_ISA_AVX2,       /* AVX2, FMA, F16C */
    CI_ISA_AVXVNNI,    /* and AVX-VNNI */
    CI_ISA_AVX512,     /* AVX2 and AVX-512 F, BW, DQ, VL */
    CI_ISA_AVX512VNNI, /* and AVX-512 VNNI */
    CI_ISA_AMX,        /* and AMX-TILE, AMX-INT8 with the operating system's permission */
    CI_ISA_NEON,
    CI_ISA_A53,     /* the same, scheduled for cores that execute in order as Cortex-A53 does */
    CI_ISA_DOTPROD, /* and SDOT, UDOT */
    CI_ISA_I8MM,    /* and SMMLA, USMMLA */
    CI_ISA_DSP,     /* SMLAD and UXTB16 of Armv7E-M: Cortex-M4, Cortex-M7 */
    CI_ISA_COUNT,
} ci_isa;

#define CI_ISA_BIT(isa) (1u << (isa))

/* The name that CONV_INFER_ISA uses: "scalar", "avx2", ... */
const char *ci_isa_name(ci_isa isa);

/* The set with this name, or CI_ISA_COUNT where there is none. */
ci_isa ci_isa_from_name(const char *name);

/* Sets as bits (CI_ISA_BIT): compiled in; offered by this machine; all that a set implies, itself included.
 */
uint32_t ci_isa_built(void);
uint32_t ci_isa_present(void);
uint32_t ci_isa_implied(ci_isa isa);

/* Built and present, limited to what `best` implies (CI_ISA_COUNT: no limit). Scalar is always among them. */
uint32_t ci_isa_allowed(ci_isa best);

/* Bytes of the caches of one core, as the machine tells, or common values where it does not. Of a cache that
 * several cores share, each counts its part. */
typedef struct {
    int64_t l1_data_bytes, l2_bytes;
} ci_cache;
ci_cache ci_cache_sizes(void);

/* Cores that this process may use: on Windows by its affinity, on macOS the fast ones, where there are two
 * kinds. 0 on other systems, and where nothing is told. */
int32_t ci_cores(void);

/* What the sizes are made of on Linux: a folder such as /sys/devices/system/cpu/cpu0, and what is known of
 * Arm's cores by the register MIDR_EL1. Sizes that neither tells are 0. */
ci_cache ci_cache_told_in(const char *folder);
ci_cache ci_cache_of_arm_core(uint64_t midr);

/* Whether an Arm core, by that register, is one that CI_ISA_A53 is for. And how many cores a folder such as
 * /sys/devices/system/cpu names, and how many of them are such: where all are, CI_ISA_A53 is offered. */
int ci_arm_core_is_in_order(uint64_t midr);
typedef struct {
    int32_t known, in_order;
} ci_arm_cores;
ci_arm_cores ci_arm_cores_told_in(const char *folder);

#ifdef __cplusplus
}
#endif
#endif
