/* int8 GEMM, Arm dot products (sdot): four byte products summed in int32. Up to 4 rows x 16 columns.
 *
 * Packed b: [k_block of 8][2][column][4]. Both factors of sdot are signed, so the bytes of A have 128 taken
 * off as they are loaded, eight at a time; what that changes is in the bias (origin in layout_s8.h). */
#include "simd_s8_neon.h"

#include "conv_infer/microkernel.h"

#define GEMM_S8_NAME ci_gemm_s8_any_dotprod
#define GEMM_S8_ROWS_1 8
#define GEMM_S8_ROWS_2 8
#define GEMM_S8_ROWS_3 6
#define GEMM_S8_ROWS_4 4
#define GEMM_S8_DOT_BLOCK

CI_INLINE const int8_t *dot_block(const int rows, const int vectors, vi *sum, const uint8_t *const *row,
                                  int32_t offset, const int8_t *b) {
    int8x8_t a[8];
    CI_UNROLL
    for (int r = 0; r < rows; r++)
        a[r] = vreinterpret_s8_u8(veor_u8(vld1_u8(row[r] + offset), vdup_n_u8(0x80)));
    CI_UNROLL
    for (int v = 0; v < vectors; v++) {
        const int8x16_t column = vld1q_s8(b + v * 16);
        CI_UNROLL
        for (int r = 0; r < rows; r++)
            sum[r * vectors + v] = vdotq_lane_s32(sum[r * vectors + v], column, a[r], 0);
    }
    CI_UNROLL
    for (int v = 0; v < vectors; v++) {
        const int8x16_t column = vld1q_s8(b + (vectors + v) * 16);
        CI_UNROLL
        for (int r = 0; r < rows; r++)
            sum[r * vectors + v] = vdotq_lane_s32(sum[r * vectors + v], column, a[r], 1);
    }
    return b + vectors * 32;
}

#include "gemm_s8_store_neon.inc.h"

#include "gemm_s8.inc.h"
