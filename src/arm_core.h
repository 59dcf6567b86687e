/* Which of Arm's cores this machine has. */
#ifndef CONV_INFER_ARM_CORE_H
#define CONV_INFER_ARM_CORE_H

#include <stdint.h>

/* The register MIDR_EL1 of the core that this thread runs on; 0 where it cannot be read. */
uint64_t ci_own_midr(void);

/* Whether all cores of this machine execute in order, and have their kernels: then those are taken. Where
 * there are two kinds, the faster ones decide, which do most of the work: tasks go to whoever is free. */
int ci_arm_cores_are_in_order(void);

#endif
