/* The micro-kernel over int16: two rows times two columns, depth by fours. */
#ifndef CI_EMBEDDED_WIDE_TILE_H
#define CI_EMBEDDED_WIDE_TILE_H

#include "dsp.h"

/* Weights: [fours][n0 k0 k1 | n1 k0 k1 | n0 k2 k3 | n1 k2 k3]. One load of several registers fetches four
 * words of weights, one of two registers four elements of a row where rows are aligned to words; elsewhere
 * rows are loaded word by word. Every register but the stack pointer is in use: four sums, three pointers,
 * the count, four weights, two pairs. */
#define WIDE_TILE_FOUR(load_a0, load_a1)                                                                     \
    "ldmia %[b]!, {r4, r5, r6, r8}\n\t" load_a0 "smlad %[s00], r9, r4, %[s00]\n\t"                           \
    "smlad %[s01], r9, r5, %[s01]\n\t"                                                                       \
    "smlad %[s00], r10, r6, %[s00]\n\t"                                                                      \
    "smlad %[s01], r10, r8, %[s01]\n\t" load_a1 "smlad %[s10], r9, r4, %[s10]\n\t"                           \
    "smlad %[s11], r9, r5, %[s11]\n\t"                                                                       \
    "smlad %[s10], r10, r6, %[s10]\n\t"                                                                      \
    "smlad %[s11], r10, r8, %[s11]\n\t"

#define WIDE_TILE_LOOP(load_a0, load_a1)                                                                     \
    __asm__ volatile("lsrs %[count], %[count], #1\n\t"                                                       \
                     "bcc 1f\n\t" WIDE_TILE_FOUR(                                                            \
                         load_a0, load_a1) "1:\n\t"                                                          \
                                           "beq 3f\n\t"                                                      \
                                           "2:\n\t" WIDE_TILE_FOUR(load_a0, load_a1) WIDE_TILE_FOUR(         \
                                               load_a0, load_a1) "subs %[count], %[count], #1\n\t"           \
                                                                 "bne 2b\n\t"                                \
                                                                 "3:\n\t"                                    \
                     : [s00] "+r"(s00), [s01] "+r"(s01), [s10] "+r"(s10), [s11] "+r"(s11), [a0] "+r"(a0),    \
                       [a1] "+r"(a1), [b] "+r"(b), [count] "+r"(fours)                                       \
                     :                                                                                       \
                     : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory")

/* sums: s00, s01 of row 0, s10, s11 of row 1. */
ALWAYS_INLINE void wide_tile(const int16_t *a0, const int16_t *a1, const int16_t *b, int32_t fours,
                             int32_t *sums) {
    int32_t s00 = sums[0], s01 = sums[1], s10 = sums[0], s11 = sums[1];
    if ((((uintptr_t)a0 | (uintptr_t)a1) & 2) == 0)
        WIDE_TILE_LOOP("ldrd r9, r10, [%[a0]], #8\n\t", "ldrd r9, r10, [%[a1]], #8\n\t");
    else
        WIDE_TILE_LOOP("ldr r9, [%[a0]], #4\n\tldr r10, [%[a0]], #4\n\t",
                       "ldr r9, [%[a1]], #4\n\tldr r10, [%[a1]], #4\n\t");
    sums[0] = s00;
    sums[1] = s01;
    sums[2] = s10;
    sums[3] = s11;
}

#endif
