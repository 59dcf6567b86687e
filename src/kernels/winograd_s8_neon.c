/* int8 convolution 3x3 by Winograd's F(2x2, 3x3), NEON, exact: int16 products added to int32 (smlal by lane),
 * 8 tiles x 8 columns of sums. Packed b: [panel of 8][position][channel][8]. */
#include "simd_s8_neon.h"

#define WINOGRAD_S8_NAME ci_winograd_s8_3x3_neon
#define WINOGRAD_S8_MULTIPLY

/* Adds the products of one channel, which is `lane` of the rows. */
#define ADD_CHANNEL(lane)                                                                                    \
    do {                                                                                                     \
        const int16x8_t columns = vld1q_s16(b + 8 * (lane));                                                 \
        CI_UNROLL                                                                                            \
        for (int r = 0; r < rows; r++) {                                                                     \
            sum[2 * r] = vmlal_laneq_s16(sum[2 * r], vget_low_s16(columns), a[r], lane);                     \
            sum[2 * r + 1] = vmlal_high_laneq_s16(sum[2 * r + 1], columns, a[r], lane);                      \
        }                                                                                                    \
    } while (0)

CI_INLINE void multiply(const int rows, const int16_t *patch, int64_t patch_step, const int16_t *b,
                        int32_t pairs, int32_t *sums) {
    vi sum[8 * 2];
    int16x8_t a[8];
    const int64_t next_position = (int64_t)pairs * 2 * 8; /* whose weights are drawn near meanwhile */
    CI_UNROLL
    for (int i = 0; i < rows * 2; i++)
        sum[i] = vi_set1(0);
    int32_t pair = 0;
    for (; pair + 4 <= pairs; pair += 4, b += 64) {
        CI_PREFETCH_L2(b + next_position);
        CI_PREFETCH_L2(b + next_position + 32);
        CI_UNROLL
        for (int r = 0; r < rows; r++)
            a[r] = vld1q_s16(patch + r * patch_step + 2 * pair);
        ADD_CHANNEL(0);
        ADD_CHANNEL(1);
        ADD_CHANNEL(2);
        ADD_CHANNEL(3);
        ADD_CHANNEL(4);
        ADD_CHANNEL(5);
        ADD_CHANNEL(6);
        ADD_CHANNEL(7);
    }
    for (; pair < pairs; pair++, b += 16) {
        CI_UNROLL
        for (int r = 0; r < rows; r++)
            a[r] = vreinterpretq_s16_s32(
                vld1q_dup_s32((const int32_t *)(const void *)(patch + r * patch_step + 2 * pair)));
        ADD_CHANNEL(0);
        ADD_CHANNEL(1);
    }
    CI_UNROLL
    for (int i = 0; i < rows * 2; i++)
        vi_store(sums + i * 4, sum[i]);
}

#include "winograd_s8.inc.h"
