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

/* Sums of a block in memory, [tile][16 rows][vectors * 16], waiting to be requantised, and where each row
 * goes. */
typedef struct {
    _Alignas(64) int32_t sums[2 * TILE_ROWS * 2 * VI_LANES];
    uint8_t *to[MOST_TILES * TILE_ROWS];
    const uint8_t *residual[MOST_TILES * TILE_ROWS];
    row_tile tile[MOST_TILES];
    int32_t groups; /* a group is a vector of bytes: 2 rows, or 4 narrow ones */
} block;

/* The addresses of eight rows, or `nowhere` for those not among `lanes`. */
CI_INLINE void put_addresses(void *to, const void *base, __m256i offsets, __mmask8 lanes,
                             const void *nowhere) {
    const __m512i addresses =
        _mm512_add_epi64(_mm512_set1_epi64((int64_t)(uintptr_t)base), _mm512_cvtepi32_epi64(offsets));
    _mm512_storeu_si512(
        to, _mm512_mask_blend_epi64(lanes, _mm512_set1_epi64((int64_t)(uintptr_t)nowhere), addresses));
}

/* Rows that are not to be stored, or computed for the second time, go nowhere: no branch for each. */
static void aim(const ci_gemm_s8_args *args, const row_tile *tile, int32_t rows, uint8_t *nowhere,
                uint8_t **to, const uint8_t **residual) {
    const ci_residual_s8 *added = &args->requantise.residual;
    const uint32_t wanted = ((1u << rows) - 1) & ~((1u << (tile->fresh - tile->first)) - 1);
    for (int32_t first = 0; first < TILE_ROWS; first += 8) {
        const __mmask8 lanes = (__mmask8)(wanted >> first);
        const __m256i offsets = _mm256_maskz_loadu_epi32(lanes, args->c_row + tile->first + first);
        const __mmask8 stored =
            _mm256_mask_cmpneq_epi32_mask(lanes, offsets, _mm256_set1_epi32(CI_ROW_SKIPPED));
        put_addresses(to + first, args->c, offsets, stored, nowhere);
        if (added->data)
            put_addresses(residual + first, added->data,
                          _mm256_maskz_loadu_epi32(stored, added->row + tile->first + first), stored,
                          nowhere);
    }
}

typedef struct {
    vf scale[2];
    storing store;
    int32_t columns;
} epilogue;

CI_INLINE void finish_groups_by(const int vectors, const int adds, const epilogue *way, const block *from,
                                int32_t group, int32_t until) {
    const int together = 4 / vectors;
    const int32_t *sums = from->sums + group * (4 * VI_LANES);
    uint8_t *const *to = from->to + group * together;
    const uint8_t *const *residual = from->residual + group * together;
    const s8_range range = way->store.range;
    const s8_addition addition = way->store.addition;
    const vf scale[2] = {way->scale[0], way->scale[1]};
    const int32_t columns = way->columns;
    for (; group < until; group++, sums += 4 * VI_LANES, to += together, residual += together) {
        vi part[4];
        CI_UNROLL
        for (int i = 0; i < 4; i++) {
            const int v = i % vectors;
            const vi sum = vi_load(sums + i * VI_LANES);
            if (adds)
                part[i] = s8_add_small(vf_mul(vf_from_vi(sum), scale[v]), &addition,
                                       residual[i / vectors] + v * VI_LANES, columns - v * VI_LANES);
            else
                part[i] = s8_scale_small(sum, scale[v]);
        }
        const vb bytes = pack_bytes(part[0], part[1], part[2], part[3], &range);
        CI_UNROLL
        for (int i = 0; i < together; i++)
            vb_store_part(to[i], bytes, vectors, i, columns);
    }
}

CI_INLINE void finish_groups(const int vectors, const epilogue *way, const block *from, int32_t group,
                             int32_t until) {
    if (way->store.way == STORE_ADDED)
        finish_groups_by(vectors, 1, way, from, group, until);
    else
        finish_groups_by(vectors, 0, way, from, group, until);
}

/* What each block draws near of the weights that are needed next: so many lines with each block of depth. */
typedef struct {
    const char *from;
    int64_t share, lines;
} prefetching;

static prefetching prefetching_of(const ci_gemm_s8_args *args, int32_t blocks) {
    if (!args->prefetch)
        return (prefetching){.from = args->b};
    const int64_t share = args->prefetch_bytes / blocks;
    return (prefetching){args->prefetch, share, (share + 64 * args->k_blocks - 1) / (64 * args->k_blocks)};
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
#define A_TILE(index) (gathers ? gather(args, &tile[index], rows, offset, copy[index]) : a##index + offset)

/* The products of one block into tiles 0 .. 3, while the block before it is requantised. */
CI_INLINE void multiply(const int row_tiles, const int vectors, const int gathers,
                        const ci_gemm_s8_args *args, const row_tile *tile, int32_t rows, const epilogue *way,
                        const block *previous, const prefetching *next) {
    _Alignas(64) uint8_t copy[MOST_TILES][TILE_BYTES];
    const int64_t step0 = A_STEP(0), step1 = row_tiles > 1 ? A_STEP(1) : 0;
    const int64_t step2 = row_tiles > 2 ? A_STEP(2) : 0, step3 = row_tiles > 3 ? A_STEP(3) : 0;
    const uint8_t *b = args->b;
    const char *prefetch = next->from;
    const int32_t *a_depth = args->a_depth, k_blocks = args->k_blocks, groups = previous->groups;
    const int32_t per_step = (groups + k_blocks - 1) / k_blocks;
    const uint8_t *const a0 = tile[0].a, *const a1 = row_tiles > 1 ? tile[1].a : NULL;
    const uint8_t *const a2 = row_tiles > 2 ? tile[2].a : NULL, *const a3 = row_tiles > 3 ? tile[3].a : NULL;
    int32_t done = 0;

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

    for (int32_t k = 0; k < k_blocks; k++) {
        const int32_t offset = a_depth[k];
        for (int64_t line = 0; line < next->lines; line++)
            CI_PREFETCH_L2(prefetch + 64 * line);
        prefetch += 64 * next->lines;
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
        const int32_t until = done + per_step < groups ? done + per_step : groups;
        finish_groups(vectors, way, previous, done, until);
        done = until;
    }
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
                         const epilogue *way, const block *previous, block *next,
                         const prefetching *weights) {
    int evenly = 1;
    for (int i = 0; i < row_tiles; i++)
        evenly &= next->tile[i].steps_evenly;
    if (evenly)
        multiply(row_tiles, vectors, 0, args, next->tile, rows, way, previous, weights);
    else
        multiply(row_tiles, vectors, 1, args, next->tile, rows, way, previous, weights);
    store_tiles(row_tiles, vectors, next->sums);
}

typedef void run_block_fn(const ci_gemm_s8_args *args, int32_t rows, const epilogue *way,
                          const block *previous, block *next, const prefetching *weights);
#define RUN_BLOCK(row_tiles, vectors)                                                                        \
    static CI_NOINLINE void run_block_##row_tiles##x##vectors(const ci_gemm_s8_args *args, int32_t rows,     \
                                                              const epilogue *way, const block *previous,    \
                                                              block *next, const prefetching *weights) {     \
        run_block(row_tiles, vectors, args, rows, way, previous, next, weights);                             \
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
    epilogue way = {.store = storing_of(args, vectors), .columns = args->columns};
    const int32_t is_deferred = way.store.way != STORE_GENERALLY;
    if (is_deferred) {
        way.scale[0] = vf_load(args->requantise.scale);
        way.scale[1] = vectors > 1 ? vf_load(args->requantise.scale + VI_LANES) : way.scale[0];
    }
    uint8_t nowhere[2 * VI_LANES] = {0};
    block blocks[2];
    blocks[0].groups = blocks[1].groups = 0;
    prefetching weights = prefetching_of(args, (tiles + most - 1) / most);
    configure(rows, vectors == 1);
    int32_t current = 0;
    for (int32_t first = 0; first < tiles; first += most, current ^= 1) {
        const int32_t count = tiles - first < most ? tiles - first : most;
        block *next = &blocks[current];
        for (int32_t i = 0; i < count; i++) {
            next->tile[i] = row_tile_of(args, rows, first + i);
            if (is_deferred)
                aim(args, &next->tile[i], rows, nowhere, next->to + i * TILE_ROWS,
                    next->residual + i * TILE_ROWS);
        }
        run_block_of[vectors - 1][count - 1](args, rows, &way, &blocks[current ^ 1], next, &weights);
        weights.from += weights.share;
        next->groups = is_deferred ? count * TILE_ROWS * vectors / 4 : 0;
        for (int32_t i = 0; i < count && !is_deferred; i++) {
            const int32_t again = next->tile[i].fresh - next->tile[i].first;
            store_rows_generally(args, next->tile[i].fresh, rows - again, vectors,
                                 next->sums + (i * TILE_ROWS + again) * vectors * VI_LANES);
        }
    }
    _tile_release();
    const block *last = &blocks[current ^ 1];
    if (vectors > 1)
        finish_groups(2, &way, last, 0, last->groups);
    else
        finish_groups(1, &way, last, 0, last->groups);
}
