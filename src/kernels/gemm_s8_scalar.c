/* int8 GEMM, 16 columns, portable C: the reference that is always there. Packed b: [k_block][columns][4],
 * columns rounded up to fours.
 *
 * Both operands are widened to int16 a block of depth at a time, the weights for many rows together: the loop
 * that is left, sums of products of int16, is one that compilers know how to turn into vector code. */
#include <string.h>

#include "conv_infer/microkernel.h"
#include "requantise.h"

enum { NR = 16, FEW = 4, STEP = 4, ROWS = 48, DEPTH = 128, BLOCKS = DEPTH / STEP, LONG_RUN = 8 };

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

/* Where a depth block lies in every row of A: runs of fours on end. */
typedef struct {
    const int32_t *offset; /* [blocks] */
    int32_t blocks, runs;
    int32_t end[BLOCKS]; /* [runs] */
} depth_block;

static void find_runs(depth_block *depth, const int32_t *a_depth, int32_t blocks) {
    depth->offset = a_depth;
    depth->blocks = blocks;
    depth->runs = 0;
    for (int32_t k = 1; k <= blocks; k++)
        if (k == blocks || a_depth[k] != a_depth[k - 1] + STEP)
            depth->end[depth->runs++] = k;
}

static void widen_run(int16_t *to, const uint8_t *from, int32_t count) {
    for (int32_t d = 0; d < count; d++)
        to[d] = from[d];
}

/* One row of it. Short runs are joined first. */
static void widen_row(int16_t *to, const uint8_t *row, const depth_block *depth) {
    if (LONG_RUN * depth->runs <= depth->blocks) {
        for (int32_t run = 0, k = 0; run < depth->runs; k = depth->end[run++])
            widen_run(to + STEP * k, row + depth->offset[k], STEP * (depth->end[run] - k));
        return;
    }
    uint8_t bytes[DEPTH];
    for (int32_t k = 0; k < depth->blocks; k++)
        memcpy(bytes + STEP * k, row + depth->offset[k], STEP);
    widen_run(to, bytes, STEP * depth->blocks);
}

/* The weights of each column on end. */
static void widen_columns(int16_t to[NR][DEPTH], const int8_t *b, int32_t columns, int32_t blocks) {
    int8_t bytes[DEPTH];
    for (int32_t n = 0; n < columns; n++) {
        for (int32_t k = 0; k < blocks; k++)
            memcpy(bytes + STEP * k, b + (k * columns + n) * STEP, STEP);
        for (int32_t d = 0; d < STEP * blocks; d++)
            to[n][d] = bytes[d];
    }
}

/* A few columns. Products of one depth block fit into int32; the sum of all may wrap on its way. */
static void multiply(int32_t *sum, const int16_t *a, int16_t b[FEW][DEPTH], int32_t depth) {
    int32_t dot0 = 0, dot1 = 0, dot2 = 0, dot3 = 0;
    for (int32_t d = 0; d < depth; d++) {
        dot0 += a[d] * b[0][d];
        dot1 += a[d] * b[1][d];
        dot2 += a[d] * b[2][d];
        dot3 += a[d] * b[3][d];
    }
    sum[0] = (int32_t)((uint32_t)sum[0] + (uint32_t)dot0);
    sum[1] = (int32_t)((uint32_t)sum[1] + (uint32_t)dot1);
    sum[2] = (int32_t)((uint32_t)sum[2] + (uint32_t)dot2);
    sum[3] = (int32_t)((uint32_t)sum[3] + (uint32_t)dot3);
}

void ci_gemm_s8_any_scalar(const ci_gemm_s8_args *args) {
    const int32_t columns = (args->columns + FEW - 1) / FEW * FEW;
    for (int32_t first = 0; first < args->rows; first += ROWS) {
        const int32_t rows = args->rows - first < ROWS ? args->rows - first : ROWS;
        int32_t sum[ROWS][NR];
        for (int32_t r = 0; r < rows; r++)
            memcpy(sum[r], args->bias, (size_t)columns * sizeof sum[r][0]);
        for (int32_t k = 0; k < args->k_blocks; k += BLOCKS) {
            const int32_t blocks = args->k_blocks - k < BLOCKS ? args->k_blocks - k : BLOCKS;
            depth_block depth;
            int16_t a[DEPTH], b[NR][DEPTH];
            find_runs(&depth, args->a_depth + k, blocks);
            widen_columns(b, (const int8_t *)args->b + (int64_t)k * columns * STEP, columns, blocks);
            for (int32_t r = 0; r < rows; r++) {
                widen_row(a, args->a + args->a_row[first + r], &depth);
                for (int32_t n = 0; n < columns; n += FEW)
                    multiply(sum[r] + n, a, b + n, STEP * blocks);
            }
        }
        for (int32_t r = 0; r < rows; r++)
            store_row(args, first + r, sum[r]);
    }
}
