/* Which of Arm's cores this machine has: what Linux tells of each, or else the register that names the one
 * that asks. */
#include "arm_core.h"

#include "conv_infer/cpu.h"

#if defined(__linux__)
#    include <inttypes.h>
#    include <stdio.h>
#    if defined(__aarch64__)
#        include <sys/auxv.h>
#    endif
#endif

int ci_arm_core_is_in_order(uint64_t midr) {
    enum { ARM = 0x41, CORTEX_A53 = 0xd03, CORTEX_A55 = 0xd05 };
    const uint64_t part = midr >> 4 & 0xfff;
    return midr >> 24 == ARM && (part == CORTEX_A53 || part == CORTEX_A55);
}

#if defined(__linux__)
ci_arm_cores ci_arm_cores_told_in(const char *folder) {
    ci_arm_cores cores = {0, 0};
    for (int core = 0; core < 4096; core++) {
        char path[4096];
        uint64_t midr = 0;
        const int length = snprintf(path, sizeof path, "%s/cpu%d/regs/identification/midr_el1", folder, core);
        FILE *file = length < (int)sizeof path ? fopen(path, "r") : NULL;
        if (!file)
            break;
        if (fscanf(file, "%" SCNx64, &midr) == 1) {
            cores.known++;
            cores.in_order += ci_arm_core_is_in_order(midr);
        }
        fclose(file);
    }
    return cores;
}
#else
ci_arm_cores ci_arm_cores_told_in(const char *folder) {
    (void)folder;
    return (ci_arm_cores){0, 0};
}
#endif

/* Linux reads the register for programs where it says so: in containers that hide its files, too. */
uint64_t ci_own_midr(void) {
    uint64_t midr = 0;
#if defined(__linux__) && defined(__aarch64__)
    enum { HWCAP_REGISTERS = 1 << 11 };
    if (getauxval(AT_HWCAP) & HWCAP_REGISTERS)
        __asm__("mrs %0, midr_el1" : "=r"(midr));
#endif
    return midr;
}

int ci_arm_cores_are_in_order(void) {
    const ci_arm_cores cores = ci_arm_cores_told_in("/sys/devices/system/cpu");
    return cores.known ? cores.in_order == cores.known : ci_arm_core_is_in_order(ci_own_midr());
}
