/* The body of the int8 depthwise kernels that interleave taps (ci_depthwise_s8_args in
 * conv_infer/microkernel_s8.h), written in the vector vocabulary. Included once per instruction set, with
 *
 *     DEPTHWISE_S8_ANY, DEPTHWISE_S8_3X3   the kernels' names
 *     vi_dot(sum, a, b)                    sum += a . b over the taps in each lane, b a vector in memory; a
 *                                          statement
 *     DEPTHWISE_S8_TAPS                    taps to a lane: 4 bytes, or 2 int16
 *
 * Vectors run over channels, in blocks of DEPTHWISE_S8_TAPS * VI_LANES. The bytes of 4 (2) taps are
 * interleaved, so that each lane holds the taps of one channel; the sums' order of channels is what
 * interleaving made of it, and packing to bytes undoes it.
 *
 * Packed b, of each block: "any" [tap group][vector][lane][tap]; "3x3" [kx][row of outputs, 2][4
 * vectors][lane][tap], the taps of a lane being a column of the window.
 */
#define DEPTHWISE_S8_VECTORS DEPTHWISE_S8_TAPS
#include "depthwise_s8_store.inc.h"

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

CI_INLINE void row_of_any(const int scales, const ci_depthwise_s8_args *args, const uint8_t *const *tap,
                          int32_t groups, int64_t offset) {
    const int64_t step = args->stride_x * args->a_pixel_stride, out_step = args->c_pixel_stride;
    const int32_t width = args->width, channels = args->channels;
    for (int32_t channel = 0; channel < channels; channel += BLOCK) {
        const block in = block_of(args, channel, (int64_t)groups * VECTORS);
        for (int32_t x = 0; x < width; x++) {
            vi sum[VECTORS];
            load_bias(sum, in.bias);
            for (int32_t group = 0; group < groups; group++) {
                vi taps[VECTORS];
                load_taps(tap + group * DEPTHWISE_S8_TAPS, channel + x * step, in.n, taps);
                CI_UNROLL
                for (int v = 0; v < VECTORS; v++)
                    vi_dot(sum[v], taps[v], in.b[group * VECTORS + v]);
            }
            store_pixel(scales, &in, sum, offset + channel + x * out_step);
        }
    }
}

CI_INLINE void rows_of_any(const int scales, const ci_depthwise_s8_args *args) {
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
        row_of_any(scales, args, tap, groups, y * args->c_row_stride);
    }
}

void DEPTHWISE_S8_ANY(const ci_depthwise_s8_args *args) {
    if (only_scales(args))
        rows_of_any(1, args);
    else
        rows_of_any(0, args);
}

/* One column of four input rows: of each lane the bytes of rows 0 to 3; or as pairs, rows 0, 1 and rows 2, 3.
 */
CI_INLINE void load_column(const int rows, const uint8_t *const *row, int64_t offset, int32_t n, vi *column) {
#if DEPTHWISE_S8_TAPS == 4
    const vb third = vb_load_n(row[2] + offset, n), fourth = rows > 3 ? vb_load_n(row[3] + offset, n) : third;
    vi_interleave_quads(vb_load_n(row[0] + offset, n), vb_load_n(row[1] + offset, n), third, fourth, column);
#else
    const vi third = vi_load_words(row[2] + offset, n),
             fourth = rows > 3 ? vi_load_words(row[3] + offset, n) : third;
    load_taps(row, offset, n, column);
    vi_interleave_pairs(third, fourth, column + 2);
#endif
}

/* The output whose window's columns are left, middle and right, of the upper or the lower of two rows. */
CI_INLINE void store_3x3(const int scales, const block *in, const vi *left, const vi *middle, const vi *right,
                         const int lower, int64_t offset) {
    vi sum[VECTORS];
    load_bias(sum, in->bias);
    CI_UNROLL
    for (int v = 0; v < 4; v++) {
        vi_dot(sum[v % VECTORS], left[v], in->b[(0 + lower) * 4 + v]);
        vi_dot(sum[v % VECTORS], middle[v], in->b[(2 + lower) * 4 + v]);
        vi_dot(sum[v % VECTORS], right[v], in->b[(4 + lower) * 4 + v]);
    }
    store_pixel(scales, in, sum, offset);
}

/* Two rows of outputs (or one), stride 1: three columns of input slide along. */
CI_INLINE void rows_of_stride_1(const int scales, const int two, const ci_depthwise_s8_args *args,
                                int32_t y) {
    const uint8_t *row[4];
    for (int32_t r = 0; r < (two ? 4 : 3); r++)
        row[r] = args->a + args->a_row[y + r];
    const int64_t pixel = args->a_pixel_stride, out_pixel = args->c_pixel_stride,
                  out_row = args->c_row_stride;
    const int32_t width = args->width, channels = args->channels;
    for (int32_t channel = 0; channel < channels; channel += BLOCK) {
        const block in = block_of(args, channel, 24);
        int64_t from = channel, to = y * out_row + channel;
        vi column[3][4];
        load_column(two ? 4 : 3, row, from, in.n, column[0]);
        load_column(two ? 4 : 3, row, from + pixel, in.n, column[1]);
        from += 2 * pixel;
#define STEP(left, middle, right)                                                                            \
    do {                                                                                                     \
        load_column(two ? 4 : 3, row, from, in.n, column[right]);                                            \
        store_3x3(scales, &in, column[left], column[middle], column[right], 0, to);                          \
        if (two)                                                                                             \
            store_3x3(scales, &in, column[left], column[middle], column[right], 1, to + out_row);            \
        from += pixel;                                                                                       \
        to += out_pixel;                                                                                     \
    } while (0)
        int32_t x = 0;
        for (; x + 3 <= width; x += 3) {
            STEP(0, 1, 2);
            STEP(1, 2, 0);
            STEP(2, 0, 1);
        }
        if (x < width) {
            STEP(0, 1, 2);
            if (x + 1 < width)
                STEP(1, 2, 0);
        }
#undef STEP
    }
}

/* One row of outputs, stride 2: the right column is the next one's left. */
CI_INLINE void row_of_stride_2(const int scales, const ci_depthwise_s8_args *args, int32_t y) {
    const uint8_t *row[3];
    for (int32_t r = 0; r < 3; r++)
        row[r] = args->a + args->a_row[2 * y + r];
    const int64_t pixel = args->a_pixel_stride, out_pixel = args->c_pixel_stride;
    const int32_t width = args->width, channels = args->channels;
    for (int32_t channel = 0; channel < channels; channel += BLOCK) {
        const block in = block_of(args, channel, 24);
        int64_t from = channel, to = y * args->c_row_stride + channel;
        vi column[3][4];
        load_column(3, row, from, in.n, column[0]);
        for (int32_t x = 0; x < width; x++) {
            load_column(3, row, from + pixel, in.n, column[1]);
            load_column(3, row, from + 2 * pixel, in.n, column[2]);
            store_3x3(scales, &in, column[0], column[1], column[2], 0, to);
            CI_UNROLL
            for (int v = 0; v < 4; v++)
                column[0][v] = column[2][v];
            from += 2 * pixel;
            to += out_pixel;
        }
    }
}

CI_INLINE void rows_of_3x3(const int scales, const ci_depthwise_s8_args *args) {
    const int32_t height = args->height;
    int32_t y = 0;
    if (args->stride_y == 2) {
        for (; y < height; y++)
            row_of_stride_2(scales, args, y);
        return;
    }
    for (; y + 2 <= height; y += 2)
        rows_of_stride_1(scales, 1, args, y);
    if (y < height)
        rows_of_stride_1(scales, 0, args, y);
}

void DEPTHWISE_S8_3X3(const ci_depthwise_s8_args *args) {
    if (only_scales(args))
        rows_of_3x3(1, args);
    else
        rows_of_3x3(0, args);
}
