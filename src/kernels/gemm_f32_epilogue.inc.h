/* What every tile shape of the float32 GEMM kernels shares: the part of the epilogue that is not in
 * registers. */
#ifndef CONV_INFER_KERNELS_GEMM_F32_EPILOGUE_INC_H
#define CONV_INFER_KERNELS_GEMM_F32_EPILOGUE_INC_H

#include <math.h>

#include "activation_f32.inc.h"
#include "conv_infer/microkernel.h"

typedef void gemm_tile_fn(const ci_gemm_f32_args *args, int32_t first, int32_t count, const char *prefetch,
                          int64_t prefetch_share, int64_t prefetch_step);

/* NaN is no bound. */
static inline int gemm_raises(const ci_activation *activation) {
    return activation->kind == CI_ACTIVATION_CLAMP && activation->alpha > -INFINITY;
}

static inline int gemm_lowers(const ci_activation *activation) {
    return activation->kind == CI_ACTIVATION_CLAMP && activation->beta < INFINITY;
}

/* The activations that a tile does not spend code on: over the rows just stored, still in the first-level
 * cache. */
static CI_NOINLINE void gemm_activate_rows(const ci_gemm_f32_args *args, int32_t first, int32_t rows) {
    const vf_activation activation = vf_activation_of(&args->activation);
    for (int32_t r = 0; r < rows; r++) {
        float *c = args->c + args->c_row[first + r];
        int32_t n = 0;
        for (; n + VF_LANES <= args->columns; n += VF_LANES)
            vf_store(c + n, vf_activate(vf_load(c + n), &activation));
        if (n < args->columns)
            vf_store_n(c + n, vf_activate(vf_load_n(c + n, args->columns - n), &activation),
                       args->columns - n);
    }
}

#endif
