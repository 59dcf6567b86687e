/* int8 GEMM, Arm matrix products (usmmla): two rows and two columns, eight byte products each, summed in
 * int32. Up to 4 rows x 16 columns.
 *
 * Packed b: [k_block of 8][column][8]. The bytes of A are taken as they are, unsigned. */
#include "simd_s8_neon.h"

#include "conv_infer/microkernel.h"

#define GEMM_S8_NAME ci_gemm_s8_any_i8mm
#define GEMM_S8_ROWS_1 8
#define GEMM_S8_ROWS_2 8
#define GEMM_S8_ROWS_3 6
#define GEMM_S8_ROWS_4 4
#define GEMM_S8_SUM_TILE

/* Rows are taken in pairs, the last of an odd number twice. */
CI_INLINE void sum_tile(const int rows, const int vectors, const ci_gemm_s8_args *args,
                        const uint8_t *const *row, vi *sum, const char *prefetch, int64_t step) {
    const int pairs = (rows + 1) / 2;
    vi square[3 * 6]; /* of row pair and column pair: sums 00, 01, 10, 11 */
    CI_UNROLL
    for (int c = 0; c < 2 * vectors; c++) {
        const int32x2_t bias = vld1_s32(args->bias + 2 * c);
        CI_UNROLL
        for (int p = 0; p < pairs; p++)
            square[p * 2 * vectors + c] = vcombine_s32(bias, bias);
    }
    const int8_t *b = args->b;
    const int32_t *depth = args->a_depth, *const end = depth + args->k_blocks;
    do {
        uint8x16_t a[4];
        CI_PREFETCH_L2(prefetch);
        prefetch += step;
        CI_UNROLL
        for (int p = 0; p < pairs; p++)
            a[p] = vcombine_u8(vld1_u8(row[2 * p] + *depth),
                               vld1_u8(row[2 * p + 1 < rows ? 2 * p + 1 : 2 * p] + *depth));
        CI_UNROLL
        for (int c = 0; c < 2 * vectors; c++) {
            const int8x16_t columns = vld1q_s8(b + 16 * c);
            CI_UNROLL
            for (int p = 0; p < pairs; p++)
                square[p * 2 * vectors + c] = vusmmlaq_s32(square[p * 2 * vectors + c], a[p], columns);
        }
        b += vectors * 32;
    } while (++depth != end);
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        CI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int64x2_t left = vreinterpretq_s64_s32(square[(r / 2 * vectors + v) * 2]);
            const int64x2_t right = vreinterpretq_s64_s32(square[(r / 2 * vectors + v) * 2 + 1]);
            sum[r * vectors + v] =
                vreinterpretq_s32_s64(r % 2 ? vzip2q_s64(left, right) : vzip1q_s64(left, right));
        }
    }
}

#include "gemm_s8_store_neon.inc.h"

#include "gemm_s8.inc.h"
