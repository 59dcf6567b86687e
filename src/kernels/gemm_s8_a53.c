/* The int8 GEMM of gemm_s8_neon.c, scheduled for Cortex-A53: in_order_neon.h says what decides the order of
 * instructions. Four rows by four columns of sums, and the next block's operands loaded beside the products.
 *
 * A comes through general registers, where it is made signed: that costs nothing behind products. Its halves
 * are put in place two in a cycle, the lower ones where the products with the last column's lower halves have
 * begun. Columns are loaded two ahead, at a place where no product began four cycles before that adds to
 * another. */
#include "simd_s8_neon.h"

#include "conv_infer/microkernel.h"
#include "in_order_neon.h"

#define GEMM_S8_NAME ci_gemm_s8_any_a53
#define GEMM_S8_ROWS_1 4
#define GEMM_S8_ROWS_2 4
#define GEMM_S8_ROWS_3 4
#define GEMM_S8_ROWS_4 4
#define GEMM_S8_SUM_TILE
#define GEMM_S8_IN_ORDER

/* Bytes less 128; and 127 less bytes, for those whose products are subtracted. */
#define LOWER_SIGNS UINT64_C(0x8080808080808080)
#define UPPER_SIGNS UINT64_C(0x7f7f7f7f7f7f7f7f)

/* Where a block is. What leads to the next one is found beside its products; after the last block its own
 * data are loaded again. */
typedef struct {
    const uint8_t *const *row;
    const int8_t *b, *next_b;
    const int32_t *depth;
    int64_t offset, next_upper; /* of the next block, in each row */
    int64_t left, b_step;
    const char *prefetch;
    int64_t prefetch_step;
    uint64_t half; /* of the column after the next */
    uint64_t lower[4], upper[4];
} block_at;

/* One instruction or two behind product `number` of 48. */
CI_INLINE void do_beside(const int number, block_at *at) {
    if (number == 0) {
        CI_PREFETCH_L2(at->prefetch);
        at->left--;
        KEEP_IN_ORDER(at->left);
    } else if (number == 2) {
        at->prefetch += at->prefetch_step;
        KEEP_IN_ORDER(at->prefetch);
    } else if (number == 5) {
        at->depth += at->left > 0;
        KEEP_IN_ORDER(at->depth);
    } else if (number == 7) {
        at->offset = *at->depth;
        KEEP_IN_ORDER(at->offset);
    } else if (number == 9) {
        at->next_b = at->b + (at->left > 0 ? at->b_step : 0);
        KEEP_IN_ORDER(at->next_b);
    } else if (number == 11) {
        at->next_upper = at->offset + 8;
        KEEP_IN_ORDER(at->next_upper);
    } else if (number >= 12 && number < 16) {
        LOAD_UPPER(at->lower[number - 12], at->row[number - 12] + at->offset);
    } else if (number >= 18 && number < 22) {
        at->lower[number - 18] ^= LOWER_SIGNS;
        KEEP_IN_ORDER(at->lower[number - 18]);
    } else if (number >= 24 && number < 28) {
        LOAD_UPPER(at->upper[number - 24], at->row[number - 24] + at->next_upper);
    } else if (number >= 30 && number < 34) {
        at->upper[number - 30] ^= UPPER_SIGNS;
        KEEP_IN_ORDER(at->upper[number - 30]);
    } else if (number == 36) {
        at->b = at->next_b;
        KEEP_IN_ORDER(at->b);
    }
}

/* Adds a block of depth of four columns, or begins sums with it. */
CI_INLINE void add_in_order(const int is_first, block_at *at, vi part[4 * 4], int8x16_t a[4],
                            int8x16_t column[4]) {
    int16x8_t joint[4];
    CI_UNROLL
    for (int c = 0; c < 4; c++) {
        if (c == 0) {
            CI_UNROLL
            for (int r = 0; r < 4; r++)
                JOIN_UPPER(a[r], at->upper[r]);
        }
        CI_UNROLL
        for (int r = 0; r < 4; r++) {
            MULTIPLY_LOWER(joint[r], a[r], column[c]);
            do_beside(c * 12 + r, at);
        }
        const int8_t *ahead = (c < 2 ? at->b : at->next_b) + (c + 2) % 4 * 16;
        LOAD_LOWER(column[(c + 2) % 4], ahead);
        JOIN_UPPER(column[(c + 1) % 4], at->half);
        if (c == 3) {
            CI_UNROLL
            for (int r = 0; r < 4; r++)
                JOIN_LOWER(a[r], at->lower[r]);
        }
        CI_UNROLL
        for (int r = 0; r < 4; r++) {
            SUBTRACT_UPPER(joint[r], a[r], column[c]);
            if (r == 0)
                LOAD_UPPER(at->half, ahead + 8);
            else
                do_beside(c * 12 + 4 + r, at);
        }
        CI_UNROLL
        for (int r = 0; r < 4; r++) {
            if (is_first)
                BEGIN_SUM(part[4 * r + c], joint[r]);
            else
                ADD_TO_SUM(part[4 * r + c], joint[r]);
            do_beside(c * 12 + 8 + r, at);
        }
    }
}

CI_INLINE void sum_four_rows(const ci_gemm_s8_args *args, vi part[4 * 4], const uint8_t *const *row,
                             const int8_t *b, int64_t b_step, const char *prefetch, int64_t prefetch_step) {
    int8x16_t a[4], column[4];
    block_at at = {.row = row,
                   .b = b,
                   .depth = args->a_depth,
                   .left = args->k_blocks,
                   .b_step = b_step,
                   .prefetch = prefetch,
                   .prefetch_step = prefetch_step};
    CI_UNROLL
    for (int r = 0; r < 4; r++) {
        const uint8_t *from = row[r] + *at.depth;
        LOAD_LOWER(a[r], from);
        a[r] = veorq_s8(a[r], vdupq_n_s8(-128));
        LOAD_UPPER(at.upper[r], from + 8);
        at.upper[r] ^= UPPER_SIGNS;
    }
    column[0] = vld1q_s8(b);
    LOAD_LOWER(column[1], b + 16);
    LOAD_UPPER(at.half, b + 24);
    add_in_order(1, &at, part, a, column);
    while (at.left > 0)
        add_in_order(0, &at, part, a, column);
}

#include "gemm_s8_widening.inc.h"

#include "gemm_s8_store_neon.inc.h"

#include "gemm_s8.inc.h"
