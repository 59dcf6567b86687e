/* Rounds of four depths of a tile of gemm_f32.inc.h, which includes this file, for cores that execute in
 * order: in_order_neon.h says what decides the order of instructions. Tiles are of 4 to 8 rows and 2 vectors.
 *
 * Beside its products a round loads what comes next: four depths of each row as soon as the row's last
 * product has begun, and weights about two depths ahead. Before about every third product there is a place
 * for loading half a vector; the plans say of what. The order of additions is that of gemm_f32_by_lane.inc.h,
 * which sums up what is left. */
#include "in_order_neon.h"

#define GEMM_FEWEST_IN_ORDER 4
#define MOST_PLACES 22

/* What is loaded in a place: a row, weights (of depth 1, vector 0: B10), or nothing, and only the half before
 * is joined: without anything there, the next load would have to wait. */
enum { A0, A1, A2, A3, A4, A5, A6, A7, B00, B01, B10, B11, B20, B21, B30, B31, NONE };

/* By rows. Rows in the last depth are those of the next round, and so are weights of depth 0, and of depth 1
 * but in the tallest tile, which has no registers for them and shares those of depth 3. What is loaded in one
 * place is whole from the next one on. */
static const struct {
    int places;
    unsigned char loads[MOST_PLACES];
} plans[] = {
    {12, {A2, A3, B20, B21, B30, B31, B00, B01, B10, B11, A0, A1}},
    {14, {A2, A3, A4, B20, B21, B30, B31, B00, B01, B10, B11, NONE, A0, A1}},
    {16, {A3, A4, A5, B20, B21, NONE, B30, B31, B00, NONE, B01, B10, B11, A0, A1, A2}},
    {19, {A4, A5, A6, B20, NONE, B21, NONE, B30, NONE, B31, NONE, B00, B01, B10, B11, A0, A1, A2, A3}},
    {22, {A4,  A5,   A6,  A7,   B10, B11,  NONE, B20, NONE, B21, NONE,
          B30, NONE, B31, NONE, B00, NONE, B01,  A0,  A1,   A2,  A3}},
};

CI_INLINE int is_tallest(const int rows) {
    return rows == GEMM_MR;
}

/* Where a round is. Offsets in the rows, in bytes, are those of the round until all its rows are loaded, then
 * of the next. */
typedef struct {
    int64_t lower, upper;
    const float *b, *next_b;
    int32_t left; /* of the depth, when this round is done */
    int32_t step; /* to the next round: 4 depths, or after the last 0 */
    const int32_t *a_depth;
    const char *prefetch;
    int64_t prefetch_step;
} round_at;

/* Finds the next round, a little behind each of some products; after the last round its data are loaded
 * again. */
CI_INLINE void look_ahead(const int part, const int is_contiguous, round_at *at) {
    if (part == 0) {
        CI_PREFETCH_L2(at->prefetch);
        KEEP_IN_ORDER(at->prefetch);
    } else if (part == 1) {
        at->prefetch += at->prefetch_step;
        at->left -= 4;
        KEEP_IN_ORDER(at->left);
    } else if (part == 2) {
        at->step = ~(at->left >> 31);
        KEEP_IN_ORDER(at->step);
    } else if (part == 3) {
        at->step &= 4;
        if (!is_contiguous)
            at->step = gemm_four_in_a_row(at->a_depth + at->step) ? at->step : 0;
        KEEP_IN_ORDER(at->step);
    } else if (part == 4) {
        at->a_depth += at->step;
        at->lower = is_contiguous ? at->lower + at->step * 4 : *at->a_depth * (int64_t)4;
        KEEP_IN_ORDER(at->lower);
    } else if (part == 5) {
        at->upper = at->lower + 8;
        KEEP_IN_ORDER(at->upper);
    } else if (part == 6) {
        at->next_b = at->b + at->step * (2 * VF_LANES);
        KEEP_IN_ORDER(at->next_b);
    }
}

CI_INLINE int buffer_of(const int rows, const int depth) {
    return is_tallest(rows) && depth == 3 ? 1 : depth;
}

CI_INLINE vf *place_of(const int rows, const int load, vf value[GEMM_MR], vf column[4][2]) {
    return load < B00 ? &value[load] : &column[buffer_of(rows, (load - B00) / 2)][(load - B00) % 2];
}

CI_INLINE const void *source_of(const int rows, const int load, const int is_upper,
                                const float *const row[GEMM_MR], const round_at *at) {
    if (load < B00)
        return (const char *)row[load] + (is_upper ? at->upper : at->lower);
    const float *b = load < (is_tallest(rows) ? B10 : B20) ? at->next_b : at->b;
    return b + (load - B00) * VF_LANES + 2 * is_upper;
}

CI_INLINE void sum_round(const int rows, const int is_contiguous, const float *const row[GEMM_MR],
                         round_at *at, vf sum[GEMM_MR][GEMM_VECTORS], vf value[GEMM_MR], vf column[4][2],
                         uint64_t *half) {
    const int places = plans[rows - GEMM_FEWEST_IN_ORDER].places, products = 8 * rows;
    int place = 0, loaded = plans[rows - GEMM_FEWEST_IN_ORDER].loads[places - 1], is_half = 1, parts = 0,
        is_past = 0;
    CI_UNROLL
    for (int depth = 0; depth < 4; depth++) {
        CI_UNROLL
        for (int i = 0; i < 2 * rows; i++) {
            const int r = i / 2, v = i % 2;
            const int loads_now = place < places && depth * 2 * rows + i == place * products / places;
            if (loads_now) {
                const int load = plans[rows - GEMM_FEWEST_IN_ORDER].loads[place];
                if (load != NONE)
                    LOAD_LOWER(*place_of(rows, load, value, column), source_of(rows, load, 0, row, at));
                if (is_half)
                    JOIN_UPPER(*place_of(rows, loaded, value, column), *half);
                is_half = load != NONE;
                loaded = load;
                place++;
            }
            vf *const s = &sum[r][v], *const b = &column[buffer_of(rows, depth)][v];
            if (depth == 0)
                ADD_PRODUCT_BY_LANE(*s, *b, value[r], 0);
            else if (depth == 1)
                ADD_PRODUCT_BY_LANE(*s, *b, value[r], 1);
            else if (depth == 2)
                ADD_PRODUCT_BY_LANE(*s, *b, value[r], 2);
            else
                ADD_PRODUCT_BY_LANE(*s, *b, value[r], 3);
            if (loads_now && is_half)
                LOAD_UPPER(*half, source_of(rows, loaded, 1, row, at));
            else if (depth * 2 * rows + i > rows && depth < 3) /* all its own rows are loaded */
                look_ahead(parts++, is_contiguous, at);
            else if (depth == 3 && !is_past) {
                is_past = 1;
                at->b = at->next_b;
                KEEP_IN_ORDER(at->b);
            }
        }
    }
}

CI_INLINE void GEMM_TILE_FN(sum_up_in_order)(const int rows, const int is_contiguous,
                                             const float *const row[GEMM_MR], vf sum[GEMM_MR][GEMM_VECTORS],
                                             const ci_gemm_f32_args *args, const char *prefetch,
                                             int64_t prefetch_step) {
    round_at at = {
        .b = args->b, .a_depth = args->a_depth, .prefetch = prefetch, .prefetch_step = 4 * prefetch_step};
    vf value[GEMM_MR], column[4][2];
    uint64_t half;
    int32_t k = 0;
    const int32_t depth = args->depth;
    while (k < depth) {
        at.lower = (is_contiguous ? k : args->a_depth[k]) * (int64_t)4;
        at.upper = at.lower + 8;
        column[0][0] = vf_load(at.b);
        column[0][1] = vf_load(at.b + VF_LANES);
        if (k + 4 > depth || !(is_contiguous || gemm_four_in_a_row(args->a_depth + k))) {
            CI_UNROLL
            for (int r = 0; r < rows; r++)
                value[r] = vf_load_lane_0(source_of(rows, r, 0, row, &at));
            CI_UNROLL
            for (int i = 0; i < 2 * rows; i++)
                ADD_PRODUCT_BY_LANE(sum[i / 2][i % 2], column[0][i % 2], value[i / 2], 0);
            at.b += GEMM_NR;
            k++;
            continue;
        }
        CI_UNROLL
        for (int r = 0; r < rows; r++)
            value[r] = vf_load(source_of(rows, r, 0, row, &at));
        /* What the round before would have left to be joined. */
        const int last =
            plans[rows - GEMM_FEWEST_IN_ORDER].loads[plans[rows - GEMM_FEWEST_IN_ORDER].places - 1];
        LOAD_UPPER(half, source_of(rows, last, 1, row, &at));
        if (!is_tallest(rows)) {
            column[1][0] = vf_load(at.b + GEMM_NR);
            column[1][1] = vf_load(at.b + GEMM_NR + VF_LANES);
        }
        at.a_depth = args->a_depth + k;
        at.left = depth - k - 4;
        do
            sum_round(rows, is_contiguous, row, &at, sum, value, column, &half);
        while (at.step);
        k = depth - at.left - 4;
        at.b += 4 * GEMM_NR;
    }
}

#undef MOST_PLACES
