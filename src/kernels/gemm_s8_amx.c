/* int8 GEMM, AMX-INT8: tiles of 16 rows x 64 bytes of A times 64 bytes x 16 columns of B. Blocks of 2 x 2
 * tiles of C (32 rows x 32 columns), or 4 x 1 where a panel has at most 16 columns.
 *
 * Tiles of A are loaded straight from memory where a_row steps evenly through the tile's 16 rows, whatever
 * the step: a fixed offset is what the tile load wants. Where it does not, the rows are copied together
 * first. A last tile of fewer than 16 rows begins earlier and computes some rows again.
 *
 * A block's sums leave through memory, and are requantised between the products of the next block. Packed B:
 * [k_block][column / 16][16][16][4]. The tile registers are configured and released by each call; the
 * system's permission to use them is asked for in cpu.c. */
#include "simd_s8_avx512.h"

#include "gemm_s8_store.inc.h"

enum { TILE_ROWS = 16, TILE_BYTES = 1024, MOST_TILES = 4 };

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t column_bytes[16];
    uint8_t rows[16];
} tile_config;

/* Tiles 0 to 3 are of C, 4, 5 (and 6, with 4 x 1) of A, 6 and 7 of B; those of C and A may be short. */
static void configure(int32_t rows, int32_t is_narrow) {
    tile_config config = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        const int is_b = tile == 7 || (tile == 6 && !is_narrow);
        config.column_bytes[tile] = 64;
        config.rows[tile] = (uint8_t)(is_b ? TILE_ROWS : rows);
    }
    _tile_loadconfig(&config);
}

/* Rows first .. first + 15 of A (or all, where there are fewer), of which those from `fresh` on are to be
 * stored. */
typedef struct {
    int32_t first, fresh;
    int32_t steps_evenly;
    int64_t step;
    const uint8_t *a;
} row_tile;

static row_tile row_tile_of(const ci_gemm_s8_args *args, int32_t rows, int32_t index) {
    row_tile tile = {.fresh = index * TILE_ROWS};
    tile.first = args->rows - tile.fresh < rows ? args->rows - rows : tile.fresh;
    const int32_t *a_row = args->a_row + tile.first;
    const int32_t step = rows > 1 ? a_row[1] - a_row[0] : 0;
    const __mmask16 present = (__mmask16)((1u << rows) - 1);
    const vi ramp = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const vi even = vi_add(vi_set1(a_row[0]), vi_mul(ramp, vi_set1(step)));
    const vi given = _mm512_maskz_loadu_epi32(present, a_row);
    tile.steps_evenly = _mm512_mask_cmpneq_epi32_mask(present, even, given) == 0;
    tile.step = step;
    tile.a = args->a + a_row[0];
    return tile;
}

/* Sums of a block in memory, [tile][16 rows][vectors * 16], waiting to be requantised. */
typedef struct {
    int32_t sums[2 * TILE_ROWS * 2 * VI_LANES] __attribute__((aligned(64)));
    row_tile tile[MOST_TILES];
    int32_t groups, done; /* a group is a vector of bytes: 2 rows, or 4 narrow ones */
} block;

typedef struct {
    scaling way;
    vf scale[2];
    int32_t rows; /* of a tile */
} epilogue;

CI_INLINE void finish_group(const int vectors, const epilogue *ways, const block *from, int32_t group) {
    const int together = 4 / vectors, groups_per_tile = TILE_ROWS / together;
    const row_tile *tile = &from->tile[group / groups_per_tile];
    const int32_t row = group % groups_per_tile * together;
    if (row >= ways->rows || tile->first + row + together <= tile->fresh)
        return;
    const int32_t *sums = from->sums + group * (4 * VI_LANES);
    vi part[4];
    CI_UNROLL
    for (int i = 0; i < 4; i++)
        part[i] = s8_scale_small(vi_load(sums + i * VI_LANES), ways->scale[i % vectors]);
    const vb bytes = pack_scaled(part[0], part[1], part[2], part[3], &ways->way);
    CI_UNROLL
    for (int i = 0; i < together; i++) {
        if (row + i < ways->rows && tile->first + row + i >= tile->fresh)
            store_row(&ways->way, tile->first + row + i, bytes, vectors, i, 0);
    }
}

CI_INLINE void finish_groups(const int vectors, const epilogue *ways, block *from, int32_t until) {
    if (until > from->groups)
        until = from->groups;
    for (; from->done < until; from->done++)
        finish_group(vectors, ways, from, from->done);
}

/* Copies the rows of a tile that does not step evenly, 64 bytes of each, and says where a tile load finds
 * them. */
CI_INLINE const uint8_t *gather(const ci_gemm_s8_args *args, const row_tile *tile, int32_t rows,
                                int32_t offset, uint8_t *copy) {
    if (tile->steps_evenly)
        return tile->a + offset;
    for (int32_t r = 0; r < rows; r++)
        vi_store(copy + 64 * r, vi_load(args->a + args->a_row[tile->first + r] + offset));
    return copy;
}

#define A_STEP(index) (tile[index].steps_evenly ? tile[index].step : 64)
#define A_TILE(index)                                                                                        \
    (gathers ? gather(args, &tile[index], rows, offset, copy[index]) : tile[index].a + offset)

/* The products of one block into tiles 0 .. 3, while the block before it is requantised. */
CI_INLINE void multiply(const int row_tiles, const int vectors, const int gathers,
                        const ci_gemm_s8_args *args, const row_tile *tile, int32_t rows, const epilogue *ways,
                        block *previous) {
    uint8_t copy[MOST_TILES][TILE_BYTES] __attribute__((aligned(64)));
    const int64_t step0 = A_STEP(0), step1 = row_tiles > 1 ? A_STEP(1) : 0;
    const int64_t step2 = row_tiles > 2 ? A_STEP(2) : 0, step3 = row_tiles > 3 ? A_STEP(3) : 0;
    const uint8_t *b = args->b;
    const int32_t left = previous->groups - previous->done;
    const int32_t per_step = (left + args->k_blocks - 1) / args->k_blocks;

    _tile_loadd(0, args->bias, 0);
    if (vectors > 1)
        _tile_loadd(1, args->bias + VI_LANES, 0);
    if (row_tiles > 1 && vectors == 1)
        _tile_loadd(1, args->bias, 0);
    if (row_tiles > 1 && vectors > 1) {
        _tile_loadd(2, args->bias, 0);
        _tile_loadd(3, args->bias + VI_LANES, 0);
    }
    if (row_tiles > 2)
        _tile_loadd(2, args->bias, 0);
    if (row_tiles > 3)
        _tile_loadd(3, args->bias, 0);

    for (int32_t k = 0; k < args->k_blocks; k++) {
        const int32_t offset = args->a_depth[k];
        if (vectors > 1) {
            _tile_loadd(6, b, 64);
            _tile_loadd(7, b + TILE_BYTES, 64);
            _tile_loadd(4, A_TILE(0), step0);
            if (row_tiles > 1)
                _tile_loadd(5, A_TILE(1), step1);
            _tile_dpbusd(0, 4, 6);
            _tile_dpbusd(1, 4, 7);
            if (row_tiles > 1) {
                _tile_dpbusd(2, 5, 6);
                _tile_dpbusd(3, 5, 7);
            }
        } else {
            _tile_loadd(7, b, 64);
            _tile_loadd(4, A_TILE(0), step0);
            _tile_dpbusd(0, 4, 7);
            if (row_tiles > 1) {
                _tile_loadd(5, A_TILE(1), step1);
                _tile_dpbusd(1, 5, 7);
            }
            if (row_tiles > 2) {
                _tile_loadd(6, A_TILE(2), step2);
                _tile_dpbusd(2, 6, 7);
            }
            if (row_tiles > 3) {
                _tile_loadd(4, A_TILE(3), step3);
                _tile_dpbusd(3, 4, 7);
            }
        }
        b += vectors * TILE_BYTES;
        finish_groups(vectors, ways, previous, previous->done + per_step);
    }
    finish_groups(vectors, ways, previous, previous->groups);
}

CI_INLINE void store_tiles(const int row_tiles, const int vectors, int32_t *sums) {
    const int64_t step = vectors * 64;
    _tile_stored(0, sums, step);
    if (vectors > 1) {
        _tile_stored(1, sums + VI_LANES, step);
        if (row_tiles > 1) {
            _tile_stored(2, sums + TILE_ROWS * 2 * VI_LANES, step);
            _tile_stored(3, sums + TILE_ROWS * 2 * VI_LANES + VI_LANES, step);
        }
        return;
    }
    if (row_tiles > 1)
        _tile_stored(1, sums + TILE_ROWS * VI_LANES, step);
    if (row_tiles > 2)
        _tile_stored(2, sums + 2 * TILE_ROWS * VI_LANES, step);
    if (row_tiles > 3)
        _tile_stored(3, sums + 3 * TILE_ROWS * VI_LANES, step);
}

CI_INLINE void run_block(const int row_tiles, const int vectors, const ci_gemm_s8_args *args, int32_t rows,
                         const epilogue *ways, block *previous, block *next) {
    int evenly = 1;
    for (int i = 0; i < row_tiles; i++)
        evenly &= next->tile[i].steps_evenly;
    if (evenly)
        multiply(row_tiles, vectors, 0, args, next->tile, rows, ways, previous);
    else
        multiply(row_tiles, vectors, 1, args, next->tile, rows, ways, previous);
    store_tiles(row_tiles, vectors, next->sums);
}

typedef void run_block_fn(const ci_gemm_s8_args *args, int32_t rows, const epilogue *ways, block *previous,
                          block *next);
#define RUN_BLOCK(row_tiles, vectors)                                                                        \
    static CI_NOINLINE void run_block_##row_tiles##x##vectors(                                               \
        const ci_gemm_s8_args *args, int32_t rows, const epilogue *ways, block *previous, block *next) {     \
        run_block(row_tiles, vectors, args, rows, ways, previous, next);                                     \
    }
RUN_BLOCK(1, 1)
RUN_BLOCK(2, 1)
RUN_BLOCK(3, 1)
RUN_BLOCK(4, 1)
RUN_BLOCK(1, 2)
RUN_BLOCK(2, 2)

static run_block_fn *const run_block_of[2][MOST_TILES] = {
    {run_block_1x1, run_block_2x1, run_block_3x1, run_block_4x1}, {run_block_1x2, run_block_2x2}};

void ci_gemm_s8_any_amx(const ci_gemm_s8_args *args) {
    const int32_t vectors = args->columns > VI_LANES ? 2 : 1, most = MOST_TILES / vectors;
    const int32_t rows = args->rows < TILE_ROWS ? args->rows : TILE_ROWS;
    const int32_t tiles = (args->rows + TILE_ROWS - 1) / TILE_ROWS;
    const int32_t scales = only_scales(args, vectors);
    epilogue ways = {.way = scaling_of(args), .rows = rows};
    if (scales) {
        ways.scale[0] = vf_load(args->requantise.scale);
        ways.scale[1] = vectors > 1 ? vf_load(args->requantise.scale + VI_LANES) : ways.scale[0];
    }
    block blocks[2];
    blocks[0].groups = blocks[1].groups = blocks[0].done = blocks[1].done = 0;
    configure(rows, vectors == 1);
    int32_t current = 0;
    for (int32_t first = 0; first < tiles; first += most, current ^= 1) {
        const int32_t count = tiles - first < most ? tiles - first : most;
        block *next = &blocks[current];
        for (int32_t i = 0; i < count; i++)
            next->tile[i] = row_tile_of(args, rows, first + i);
        run_block_of[vectors - 1][count - 1](args, rows, &ways, &blocks[current ^ 1], next);
        next->done = 0;
        next->groups = scales ? count * TILE_ROWS * vectors / 4 : 0;
        for (int32_t i = 0; i < count && !scales; i++) {
            const int32_t again = next->tile[i].fresh - next->tile[i].first;
            store_rows_generally(args, next->tile[i].fresh, rows - again, vectors,
                                 next->sums + (i * TILE_ROWS + again) * vectors * VI_LANES);
        }
    }
    _tile_release();
    block *last = &blocks[current ^ 1];
    if (vectors > 1)
        finish_groups(2, &ways, last, last->groups);
    else
        finish_groups(1, &ways, last, last->groups);
}
