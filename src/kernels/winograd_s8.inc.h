/* The body of the int8 Winograd kernels (ci_winograd_s8_args in conv_infer/microkernel_s8.h), written
 * in the vector vocabulary. Included once per instruction set, with
 *
 *     WINOGRAD_S8_NAME                the kernel's name
 *     vi_keep(x)
 *     vi_dot_pairs_register(s, a, b)  s += a . b over the two int16 of each lane; a statement
 *
 * or else WINOGRAD_S8_MULTIPLY, and multiply() of its own, of up to 8 tiles, which says how b is packed.
 *
 * In three steps: the patches of all tiles are transformed (16 positions, int16); for each panel of two
 * vectors of columns, and each position, tiles are multiplied by weights (6 tiles x 2 vectors of sums in
 * registers); the sums of each tile's positions are transformed back, and requantised.
 *
 * Packed b: [panel][position][channel pair][2 vectors][lane][2], int16. Sums wrap around in int32, which does
 * no harm: what counts is the end result, which fits. */
#include "conv_infer/microkernel.h"
#include "layout_winograd_s8.h"
#include "requantise_s8.inc.h"

#define WIDTH (2 * VI_LANES)
#ifdef WINOGRAD_S8_MULTIPLY
#    define MOST_ROWS 8
#else
#    define MOST_ROWS 6
#endif

typedef ci_winograd_layout_s8 layout;

/* B^T d B of one tile: rows, then columns, each (0 - 2, 1 + 2, 2 - 1, 1 - 3). */
CI_INLINE void transform_channels(const uint8_t *a, int64_t row, int64_t pixel, int32_t n, int16_t *to,
                                  int64_t position) {
    vi d[4][4];
    CI_UNROLL
    for (int x = 0; x < 4; x++) {
        const vi r0 = vi_load_words(a + x * pixel, n), r1 = vi_load_words(a + row + x * pixel, n);
        const vi r2 = vi_load_words(a + 2 * row + x * pixel, n),
                 r3 = vi_load_words(a + 3 * row + x * pixel, n);
        d[0][x] = vi_sub_16(r0, r2);
        d[1][x] = vi_add_16(r1, r2);
        d[2][x] = vi_sub_16(r2, r1);
        d[3][x] = vi_sub_16(r1, r3);
    }
    CI_UNROLL
    for (int y = 0; y < 4; y++) {
        vi_store(to + (y * 4 + 0) * position, vi_sub_16(d[y][0], d[y][2]));
        vi_store(to + (y * 4 + 1) * position, vi_add_16(d[y][1], d[y][2]));
        vi_store(to + (y * 4 + 2) * position, vi_sub_16(d[y][2], d[y][1]));
        vi_store(to + (y * 4 + 3) * position, vi_sub_16(d[y][1], d[y][3]));
    }
}

static void transform_patches(const ci_winograd_s8_args *args, const layout *l, int16_t *patches) {
    for (int32_t tile = 0; tile < args->tiles; tile++) {
        const uint8_t *a = args->a + args->a_tile[tile];
        int16_t *to = patches + tile * l->depth_elems;
        for (int32_t c = 0; c < args->depth; c += WIDTH)
            transform_channels(a + c, args->a_row_stride, args->a_pixel_stride,
                               args->depth - c < WIDTH ? args->depth - c : WIDTH, to + c, l->patch_position);
    }
}

#ifndef WINOGRAD_S8_MULTIPLY
CI_INLINE void multiply(const int rows, const int16_t *patch, int64_t patch_step, const int16_t *b,
                        int32_t pairs, int32_t *sums) {
    vi sum[MOST_ROWS * 2];
    const int16_t *row[MOST_ROWS];
    CI_UNROLL
    for (int i = 0; i < rows * 2; i++) {
        sum[i] = vi_set1(0);
        vi_keep(sum[i]);
    }
    CI_UNROLL
    for (int r = 0; r < rows; r++)
        row[r] = patch + r * patch_step;
    const int64_t next_position = (int64_t)pairs * 2 * WIDTH; /* whose weights are drawn near meanwhile */
    for (int64_t pair = 0; pair < pairs; pair++, b += 2 * WIDTH) {
        const vi first = vi_load(b), second = vi_load(b + WIDTH);
        CI_PREFETCH_L2(b + next_position);
        if (VI_LANES > 8)
            CI_PREFETCH_L2(b + next_position + WIDTH);
        CI_UNROLL
        for (int r = 0; r < rows; r++) {
            const vi two = vi_broadcast_4((const uint8_t *)(row[r] + 2 * pair));
            vi_dot_pairs_register(sum[2 * r], two, first);
            vi_dot_pairs_register(sum[2 * r + 1], two, second);
        }
    }
    CI_UNROLL
    for (int i = 0; i < rows * 2; i++)
        vi_store(sums + i * VI_LANES, sum[i]);
}

#endif

typedef void multiply_fn(const int16_t *patch, int64_t patch_step, const int16_t *b, int32_t pairs,
                         int32_t *sums);
#define MULTIPLY(rows)                                                                                       \
    static CI_NOINLINE void multiply_##rows(const int16_t *patch, int64_t patch_step, const int16_t *b,      \
                                            int32_t pairs, int32_t *sums) {                                  \
        multiply(rows, patch, patch_step, b, pairs, sums);                                                   \
    }
MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(3)
MULTIPLY(4)
MULTIPLY(5)
MULTIPLY(6)
#if MOST_ROWS == 8
MULTIPLY(7)
MULTIPLY(8)
#endif
static multiply_fn *const multiply_of[MOST_ROWS] = {
    multiply_1, multiply_2, multiply_3, multiply_4, multiply_5, multiply_6,
#if MOST_ROWS == 8
    multiply_7, multiply_8,
#endif
};

static void multiply_panel(const ci_winograd_s8_args *args, const layout *l, const int16_t *patches,
                           const int16_t *b, int32_t *sums) {
    const int32_t pairs = (args->depth + 1) / 2, count = (args->tiles + MOST_ROWS - 1) / MOST_ROWS;
    const int32_t rows = args->tiles / count, taller = args->tiles % count;
    for (int32_t position = 0; position < CI_WINOGRAD_POSITIONS; position++) {
        int32_t tile = 0;
        for (int32_t index = 0; index < count; index++) {
            const int32_t here = rows + (index < taller);
            multiply_of[here - 1](patches + position * l->patch_position + tile * l->depth_elems,
                                  l->depth_elems, b, pairs,
                                  sums + position * l->sum_position + (int64_t)tile * WIDTH);
            tile += here;
        }
        b += (int64_t)pairs * 2 * WIDTH;
    }
}

/* A^T m A of one tile and one vector of columns, a quarter of it plus the bias: outputs (0, 0), (0, 1), (1,
 * 0), (1, 1). Rows, then columns, each (0 + 1 + 2, 1 - 2 - 3). */
CI_INLINE void transform_back(const int32_t *m, int64_t position, vi bias, vi *outputs) {
    vi rows[2][4];
    CI_UNROLL
    for (int x = 0; x < 4; x++) {
        const vi m0 = vi_load(m + (0 + x) * position), m1 = vi_load(m + (4 + x) * position);
        const vi m2 = vi_load(m + (8 + x) * position), m3 = vi_load(m + (12 + x) * position);
        rows[0][x] = vi_add(m0, vi_add(m1, m2));
        rows[1][x] = vi_sub(vi_sub(m1, m2), m3);
    }
    CI_UNROLL
    for (int y = 0; y < 2; y++) {
        const vi *r = rows[y];
        outputs[2 * y] = vi_add(vi_quarter(vi_add(r[0], vi_add(r[1], r[2]))), bias);
        outputs[2 * y + 1] = vi_add(vi_quarter(vi_sub(vi_sub(r[1], r[2]), r[3])), bias);
    }
}

CI_INLINE void add_residual(const ci_winograd_s8_args *args, const s8_addition *addition, int32_t tile,
                            int32_t column, int32_t columns, vi outputs[2][4]) {
    const ci_residual_s8 *residual = &args->requantise.residual;
    const uint8_t *data = residual->data + residual->row[tile] + column;
    CI_UNROLL
    for (int i = 0; i < 4; i++) {
        const uint8_t *from = data + i / 2 * args->residual_row_stride + i % 2 * args->residual_pixel_stride;
        outputs[0][i] = s8_add_any(vf_from_vi(outputs[0][i]), addition, from, columns);
        if (columns > VI_LANES)
            outputs[1][i] =
                s8_add_any(vf_from_vi(outputs[1][i]), addition, from + VI_LANES, columns - VI_LANES);
    }
}

static void finish_panel(const ci_winograd_s8_args *args, const layout *l, const int32_t *sums,
                         int32_t column) {
    const s8_range range = s8_stored_range_of(&args->requantise);
    const s8_addition addition = s8_addition_of(&args->requantise);
    const int32_t columns = args->columns - column < WIDTH ? args->columns - column : WIDTH;
    const vi bias[2] = {vi_load(args->bias + column), vi_load(args->bias + column + VI_LANES)};
    for (int32_t tile = 0; tile < args->tiles; tile++) {
        vi outputs[2][4];
        transform_back(sums + (int64_t)tile * WIDTH, l->sum_position, bias[0], outputs[0]);
        transform_back(sums + (int64_t)tile * WIDTH + VI_LANES, l->sum_position, bias[1], outputs[1]);
        CI_UNROLL
        for (int i = 0; i < 4; i++) {
            outputs[0][i] = s8_rounded(outputs[0][i], &args->requantise, column);
            outputs[1][i] = s8_rounded(outputs[1][i], &args->requantise, column + VI_LANES);
        }
        if (args->requantise.residual.data)
            add_residual(args, &addition, tile, column, columns, outputs);
        uint8_t *c = args->c + args->c_tile[tile] + column;
        const int32_t stored = args->c_stored[tile];
        const vb upper = s8_finish(outputs[0][0], outputs[1][0], outputs[0][1], outputs[1][1], &range);
        const vb lower = s8_finish(outputs[0][2], outputs[1][2], outputs[0][3], outputs[1][3], &range);
        if (stored & 1)
            vb_store_part(c, upper, 2, 0, columns);
        if (stored & 2)
            vb_store_part(c + args->c_pixel_stride, upper, 2, 1, columns);
        if (stored & 4)
            vb_store_part(c + args->c_row_stride, lower, 2, 0, columns);
        if (stored & 8)
            vb_store_part(c + args->c_row_stride + args->c_pixel_stride, lower, 2, 1, columns);
    }
}

void WINOGRAD_S8_NAME(const ci_winograd_s8_args *args) {
    const layout l = ci_winograd_layout_s8_of(args->depth, WIDTH);
    int16_t *patches = args->scratch;
    int32_t *sums = (int32_t *)(void *)((char *)args->scratch + l.sums_offset);
    const int16_t *b = args->b;
    transform_patches(args, &l, patches);
    for (int32_t column = 0; column < args->columns; column += WIDTH) {
        multiply_panel(args, &l, patches, b, sums);
        finish_panel(args, &l, sums, column);
        b += (int64_t)CI_WINOGRAD_POSITIONS * ((args->depth + 1) / 2) * 2 * WIDTH;
    }
}
