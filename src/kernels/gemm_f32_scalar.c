/* float32 GEMM, 4 rows x 4 columns, portable C: the reference that is always there. Sums start at the bias
 * and run over depth in order. */
#include "simd_f32_scalar.h"

#include "activation_f32.inc.h"
#include "conv_infer/microkernel.h"

enum { MR = 4, NR = 4 };

void ci_gemm_f32_4x4_scalar(const ci_gemm_f32_args *args) {
    const vf_activation activation = vf_activation_of(&args->activation);
    for (int32_t first = 0; first < args->rows; first += MR) {
        /* Where rows run out, the last one is computed again and not stored. */
        const int32_t rows = args->rows - first < MR ? args->rows - first : MR;
        const float *row[MR];
        float sum[MR][NR];
        for (int32_t r = 0; r < MR; r++) {
            row[r] = args->a + args->a_row[first + (r < rows ? r : rows - 1)];
            const float *start = args->start && r < rows ? args->start + (first + r) * NR : args->bias;
            for (int32_t n = 0; n < NR; n++)
                sum[r][n] = start[n];
        }
        const float *b = args->b;
        for (int32_t k = 0; k < args->depth; k++, b += NR) {
            const int32_t offset = args->a_depth[k];
            for (int32_t r = 0; r < MR; r++) {
                const float value = row[r][offset];
                for (int32_t n = 0; n < NR; n++)
                    sum[r][n] += value * b[n];
            }
        }
        for (int32_t r = 0; r < rows && args->sums; r++) {
            for (int32_t n = 0; n < NR; n++)
                args->sums[(first + r) * NR + n] = sum[r][n];
        }
        for (int32_t r = 0; r < rows && !args->sums; r++) {
            float *c = args->c + args->c_row[first + r];
            for (int32_t n = 0; n < args->columns; n++) {
                float x = sum[r][n];
                if (args->residual)
                    x += args->residual[args->residual_row[first + r] + n];
                c[n] = vf_activate(x, &activation);
            }
        }
    }
}
