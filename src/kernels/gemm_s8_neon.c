/* int8 GEMM, NEON without dot products: 4 rows x 4 columns of sums at a time, panels of up to 16 columns.
 *
 * Packed b: [k_block of 16][column][16]. Vectors run along the depth: bytes are multiplied to int16 (smull),
 * two products are joined there (smlsl2), and pairs of those are added to int32 sums (sadalp); four sums for
 * each row and column, added up in the end. Three instructions for 16 products.
 *
 * Two signed products may leave int16, but their difference may not: so bytes 8 to 15 of each 16 of A are
 * complemented as they are made signed, -1 - (a - 128) = 127 - a, and their products subtracted. What that
 * changes is the bias (odd_origin in layout_s8.h). The extremes, 128 * 128 + 128 * 127, fit. */
#include "simd_s8_neon.h"

#include "conv_infer/microkernel.h"

#define GEMM_S8_NAME ci_gemm_s8_any_neon
#define GEMM_S8_ROWS_1 4
#define GEMM_S8_ROWS_2 4
#define GEMM_S8_ROWS_3 4
#define GEMM_S8_ROWS_4 4
#define GEMM_S8_SUM_TILE

#include "gemm_s8_widening.inc.h"

#include "gemm_s8_store_neon.inc.h"

#include "gemm_s8.inc.h"
