/* float32 dot-product GEMM, a row x 4 columns, portable C: the reference that is always there. Sums run over
 * depth in order from zero; the bias comes last. */
#include "simd_f32_scalar.h"

#include "activation_f32.inc.h"
#include "conv_infer/microkernel.h"

void ci_gemm_dot_f32_1x4_scalar(const ci_gemm_f32_args *args) {
    const int64_t depth = args->depth;
    const int64_t padded = (depth + CI_GEMM_DOT_STEP - 1) / CI_GEMM_DOT_STEP * CI_GEMM_DOT_STEP;
    const vf_activation activation = vf_activation_of(&args->activation);
    for (int32_t row = 0; row < args->rows; row++) {
        const float *a = args->a + args->a_row[row];
        for (int32_t n = 0; n < args->columns; n++) {
            const float *b = args->b + n * padded;
            float sum = 0.0f;
            for (int64_t k = 0; k < depth; k++)
                sum += a[k] * b[k];
            sum += args->bias[n];
            if (args->residual)
                sum += args->residual[args->residual_row[row] + n];
            args->c[args->c_row[row] + n] = vf_activate(sum, &activation);
        }
    }
}
