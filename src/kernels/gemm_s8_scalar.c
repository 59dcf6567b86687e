/* int8 GEMM, 4 columns, portable C: the reference that is always there. Packed b: [k_block][4][4].
 *
 * Both operands are widened to int16 a block of depth at a time, the weights for some rows together: the loop
 * that is left, a sum of products of int16, is one that compilers know how to turn into vector code. */
#include <string.h>

#include "conv_infer/microkernel.h"
#include "requantise.h"

enum { NR = 4, STEP = 4, ROWS = 16, DEPTH = 64 };

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

/* One depth block of one row: k_step bytes at a time become int16. */
static void widen_row(int16_t *to, const uint8_t *row, const int32_t *a_depth, int32_t blocks) {
    for (int32_t k = 0; k < blocks; k++) {
        const uint8_t *from = row + a_depth[k];
        for (int32_t j = 0; j < STEP; j++)
            *to++ = from[j];
    }
}

/* The weights of each column on end. */
static void widen_columns(int16_t to[NR][DEPTH], const int8_t *b, int32_t blocks) {
    for (int32_t k = 0; k < blocks; k++)
        for (int32_t n = 0; n < NR; n++)
            for (int32_t j = 0; j < STEP; j++)
                to[n][STEP * k + j] = *b++;
}

void ci_gemm_s8_any_scalar(const ci_gemm_s8_args *args) {
    for (int32_t first = 0; first < args->rows; first += ROWS) {
        const int32_t rows = args->rows - first < ROWS ? args->rows - first : ROWS;
        int32_t sum[ROWS][NR];
        for (int32_t r = 0; r < rows; r++)
            memcpy(sum[r], args->bias, sizeof sum[r]);
        for (int32_t k = 0; k < args->k_blocks; k += DEPTH / STEP) {
            const int32_t left = args->k_blocks - k, blocks = left < DEPTH / STEP ? left : DEPTH / STEP;
            int16_t a[DEPTH], b[NR][DEPTH];
            widen_columns(b, (const int8_t *)args->b + (int64_t)k * NR * STEP, blocks);
            for (int32_t r = 0; r < rows; r++) {
                widen_row(a, args->a + args->a_row[first + r], args->a_depth + k, blocks);
                for (int32_t n = 0; n < NR; n++) {
                    int32_t dot = 0;
                    for (int32_t d = 0; d < STEP * blocks; d++)
                        dot += a[d] * b[n][d];
                    sum[r][n] = (int32_t)((uint32_t)sum[r][n] + (uint32_t)dot);
                }
            }
        }
        for (int32_t r = 0; r < rows; r++)
            store_row(args, first + r, sum[r]);
    }
}
