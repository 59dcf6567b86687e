/* The body of the int8 GEMM kernels (ci_gemm_s8_args in conv_infer/microkernel_s8.h), written in the vector
 * vocabulary. Included once per instruction set, with
 *
 *     GEMM_S8_NAME          the kernel's name
 *     GEMM_S8_ROWS_1 ... 5  rows of the tile for panels of 1, 2, ... vectors of columns; undefined where
 *                           there are no panels as wide
 *     vi_keep(x)            keeps a value in a register of its own
 *
 * and the products in one of these forms, from the widest packed unit to the narrowest:
 *
 *     vi_dot_quads(s, a, b)  s += a . b over the four bytes of each lane (a unsigned); a statement
 *     vi_dot_pairs(s, a, b)  the same over two int16, b a vector in memory
 *     GEMM_S8_DOT_BLOCK      the file defines dot_block(), which adds one block of depth to the sums, itself
 *     GEMM_S8_SUM_TILE       the file defines sum_tile(), which makes all sums of a tile, itself
 *
 * Registers: rows * vectors sums, the vectors of b, four bytes of a row of A in every lane. Each row has a
 * pointer of its own, so a tile spans output rows and image borders as it likes; the rows of a call are dealt
 * out evenly.
 *
 * Packed b: quads [k_block][column][4] of int8, or pairs [k_block][2][column][2] of int16, first bytes 0 and
 * 2 of each block, then 1 and 3: so four bytes of A, loaded into every lane, split by a mask and a shift.
 * The files with products of their own say how theirs is packed.
 */
#include "gemm_s8_store.inc.h"

#define GEMM_S8_MAX_VECTORS 5
#define GEMM_S8_MAX_SUMS 25

/* Of row r and vector v: [r * vectors + v]. */
typedef vi s8_sums[GEMM_S8_MAX_SUMS];

#ifndef GEMM_S8_STORES_QUICKLY
/* Vectors that are stored together: those of a row, or where they are few, as many rows as four vectors hold.
 */
#    define GEMM_S8_UNIT(vectors)                                                                            \
        ((vectors) == 1 || ((vectors) == 3 && VI_LANES == 8) ? 1 : (vectors) == 2 ? 2 : 4)

/* Stores the unit that begins with vector `index` of the tile, which is part `part` of `bytes`. */
CI_INLINE void store_unit(const int vectors, const ci_gemm_s8_args *args, int32_t first, vb bytes,
                          const int index, const int part) {
    const int unit = GEMM_S8_UNIT(vectors), v = index % vectors,
              width = vectors - v < unit ? vectors - v : unit;
    const int32_t row = args->c_row[first + index / vectors], column = v * VI_LANES;
    if (CI_LIKELY(row != CI_ROW_SKIPPED)) /* only the last vector of a row may be short */
        vb_store_part((uint8_t *)args->c + row + column, bytes, width, part,
                      v + width < vectors ? width * VI_LANES : args->columns - column);
}

/* Four vectors of rounded values from number `base` of `count` on become bytes. */
CI_INLINE void store_four(const int vectors, const int count, const ci_gemm_s8_args *args,
                          const s8_range *range, int32_t first, const vi *rounded, const int base) {
    const int unit = GEMM_S8_UNIT(vectors);
    const int end =
        unit < 4 ? count : base - base % vectors + vectors; /* of the row, where a unit is a row */
    const int last = end - 1;
    const vb bytes = pack_bytes(rounded[base], rounded[base + 1 < last ? base + 1 : last],
                                rounded[base + 2 < last ? base + 2 : last],
                                rounded[base + 3 < last ? base + 3 : last], range);
    store_unit(vectors, args, first, bytes, base, 0);
    if (unit < 4 && base + unit < end)
        store_unit(vectors, args, first, bytes, base + unit, 1);
    if (unit < 2 && base + 2 < end)
        store_unit(vectors, args, first, bytes, base + 2, 2);
    if (unit < 2 && base + 3 < end)
        store_unit(vectors, args, first, bytes, base + 3, 3);
}

/* The two common ways out: scaled, with a residual where the tile `adds` one, rounded, packed. */
CI_INLINE void store_quickly(const int rows, const int vectors, const int adds, const ci_gemm_s8_args *args,
                             const storing *way, int32_t first, const vi *sum) {
    static const uint8_t nothing[GEMM_S8_MAX_VECTORS * VI_LANES];
    const ci_residual_s8 *residual = &args->requantise.residual;
    const float *scale = args->requantise.scale;
    vi rounded[GEMM_S8_MAX_SUMS];
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        const uint8_t *data = nothing;
        if (adds && CI_LIKELY(args->c_row[first + r] != CI_ROW_SKIPPED))
            data = residual->data + residual->row[first + r];
        vf other[GEMM_S8_MAX_VECTORS];
        if (adds)
            s8_residual_row(other, vectors, residual, &way->addition, data, args->columns);
        CI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int i = r * vectors + v, column = v * VI_LANES;
            if (adds)
                rounded[i] = vi_from_vf(s8_with_residual(vf_mul(vf_from_vi(sum[i]), vf_load(scale + column)),
                                                         other[v], &way->addition));
            else
                rounded[i] = s8_scale_small(sum[i], vf_load(scale + column));
        }
    }
    const int count = rows * vectors, step = GEMM_S8_UNIT(vectors) < 4 ? 4 : vectors;
    const int groups = (count + step - 1) / step;
    CI_UNROLL
    for (int group = 0; group < groups; group++) {
        store_four(vectors, count, args, &way->range, first, rounded, group * step);
        if (vectors > 4)
            store_four(vectors, count, args, &way->range, first, rounded, group * step + 4);
    }
}
#endif

#if defined(vi_dot_quads)
CI_INLINE const int8_t *dot_block(const int rows, const int vectors, vi *sum, const uint8_t *const *row,
                                  int32_t offset, const int8_t *b) {
    vi column[GEMM_S8_MAX_VECTORS];
    CI_UNROLL
    for (int v = 0; v < vectors; v++)
        column[v] = vi_load(b + v * 4 * VI_LANES);
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        const vi four = vi_broadcast_4(row[r] + offset);
        CI_UNROLL
        for (int v = 0; v < vectors; v++)
            vi_dot_quads(sum[r * vectors + v], four, column[v]);
    }
    return b + vectors * 4 * VI_LANES;
}
#elif defined(vi_dot_pairs)
CI_INLINE const int8_t *dot_block(const int rows, const int vectors, vi *sum, const uint8_t *const *row,
                                  int32_t offset, const int8_t *b) {
    const vi *column = (const vi *)(const void *)b;
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        const vi four = vi_broadcast_4(row[r] + offset);
        const vi even = vi_even_bytes(four), odd = vi_odd_bytes(four);
        CI_UNROLL
        for (int v = 0; v < vectors; v++)
            vi_dot_pairs(sum[r * vectors + v], even, column[v]);
        CI_UNROLL
        for (int v = 0; v < vectors; v++)
            vi_dot_pairs(sum[r * vectors + v], odd, column[vectors + v]);
    }
    return b + vectors * 8 * VI_LANES;
}
#endif

/* What each tile draws near of the weights that are needed next: `step` bytes with each block of depth. */
typedef struct {
    const char *from;
    int64_t share, step;
} prefetching;

static prefetching prefetching_of(const ci_gemm_s8_args *args, int32_t tiles) {
    if (!args->prefetch) /* then one address over and over */
        return (prefetching){.from = args->b};
    const int64_t share = args->prefetch_bytes / tiles;
    return (prefetching){args->prefetch, share, (share + args->k_blocks - 1) / args->k_blocks};
}

#ifndef GEMM_S8_SUM_TILE
CI_INLINE void sum_tile(const int rows, const int vectors, const ci_gemm_s8_args *args,
                        const uint8_t *const *row, vi *sum, const char *prefetch, int64_t step) {
#    ifdef vi_load_apart
    CI_UNROLL
    for (int r = 0; r < rows; r++)
        vi_load_apart(sum + r * vectors, vectors, args->bias);
#    else
    CI_UNROLL
    for (int v = 0; v < vectors; v++) {
        const vi bias = vi_load(args->bias + v * VI_LANES);
        CI_UNROLL
        for (int r = 0; r < rows; r++) {
            sum[r * vectors + v] = bias;
            vi_keep(sum[r * vectors + v]);
        }
    }
#    endif
    const int8_t *b = args->b;
    const int32_t *depth = args->a_depth, *const end = depth + args->k_blocks;
    do {
        /* A tile of few rows reads weights faster than a line per block. */
        CI_PREFETCH_L2(prefetch);
        for (int line = 1; line < (rows > 2 ? 1 : vectors); line++)
            CI_PREFETCH_L2(prefetch + 64 * line);
        prefetch += step;
        b = dot_block(rows, vectors, sum, row, *depth, b);
    } while (++depth != end);
    CI_UNROLL
    for (int i = 0; i < rows * vectors; i++)
        vi_keep(sum[i]); /* or gcc 12 spills them in the loop */
}
#endif

/* What the tiles of a call share, and where the one to come draws weights from. */
typedef struct {
    storing storing;
    prefetching next;
} tiling;

CI_INLINE void tile(const int rows, const int vectors, const ci_gemm_s8_args *args, int32_t first,
                    const tiling *shared) {
    const storing *way = &shared->storing;
    s8_sums sum;
    const uint8_t *row[GEMM_S8_MAX_ROWS];
    CI_UNROLL
    for (int r = 0; r < rows; r++)
        row[r] = args->a + args->a_row[first + r];
    sum_tile(rows, vectors, args, row, sum, shared->next.from, shared->next.step);

    if (CI_LIKELY(way->way == STORE_SCALED)) {
        store_quickly(rows, vectors, 0, args, way, first, sum);
        return;
    }
    if (way->way == STORE_ADDED) {
        store_quickly(rows, vectors, 1, args, way, first, sum);
        return;
    }
    int32_t spilled[GEMM_S8_MAX_SUMS * VI_LANES];
    CI_UNROLL
    for (int i = 0; i < rows * vectors; i++)
        vi_store(spilled + i * VI_LANES, sum[i]);
    store_rows_generally(args, first, rows, vectors, spilled);
}

/* `count` tiles of so many rows each; but one alone where there are taller ones for panels as wide: compilers
 * find better registers for the loop over depth without another around it, which pays for itself in the usual
 * tile only. */
typedef void tile_fn(const ci_gemm_s8_args *args, int32_t first, int32_t count, tiling *shared);

#define TILE(rows, vectors)                                                                                  \
    static CI_NOINLINE void tile_##rows##x##vectors(const ci_gemm_s8_args *args, int32_t first,              \
                                                    int32_t count, tiling *shared) {                         \
        do {                                                                                                 \
            tile(rows, vectors, args, first, shared);                                                        \
            shared->next.from += shared->next.share;                                                         \
            first += rows;                                                                                   \
        } while (rows == GEMM_S8_ROWS_##vectors && --count > 0);                                             \
    }
#define TILES_1(vectors) TILE(1, vectors)
#define TILES_2(vectors) TILES_1(vectors) TILE(2, vectors)
#define TILES_3(vectors) TILES_2(vectors) TILE(3, vectors)
#define TILES_4(vectors) TILES_3(vectors) TILE(4, vectors)
#define TILES_5(vectors) TILES_4(vectors) TILE(5, vectors)
#define TILES_6(vectors) TILES_5(vectors) TILE(6, vectors)
#define TILES_7(vectors) TILES_6(vectors) TILE(7, vectors)
#define TILES_8(vectors) TILES_7(vectors) TILE(8, vectors)
#define NAMES_1(vectors) tile_1x##vectors
#define NAMES_2(vectors) NAMES_1(vectors), tile_2x##vectors
#define NAMES_3(vectors) NAMES_2(vectors), tile_3x##vectors
#define NAMES_4(vectors) NAMES_3(vectors), tile_4x##vectors
#define NAMES_5(vectors) NAMES_4(vectors), tile_5x##vectors
#define NAMES_6(vectors) NAMES_5(vectors), tile_6x##vectors
#define NAMES_7(vectors) NAMES_6(vectors), tile_7x##vectors
#define NAMES_8(vectors) NAMES_7(vectors), tile_8x##vectors
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

JOIN(TILES_, GEMM_S8_ROWS_1)(1) JOIN(TILES_, GEMM_S8_ROWS_2)(2) JOIN(TILES_, GEMM_S8_ROWS_3)(3)
#ifdef GEMM_S8_ROWS_4
    JOIN(TILES_, GEMM_S8_ROWS_4)(4)
#endif
#ifdef GEMM_S8_ROWS_5
        JOIN(TILES_, GEMM_S8_ROWS_5)(5)
#endif

            static const struct {
    int32_t rows;
    tile_fn *tile[GEMM_S8_MAX_ROWS];
} tiles[] = {
    {GEMM_S8_ROWS_1, {JOIN(NAMES_, GEMM_S8_ROWS_1)(1)}}, {GEMM_S8_ROWS_2, {JOIN(NAMES_, GEMM_S8_ROWS_2)(2)}},
    {GEMM_S8_ROWS_3, {JOIN(NAMES_, GEMM_S8_ROWS_3)(3)}},
#ifdef GEMM_S8_ROWS_4
    {GEMM_S8_ROWS_4, {JOIN(NAMES_, GEMM_S8_ROWS_4)(4)}},
#endif
#ifdef GEMM_S8_ROWS_5
    {GEMM_S8_ROWS_5, {JOIN(NAMES_, GEMM_S8_ROWS_5)(5)}},
#endif
};

static void run_tiles(const ci_gemm_s8_args *args, int32_t vectors, int32_t first, int32_t rows,
                      int32_t count, tiling *shared) {
    const int32_t at_once = rows == tiles[vectors - 1].rows ? count : 1;
    for (; count > 0; count -= at_once, first += at_once * rows)
        tiles[vectors - 1].tile[rows - 1](args, first, at_once, shared);
}

void GEMM_S8_NAME(const ci_gemm_s8_args *args) {
    const int32_t vectors = (args->columns + VI_LANES - 1) / VI_LANES;
    const int32_t most = tiles[vectors - 1].rows, count = (args->rows + most - 1) / most;
    const int32_t rows = args->rows / count, taller = args->rows % count; /* those come first */
    tiling shared = {.storing = storing_of(args, vectors), .next = prefetching_of(args, count)};
#ifdef GEMM_S8_STORES_QUICKLY
    if (!stores_quickly(args))
        shared.storing.way = STORE_GENERALLY;
#endif
    run_tiles(args, vectors, 0, rows + 1, taller, &shared);
    run_tiles(args, vectors, taller * (rows + 1), rows, count - taller, &shared);
}
