/* The body of the int8 depthwise kernels of x86 (ci_depthwise_s8_args in conv_infer/microkernel_s8.h),
 * written in the vector vocabulary. Included once per instruction set, with
 *
 *     DEPTHWISE_S8_ANY, DEPTHWISE_S8_3X3   the kernels' names
 *     vi_dot(sum, a, b)                    sum += a . b over the taps in each lane, b a vector in memory; a
 * statement DEPTHWISE_S8_TAPS                    taps to a lane: 4 bytes, or 2 int16
 *
 * Vectors run over channels, in blocks of DEPTHWISE_S8_TAPS * VI_LANES. The bytes of 4 (2) taps are
 * interleaved, so that each lane holds the taps of one channel; the sums' order of channels is what
 * interleaving made of it, and packing to bytes undoes it.
 *
 * Packed b, of each block: "any" [tap group][vector][lane][tap]; "3x3" [kx][row of outputs, 2][4
 * vectors][lane][tap], the taps of a lane being a column of the window.
 */
#include "conv_infer/microkernel.h"
#include "requantise_s8.inc.h"

#define VECTORS DEPTHWISE_S8_TAPS /* of sums: a block's */
#define BLOCK (DEPTHWISE_S8_TAPS * VI_LANES)

typedef struct {
    const ci_requantise *requantise;
    s8_range range;
    int32_t scales; /* and nothing else, by less than 1 */
} way_out;

static way_out way_out_of(const ci_depthwise_s8_args *args) {
    way_out way = {&args->requantise, s8_range_of(&args->requantise), 0};
    if (args->requantise.rule == CI_REQUANTISE_SCALE) {
        way.scales = 1;
        for (int32_t channel = 0; channel < args->channels; channel += VI_LANES)
            way.scales &= vf_all_below_1(vf_load(args->requantise.scale + channel));
    }
    return way;
}

/* Stores the first n channels of the block that begins at `channel`. */
CI_INLINE void store_block(const int scales, const way_out *way, const vi *sum, int32_t channel, uint8_t *c,
                           int32_t n) {
    vi part[VECTORS];
    CI_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        const int32_t first = channel + v * VI_LANES;
        if (scales)
            part[v] = s8_scale_small(sum[v], vf_load(way->requantise->scale + first));
        else
            part[v] = s8_rounded(sum[v], way->requantise, first);
    }
#if DEPTHWISE_S8_TAPS == 4
    const vb bytes = vb_pack_interleaved(part[0], part[1], part[2], part[3], way->range.zero_point);
#else
    const vb bytes = vb_pack_interleaved_2(part[0], part[1], way->range.zero_point);
#endif
    vb_store_part(c, vb_xor(vb_clamp(bytes, way->range.minimum, way->range.maximum), way->range.flip),
                  VECTORS, 0, n);
}

/* Raw sums, put in order. */
static void store_raw(const vi *sum, int32_t *c, int32_t n) {
    int32_t sums[BLOCK];
    for (int v = 0; v < VECTORS; v++)
        vi_store(sums + v * VI_LANES, sum[v]);
    for (int32_t channel = 0; channel < n; channel++) {
        const int32_t quarter = channel / (4 * VECTORS), rest = channel % (4 * VECTORS);
        c[channel] = sums[rest / 4 * VI_LANES + quarter * 4 + rest % 4];
    }
}

CI_INLINE void store_pixel(const way_out *way, const vi *sum, int32_t channel,
                           const ci_depthwise_s8_args *args, int64_t offset, int32_t n) {
    if (CI_LIKELY(way->scales))
        store_block(1, way, sum, channel, (uint8_t *)args->c + offset, n);
    else if (way->requantise->rule == CI_REQUANTISE_NONE)
        store_raw(sum, (int32_t *)args->c + offset, n);
    else
        store_block(0, way, sum, channel, (uint8_t *)args->c + offset, n);
}

CI_INLINE void load_bias(vi *sum, const int32_t *bias) {
    CI_UNROLL
    for (int v = 0; v < VECTORS; v++)
        sum[v] = vi_load(bias + v * VI_LANES);
}

#if DEPTHWISE_S8_TAPS == 4
CI_INLINE void load_taps(const uint8_t *const *tap, int64_t offset, int32_t n, vi *taps) {
    vi_interleave_quads(vb_load_n(tap[0] + offset, n), vb_load_n(tap[1] + offset, n),
                        vb_load_n(tap[2] + offset, n), vb_load_n(tap[3] + offset, n), taps);
}
#else
CI_INLINE void load_taps(const uint8_t *const *tap, int64_t offset, int32_t n, vi *taps) {
    vi_interleave_pairs(vi_load_words(tap[0] + offset, n), vi_load_words(tap[1] + offset, n), taps);
}
#endif

static void row_of_any(const ci_depthwise_s8_args *args, const way_out *way, const uint8_t *const *tap,
                       int32_t groups, int64_t offset) {
    const int64_t step = args->stride_x * args->a_pixel_stride;
    const vi *b = args->b;
    for (int32_t channel = 0; channel < args->channels; channel += BLOCK, b += (int64_t)groups * VECTORS) {
        const int32_t n = args->channels - channel < BLOCK ? args->channels - channel : BLOCK;
        for (int32_t x = 0; x < args->width; x++) {
            vi sum[VECTORS];
            load_bias(sum, args->bias + channel);
            for (int32_t group = 0; group < groups; group++) {
                vi taps[VECTORS];
                load_taps(tap + group * DEPTHWISE_S8_TAPS, channel + x * step, n, taps);
                CI_UNROLL
                for (int v = 0; v < VECTORS; v++)
                    vi_dot(sum[v], taps[v], b[group * VECTORS + v]);
            }
            store_pixel(way, sum, channel, args, offset + channel + x * args->c_pixel_stride, n);
        }
    }
}

void DEPTHWISE_S8_ANY(const ci_depthwise_s8_args *args) {
    const way_out way = way_out_of(args);
    const int32_t taps = args->kernel_height * args->kernel_width;
    const int32_t groups = (taps + DEPTHWISE_S8_TAPS - 1) / DEPTHWISE_S8_TAPS;
    const uint8_t *tap[CI_DEPTHWISE_S8_TAPS + DEPTHWISE_S8_TAPS];
    for (int32_t y = 0; y < args->height; y++) {
        int32_t count = 0;
        for (int32_t ky = 0; ky < args->kernel_height; ky++) {
            const uint8_t *row = args->a + args->a_row[y * args->stride_y + ky * args->dilation_y];
            for (int32_t kx = 0; kx < args->kernel_width; kx++)
                tap[count++] = row + kx * args->dilation_x * args->a_pixel_stride;
        }
        for (; count < groups * DEPTHWISE_S8_TAPS; count++)
            tap[count] = tap[0]; /* meets weights of 0 */
        row_of_any(args, &way, tap, groups, y * args->c_row_stride);
    }
}

/* One column of four input rows: of each lane the bytes of rows 0 to 3; or as pairs, rows 0, 1 and rows 2, 3.
 */
CI_INLINE void load_column(const uint8_t *const *row, int64_t offset, int32_t n, vi *column) {
    load_taps(row, offset, n, column);
#if DEPTHWISE_S8_TAPS == 2
    load_taps(row + 2, offset, n, column + 2);
#endif
}

/* The output whose window's columns are left, middle and right, of the upper or the lower of two rows. */
CI_INLINE void store_3x3(const way_out *way, const vi *left, const vi *middle, const vi *right, const vi *b,
                         const int lower, int32_t channel, const ci_depthwise_s8_args *args, int64_t offset,
                         int32_t n) {
    vi sum[VECTORS];
    load_bias(sum, args->bias + channel);
    CI_UNROLL
    for (int v = 0; v < 4; v++) {
        vi_dot(sum[v % VECTORS], left[v], b[(0 + lower) * 4 + v]);
        vi_dot(sum[v % VECTORS], middle[v], b[(2 + lower) * 4 + v]);
        vi_dot(sum[v % VECTORS], right[v], b[(4 + lower) * 4 + v]);
    }
    store_pixel(way, sum, channel, args, offset, n);
}

/* Two rows of outputs (or one), stride 1: three columns of input slide along. */
static void rows_of_stride_1(const ci_depthwise_s8_args *args, const way_out *way, int32_t y) {
    const int32_t two = y + 1 < args->height;
    const uint8_t *row[4];
    for (int32_t r = 0; r < 4; r++)
        row[r] = args->a + args->a_row[y + (r < 3 || two ? r : 2)];
    const int64_t pixel = args->a_pixel_stride;
    const vi *b = args->b;
    for (int32_t channel = 0; channel < args->channels; channel += BLOCK, b += 24) {
        const int32_t n = args->channels - channel < BLOCK ? args->channels - channel : BLOCK;
        int64_t in = channel, out = y * args->c_row_stride + channel;
        vi column[3][4];
        load_column(row, in, n, column[0]);
        load_column(row, in + pixel, n, column[1]);
        in += 2 * pixel;
#define STEP(left, middle, right)                                                                            \
    do {                                                                                                     \
        load_column(row, in, n, column[right]);                                                              \
        store_3x3(way, column[left], column[middle], column[right], b, 0, channel, args, out, n);            \
        if (two)                                                                                             \
            store_3x3(way, column[left], column[middle], column[right], b, 1, channel, args,                 \
                      out + args->c_row_stride, n);                                                          \
        in += pixel;                                                                                         \
        out += args->c_pixel_stride;                                                                         \
    } while (0)
        int32_t x = 0;
        for (; x + 3 <= args->width; x += 3) {
            STEP(0, 1, 2);
            STEP(1, 2, 0);
            STEP(2, 0, 1);
        }
        if (x < args->width) {
            STEP(0, 1, 2);
            if (x + 1 < args->width)
                STEP(1, 2, 0);
        }
#undef STEP
    }
}

/* One row of outputs, stride 2: the right column is the next one's left. */
static void row_of_stride_2(const ci_depthwise_s8_args *args, const way_out *way, int32_t y) {
    const uint8_t *row[4];
    for (int32_t r = 0; r < 4; r++)
        row[r] = args->a + args->a_row[2 * y + (r < 3 ? r : 2)];
    const int64_t pixel = args->a_pixel_stride;
    const vi *b = args->b;
    for (int32_t channel = 0; channel < args->channels; channel += BLOCK, b += 24) {
        const int32_t n = args->channels - channel < BLOCK ? args->channels - channel : BLOCK;
        int64_t in = channel, out = y * args->c_row_stride + channel;
        vi column[3][4];
        load_column(row, in, n, column[0]);
        for (int32_t x = 0; x < args->width; x++) {
            load_column(row, in + pixel, n, column[1]);
            load_column(row, in + 2 * pixel, n, column[2]);
            store_3x3(way, column[0], column[1], column[2], b, 0, channel, args, out, n);
            CI_UNROLL
            for (int v = 0; v < 4; v++)
                column[0][v] = column[2][v];
            in += 2 * pixel;
            out += args->c_pixel_stride;
        }
    }
}

void DEPTHWISE_S8_3X3(const ci_depthwise_s8_args *args) {
    const way_out way = way_out_of(args);
    if (args->stride_y == 1) {
        for (int32_t y = 0; y < args->height; y += 2)
            rows_of_stride_1(args, &way, y);
    } else {
        for (int32_t y = 0; y < args->height; y++)
            row_of_stride_2(args, &way, y);
    }
}
