/* int8 GEMM, 4 rows x 4 columns, portable C: the reference that is always there. Packed b: [k_block][4][4].
 */
#include "conv_infer/microkernel.h"
#include "requantise.h"

static void store_row(const ci_gemm_s8_args *args, int32_t row, const int32_t *sum) {
    const ci_requantise *requantise = &args->requantise;
    if (args->c_row[row] == CI_ROW_SKIPPED)
        return;
    for (int32_t n = 0; n < args->columns; n++) {
        uint32_t total = (uint32_t)sum[n];
        if (args->a_sum)
            total -= (uint32_t)args->a_sum[row] * (uint32_t)args->b_zero[n];
        if (requantise->rule == CI_REQUANTISE_NONE) {
            ((int32_t *)args->c)[args->c_row[row] + n] = (int32_t)total;
            continue;
        }
        int32_t q = ci_requantise_sum(requantise, n, (int32_t)total);
        const ci_residual_s8 *residual = &requantise->residual;
        if (residual->data)
            q = ci_add_residual(residual, q, residual->data[residual->row[row] + n]);
        ((uint8_t *)args->c)[args->c_row[row] + n] = (uint8_t)(q ^ requantise->flip);
    }
}

void ci_gemm_s8_any_scalar(const ci_gemm_s8_args *args) {
    for (int32_t first = 0; first < args->rows; first += 4) {
        const int32_t rows = args->rows - first < 4 ? args->rows - first : 4;
        int32_t sum[4][4];
        for (int32_t r = 0; r < 4; r++) {
            for (int32_t n = 0; n < 4; n++)
                sum[r][n] = args->bias[n];
        }
        const int8_t *b = args->b;
        for (int32_t k = 0; k < args->k_blocks; k++, b += 16) {
            for (int32_t r = 0; r < rows; r++) {
                const uint8_t *a = args->a + args->a_row[first + r] + args->a_depth[k];
                for (int32_t n = 0; n < 4; n++)
                    sum[r][n] = (int32_t)((uint32_t)sum[r][n] +
                                          (uint32_t)(a[0] * b[4 * n] + a[1] * b[4 * n + 1] +
                                                     a[2] * b[4 * n + 2] + a[3] * b[4 * n + 3]));
            }
        }
        for (int32_t r = 0; r < rows; r++)
            store_row(args, first + r, sum[r]);
    }
}
