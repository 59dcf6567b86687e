/* How the int8 GEMM kernels store rows of sums, written in the vector vocabulary. */
#ifndef CONV_INFER_KERNELS_GEMM_S8_STORE_INC_H
#define CONV_INFER_KERNELS_GEMM_S8_STORE_INC_H

#include "conv_infer/microkernel.h"
#include "requantise_s8.inc.h"

#define GEMM_S8_MAX_ROWS 8

/* Which way sums take: scaled, and nothing else, by less than 1, the most travelled; scaled, and a residual
 * added; any other. */
typedef enum { STORE_SCALED, STORE_ADDED, STORE_GENERALLY } store_way;

CI_INLINE store_way store_way_of(const ci_gemm_s8_args *args, int32_t vectors) {
    if (args->requantise.rule != CI_REQUANTISE_SCALE || args->a_sum || args->requantise.flip)
        return STORE_GENERALLY;
    if (args->requantise.residual.data)
        return s8_adds_little(&args->requantise.residual) ? STORE_ADDED : STORE_GENERALLY;
    int small = 1;
    for (int32_t v = 0; v < vectors; v++)
        small &= vf_all_below_1(vf_load(args->requantise.scale + v * VI_LANES));
    return small ? STORE_SCALED : STORE_GENERALLY;
}

/* What the first two ways need, made once for a call: it stays in memory, whence instructions take it. */
typedef struct {
    store_way way;
    s8_range range; /* of what is stored */
    s8_addition addition;
} storing;

CI_INLINE storing storing_of(const ci_gemm_s8_args *args, int32_t vectors) {
    const storing result = {
        .way = store_way_of(args, vectors),
        .range = s8_stored_range_of(&args->requantise),
        .addition = s8_addition_of(&args->requantise),
    };
    return result;
}

CI_INLINE vb pack_bytes(vi a, vi b, vi c, vi d, const s8_range *range) {
    return vb_clamp(vb_pack(a, b, c, d, range->zero_point), range->minimum, range->maximum);
}

/* Sums that go another way than the two above: raw, with a weight zero point, scaled by much, or by
 * multiplier and shift. */
static CI_NOINLINE void store_rows_generally(const ci_gemm_s8_args *args, int32_t first, int32_t rows,
                                             int32_t vectors, const int32_t *sums) {
    const ci_requantise *requantise = &args->requantise;
    const int32_t width = vectors * VI_LANES;
    const vi zero = vi_set1(0);
    const s8_range range = s8_stored_range_of(requantise);
    const s8_addition addition = s8_addition_of(requantise);
    for (int32_t row = first; row < first + rows; row++, sums += width) {
        if (args->c_row[row] == CI_ROW_SKIPPED)
            continue;
        for (int32_t column = 0; column < args->columns; column += 4 * VI_LANES) {
            vi part[4] = {zero, zero, zero, zero};
            const int32_t left = args->columns - column;
            for (int32_t v = 0; v < 4 && v * VI_LANES < left; v++) {
                const int32_t n = column + v * VI_LANES;
                part[v] = vi_load(sums + n);
                if (args->a_sum)
                    part[v] = vi_sub(part[v], vi_mul(vi_set1(args->a_sum[row]), vi_load(args->b_zero + n)));
                if (requantise->rule == CI_REQUANTISE_NONE)
                    vi_store_n((int32_t *)args->c + args->c_row[row] + n, part[v], args->columns - n);
                else
                    part[v] = s8_rounded(part[v], requantise, n);
                if (requantise->residual.data)
                    part[v] = s8_add_any(vf_from_vi(part[v]), &addition,
                                         requantise->residual.data + requantise->residual.row[row] + n,
                                         args->columns - n);
            }
            if (requantise->rule != CI_REQUANTISE_NONE)
                vb_store_part((uint8_t *)args->c + args->c_row[row] + column,
                              s8_finish(part[0], part[1], part[2], part[3], &range), 4, 0, left);
        }
    }
}

#endif
