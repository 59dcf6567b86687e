/* The body of the dot-product GEMM kernels (ci_gemm_dot_f32_fn in conv_infer/microkernel.h), written in the
 * vector vocabulary. To be defined before it is included:
 *
 *     GEMM_DOT_NAME   the kernel's name
 *     GEMM_DOT_MR     rows of a tile, a multiple of VF_LANES / 4
 *     gemm_dot_add_lanes(vf sum[][4])   the vector whose lane 4 * r + n is the sum over the lanes of
 * sum[r][n], for VF_LANES / 4 rows
 *
 * A tile is GEMM_DOT_MR rows by 4 columns, so that its results fill whole vectors. Where rows run out, the
 * last one is computed again and not stored: what a row gives depends neither on the tile nor on its place in
 * it.
 *
 * Numerics: VF_LANES partial sums, depth in order in each, added in a fixed order, then the bias.
 */
#include <string.h>

#include "activation_f32.inc.h"
#include "conv_infer/microkernel.h"

#define GEMM_DOT_NR 4
#define GEMM_DOT_ROWS (VF_LANES / GEMM_DOT_NR) /* of one vector of results */
#define GEMM_DOT_RESULTS (GEMM_DOT_MR / GEMM_DOT_ROWS)

void GEMM_DOT_NAME(const ci_gemm_f32_args *args) {
    const int64_t depth = args->depth;
    const int64_t padded = (depth + CI_GEMM_DOT_STEP - 1) / CI_GEMM_DOT_STEP * CI_GEMM_DOT_STEP;
    const int32_t tiles = (args->rows + GEMM_DOT_MR - 1) / GEMM_DOT_MR;
    const int64_t steps = (depth + VF_LANES - 1) / VF_LANES;
    const int64_t prefetch_step = args->prefetch ? args->prefetch_bytes / (tiles * steps) : 0;
    const char *prefetch = args->prefetch ? args->prefetch : (const char *)args->b;
    const vf_activation activation = vf_activation_of(&args->activation);
    float tile[GEMM_DOT_MR * GEMM_DOT_NR];
    for (int32_t lane = 0; lane < VF_LANES; lane++)
        tile[lane] = args->bias[lane % GEMM_DOT_NR];
    const vf bias = vf_load(tile);

    for (int32_t first = 0; first < args->rows; first += GEMM_DOT_MR) {
        const float *row[GEMM_DOT_MR];
        vf sum[GEMM_DOT_MR][GEMM_DOT_NR];
        const int32_t rows = args->rows - first < GEMM_DOT_MR ? args->rows - first : GEMM_DOT_MR;
        CI_UNROLL
        for (int32_t r = 0; r < GEMM_DOT_MR; r++) {
            row[r] = args->a + args->a_row[first + (r < rows ? r : rows - 1)];
            CI_UNROLL
            for (int n = 0; n < GEMM_DOT_NR; n++)
                sum[r][n] = vf_zero();
        }

#define GEMM_DOT_STEP(LOAD)                                                                                  \
    do {                                                                                                     \
        vf value[GEMM_DOT_MR];                                                                               \
        CI_UNROLL                                                                                            \
        for (int r = 0; r < GEMM_DOT_MR; r++)                                                                \
            value[r] = LOAD(row[r] + k);                                                                     \
        CI_UNROLL                                                                                            \
        for (int n = 0; n < GEMM_DOT_NR; n++) {                                                              \
            const vf column = vf_load(args->b + n * padded + k);                                             \
            CI_UNROLL                                                                                        \
            for (int r = 0; r < GEMM_DOT_MR; r++)                                                            \
                sum[r][n] = vf_fma(value[r], column, sum[r][n]);                                             \
        }                                                                                                    \
        CI_PREFETCH_L2(prefetch);                                                                            \
        prefetch += prefetch_step;                                                                           \
    } while (0)

        int64_t k = 0;
        for (; k + VF_LANES <= depth; k += VF_LANES)
            GEMM_DOT_STEP(vf_load);
        if (k < depth) {
            const int32_t rest = (int32_t)(depth - k);
#define GEMM_DOT_LOAD_REST(from) vf_load_n(from, rest)
            GEMM_DOT_STEP(GEMM_DOT_LOAD_REST);
        }

        vf result[GEMM_DOT_RESULTS];
        CI_UNROLL
        for (int v = 0; v < GEMM_DOT_RESULTS; v++)
            result[v] = vf_add(gemm_dot_add_lanes(sum + v * GEMM_DOT_ROWS), bias);
        const size_t bytes = (size_t)args->columns * sizeof(float);
        if (args->residual) {
            for (int32_t r = 0; r < rows; r++)
                memcpy(tile + GEMM_DOT_NR * r, args->residual + args->residual_row[first + r], bytes);
            CI_UNROLL
            for (int v = 0; v < GEMM_DOT_RESULTS; v++)
                result[v] = vf_add(result[v], vf_load(tile + v * VF_LANES));
        }
        vf_activate_all(result, GEMM_DOT_RESULTS, &activation);
        CI_UNROLL
        for (int v = 0; v < GEMM_DOT_RESULTS; v++)
            vf_store(tile + v * VF_LANES, result[v]);
        if (args->columns == GEMM_DOT_NR) {
            for (int32_t r = 0; r < rows; r++)
                memcpy(args->c + args->c_row[first + r], tile + GEMM_DOT_NR * r, GEMM_DOT_NR * sizeof(float));
        } else {
            for (int32_t r = 0; r < rows; r++)
                for (int32_t n = 0; n < args->columns; n++)
                    args->c[args->c_row[first + r] + n] = tile[GEMM_DOT_NR * r + n];
        }
    }
}
