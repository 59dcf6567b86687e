/* float32 GEMM with sums split in two, a row x 4 columns, portable C: the reference that is always there. */
#include "simd_f32_scalar.h"

#include "activation_f32.inc.h"
#include "conv_infer/microkernel.h"

enum { COLUMNS = 4, STEP = 2 };

void ci_gemm_split_f32_1x4_scalar(const ci_gemm_f32_args *args) {
    const vf_activation activation = vf_activation_of(&args->activation);
    for (int32_t row = 0; row < args->rows; row++) {
        const float *a = args->a + args->a_row[row];
        for (int32_t n = 0; n < args->columns; n++) {
            float sum[STEP] = {0.0f, 0.0f};
            for (int32_t k = 0; k < args->depth; k++)
                sum[k % STEP] += a[k] * args->b[(k / STEP * COLUMNS + n) * STEP + k % STEP];
            float total = sum[0] + sum[1] + args->bias[n];
            if (args->residual)
                total += args->residual[args->residual_row[row] + n];
            args->c[args->c_row[row] + n] = vf_activate(total, &activation);
        }
    }
}
