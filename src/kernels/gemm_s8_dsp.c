/* int8 GEMM, Armv7E-M's DSP extension (Cortex-M4, M7): 2 rows x 2 columns, products of int16 in pairs.
 *
 * Packed b: int16 [k_block][half][column][2], bytes 0 and 2 of each four before bytes 1 and 3: the order in
 * which UXTB16 extends four bytes of A, so that nothing is ever put back in order. For each block of depth,
 * 17 instructions for 16 products. Registers: four sums, two rows, a_depth, b and the count; two words of A,
 * one pair of it, two of b. A sum may wrap on its way, as unsigned arithmetic does; SMLAD then sets the Q
 * flag, which nobody reads. */
#include "conv_infer/microkernel.h"
#include "requantise.h"

enum { COLUMNS = 2 };

/* sums[row][column], row 1 beginning from the same bias as row 0. */
static void multiply(const uint8_t *a0, const uint8_t *a1, const int32_t *a_depth, const void *b,
                     int32_t blocks, int32_t *sums) {
    int32_t s00 = sums[0], s01 = sums[1], s10 = sums[0], s11 = sums[1];
    __asm__ volatile("1:\n\t"
                     "ldr r6, [%[depth]], #4\n\t"
                     "ldr r4, [%[a0], r6]\n\t"
                     "ldr r5, [%[a1], r6]\n\t"
                     "ldrd r8, r9, [%[b]], #8\n\t"
                     "uxtb16 r6, r4\n\t"
                     "smlad %[s00], r6, r8, %[s00]\n\t"
                     "smlad %[s01], r6, r9, %[s01]\n\t"
                     "uxtb16 r6, r5\n\t"
                     "smlad %[s10], r6, r8, %[s10]\n\t"
                     "smlad %[s11], r6, r9, %[s11]\n\t"
                     "ldrd r8, r9, [%[b]], #8\n\t"
                     "uxtb16 r4, r4, ror #8\n\t"
                     "smlad %[s00], r4, r8, %[s00]\n\t"
                     "smlad %[s01], r4, r9, %[s01]\n\t"
                     "uxtb16 r5, r5, ror #8\n\t"
                     "smlad %[s10], r5, r8, %[s10]\n\t"
                     "smlad %[s11], r5, r9, %[s11]\n\t"
                     "subs %[count], %[count], #1\n\t"
                     "bne 1b\n\t"
                     : [s00] "+r"(s00), [s01] "+r"(s01), [s10] "+r"(s10), [s11] "+r"(s11),
                       [depth] "+r"(a_depth), [b] "+r"(b), [count] "+r"(blocks)
                     : [a0] "r"(a0), [a1] "r"(a1)
                     : "r4", "r5", "r6", "r8", "r9", "cc", "memory");
    sums[0] = s00;
    sums[1] = s01;
    sums[2] = s10;
    sums[3] = s11;
}

static void store_row(const ci_gemm_s8_args *args, int32_t row, const int32_t *sums) {
    const ci_requantise *requantise = &args->requantise;
    const int32_t at = args->c_row[row];
    if (at == CI_ROW_SKIPPED)
        return;
    for (int32_t n = 0; n < args->columns; n++) {
        uint32_t total = (uint32_t)sums[n];
        if (args->a_sum)
            total -= (uint32_t)args->a_sum[row] * (uint32_t)args->b_zero[n];
        if (requantise->rule == CI_REQUANTISE_NONE) {
            ((int32_t *)args->c)[at + n] = (int32_t)total;
            continue;
        }
        int32_t q = ci_requantise_sum(requantise, n, (int32_t)total);
        if (requantise->residual.data)
            q = ci_add_residual(&requantise->residual, q,
                                requantise->residual.data[requantise->residual.row[row] + n]);
        ((uint8_t *)args->c)[at + n] = (uint8_t)(q ^ requantise->flip);
    }
}

/* What most calls ask for, in registers: no store of a byte can change them. */
typedef struct {
    int32_t multiplier[COLUMNS], shift[COLUMNS];
    int32_t zero_point, minimum, maximum, flip, columns;
} plain;

static plain plain_of(const ci_gemm_s8_args *args) {
    const ci_requantise *from = &args->requantise;
    const int32_t last = args->columns - 1;
    return (plain){
        .multiplier = {from->multiplier[0], from->multiplier[last]},
        .shift = {from->shift[0], from->shift[last]},
        .zero_point = from->zero_point,
        .minimum = from->minimum,
        .maximum = from->maximum,
        .flip = from->flip,
        .columns = args->columns,
    };
}

static inline void store_plain_row(const plain *way, const int32_t *sums, uint8_t *c) {
    for (int32_t n = 0; n < COLUMNS; n++) {
        const int32_t x = ci_multiply_by_quantised(sums[n], way->multiplier[n], way->shift[n]);
        if (n < way->columns)
            c[n] = (uint8_t)(ci_move_and_clamp(x, way->zero_point, way->minimum, way->maximum) ^ way->flip);
    }
}

static void run_plain(const ci_gemm_s8_args *args) {
    const plain way = plain_of(args);
    const int32_t *a_row = args->a_row, *c_row = args->c_row;
    for (int32_t row = 0; row < args->rows; row += 2) {
        const int32_t second = row + 1 < args->rows ? row + 1 : row;
        int32_t sums[2 * COLUMNS] = {args->bias[0], args->bias[1], 0, 0};
        multiply(args->a + a_row[row], args->a + a_row[second], args->a_depth, args->b, args->k_blocks, sums);
        if (c_row[second] != CI_ROW_SKIPPED)
            store_plain_row(&way, sums + COLUMNS, (uint8_t *)args->c + c_row[second]);
        if (c_row[row] != CI_ROW_SKIPPED) /* last: where there is no second row, it was the same */
            store_plain_row(&way, sums, (uint8_t *)args->c + c_row[row]);
    }
}

void ci_gemm_s8_any_dsp(const ci_gemm_s8_args *args) {
    const ci_requantise *way = &args->requantise;
    if (way->rule == CI_REQUANTISE_MULTIPLIER && !args->a_sum && !way->residual.data) {
        run_plain(args);
        return;
    }
    for (int32_t row = 0; row < args->rows; row += 2) {
        const int32_t second = row + 1 < args->rows ? row + 1 : row;
        int32_t sums[2 * COLUMNS] = {args->bias[0], args->bias[1], 0, 0};
        multiply(args->a + args->a_row[row], args->a + args->a_row[second], args->a_depth, args->b,
                 args->k_blocks, sums);
        store_row(args, row, sums);
        if (second != row)
            store_row(args, second, sums + COLUMNS);
    }
}
