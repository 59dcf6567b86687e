/* float32 GEMM, 4 rows x 4 columns, portable C: the reference that is always there. Sums run over depth in
 * order. */
#include "conv_infer/microkernel.h"

static float activate(float x, const ci_activation *activation) {
    float gate = activation->alpha * x + activation->beta;
    gate = gate < 0.0f ? 0.0f : gate > 1.0f ? 1.0f : gate;
    switch (activation->kind) {
    case CI_ACTIVATION_LEAKY_RELU:
        return x >= 0.0f ? x : activation->alpha * x;
    case CI_ACTIVATION_HARD_SWISH:
        return x * gate;
    case CI_ACTIVATION_HARD_SIGMOID:
        return gate;
    default:
        return x < activation->alpha ? activation->alpha : x > activation->beta ? activation->beta : x;
    }
}

void ci_gemm_f32_4x4_scalar(const ci_gemm_f32_args *args) {
    for (int32_t row = 0; row < args->rows; row++) {
        const float *a = args->a + args->a_row[row];
        float sum[4] = {args->bias[0], args->bias[1], args->bias[2], args->bias[3]};
        for (int32_t k = 0; k < args->depth; k++) {
            const float value = a[args->a_depth[k]];
            for (int32_t n = 0; n < 4; n++)
                sum[n] += value * args->b[4 * (int64_t)k + n];
        }
        float *c = args->c + args->c_row[row];
        for (int32_t n = 0; n < args->columns; n++) {
            if (args->residual)
                sum[n] += args->residual[args->residual_row[row] + n];
            c[n] = activate(sum[n], &args->activation);
        }
    }
}
