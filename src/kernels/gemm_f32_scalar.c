/* float32 GEMM, 4 rows x 4 columns, portable C: the reference that is always there. Sums start at the bias
 * and run over depth in order. */
#include <string.h>

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
        float sum0[NR], sum1[NR], sum2[NR], sum3[NR]; /* each a vector, where the compiler has them */
        memcpy(sum0, sum[0], sizeof sum0);
        memcpy(sum1, sum[1], sizeof sum1);
        memcpy(sum2, sum[2], sizeof sum2);
        memcpy(sum3, sum[3], sizeof sum3);
        for (int32_t k = 0; k < args->depth; k++, b += NR) {
            CI_ONE_BY_ONE;
            const int32_t offset = args->a_depth[k];
            const float a0 = row[0][offset], a1 = row[1][offset], a2 = row[2][offset], a3 = row[3][offset];
            for (int32_t n = 0; n < NR; n++)
                sum0[n] += a0 * b[n];
            for (int32_t n = 0; n < NR; n++)
                sum1[n] += a1 * b[n];
            for (int32_t n = 0; n < NR; n++)
                sum2[n] += a2 * b[n];
            for (int32_t n = 0; n < NR; n++)
                sum3[n] += a3 * b[n];
        }
        memcpy(sum[0], sum0, sizeof sum0);
        memcpy(sum[1], sum1, sizeof sum1);
        memcpy(sum[2], sum2, sizeof sum2);
        memcpy(sum[3], sum3, sizeof sum3);
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
