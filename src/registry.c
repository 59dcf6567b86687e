/* The table of kernels, made from kernels.def. */
#include <string.h>

#include "conv_infer/microkernel.h"

/* Prototypes. */
#define CI_KERNEL(operation, variant, isa, mr, nr, k_step)                                                   \
    ci_##operation##_fn ci_##operation##_##variant##_##isa;
#include "kernels.def"
#undef CI_KERNEL

#define ISA_scalar CI_ISA_SCALAR
#define ISA_avx2 CI_ISA_AVX2
#define ISA_avxvnni CI_ISA_AVXVNNI
#define ISA_avx512 CI_ISA_AVX512
#define ISA_avx512vnni CI_ISA_AVX512VNNI
#define ISA_amx CI_ISA_AMX
#define ISA_neon CI_ISA_NEON
#define ISA_a53 CI_ISA_A53
#define ISA_dotprod CI_ISA_DOTPROD
#define ISA_i8mm CI_ISA_I8MM
#define ISA_dsp CI_ISA_DSP

static const ci_kernel kernels[] = {
#define CI_KERNEL(operation, variant, isa, mr, nr, k_step)                                                   \
    {"ci_" #operation "_" #variant "_" #isa,                                                                 \
     CI_OPERATION_##operation,                                                                               \
     #variant,                                                                                               \
     ISA_##isa,                                                                                              \
     mr,                                                                                                     \
     nr,                                                                                                     \
     k_step,                                                                                                 \
     (ci_any_fn *)ci_##operation##_##variant##_##isa},
#include "kernels.def"
#undef CI_KERNEL
};

const ci_kernel *ci_kernels(int32_t *count) {
    *count = (int32_t)(sizeof kernels / sizeof *kernels);
    return kernels;
}

const char *ci_operation_name(ci_operation operation) {
#define CI_OPERATION_NAME(name) #name,
    static const char *const operation_names[] = {CI_OPERATIONS(CI_OPERATION_NAME)};
#undef CI_OPERATION_NAME
    return operation < CI_OPERATION_COUNT ? operation_names[operation] : "?";
}

const ci_kernel *ci_kernel_find(ci_operation operation, const char *variant, uint32_t allowed) {
    const ci_kernel *best = NULL;
    for (size_t index = 0; index < sizeof kernels / sizeof *kernels; index++) {
        const ci_kernel *kernel = &kernels[index];
        if (kernel->operation == operation && (allowed & CI_ISA_BIT(kernel->isa)) &&
            strcmp(kernel->variant, variant) == 0 && (!best || kernel->isa > best->isa))
            best = kernel;
    }
    return best;
}
