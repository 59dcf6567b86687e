/* float32 convolution in narrow groups; the body of every instruction set.
 *
 * The including file names the kernels, CI_GROUPED(variant), and their tiles: GROUPED_PIXELS_W2, _W4, _W8
 * output pixels of one vector of channels; without the last there is no kernel for groups of 8. A tile holds
 * pixels * width sums, the input vectors of a tap and one weight vector: an input vector is loaded once for
 * `width` multiply-adds, a weight vector once for all pixels. The pixels of a tile follow one another through
 * rows, by a table of offsets, so that no width leaves a remainder in every row; where pixels run out, the
 * last one is computed again and not stored.
 */

enum {
    GROUPED_BLOCK = 16, /* channels that packed weights hold together */
    GROUPED_PIXELS =
        240, /* taken through all channels at a time: a multiple of every tile; their input fits the cache */
};

/* The lanes that turn d moves: lane o reads lane o - d of its group, going round. */
CI_INLINE vi grouped_turn(const int d, const int group) {
    int32_t lanes[VF_LANES];
    for (int32_t lane = 0; lane < VF_LANES; lane++)
        lanes[lane] = lane / group * group + (lane % group + group - d) % group;
    return vi_load(lanes);
}

/* Offsets of consecutive output pixels: of their windows, of where they are written, of what is added to
 * them. */
typedef struct {
    int64_t input[GROUPED_PIXELS], output[GROUPED_PIXELS], residual[GROUPED_PIXELS];
} grouped_pixels;

/* Fills in the table for `count` pixels from number `first` on, and repeats the last one's input up to
 * `filled`. */
CI_INLINE void grouped_pixels_from(grouped_pixels *table, const ci_grouped_f32_args *args, int64_t first,
                                   int32_t count, int32_t filled) {
    int64_t y = first / args->width, x = first % args->width;
    for (int32_t p = 0; p < count; p++) {
        table->input[p] = y * args->stride_y * args->input_row + x * args->stride_x * args->input_pixel;
        table->output[p] = y * args->output_row + x * args->output_pixel;
        table->residual[p] = y * args->residual_row + x * args->residual_pixel;
        if (++x == args->width) {
            x = 0;
            y++;
        }
    }
    for (int32_t p = count; p < filled; p++)
        table->input[p] = table->input[count - 1];
}

/* The first n channels from c on of the pixels `first` .. `first + pixels - 1` of the table; those before
 * `count` are stored. */
CI_INLINE void grouped_tile(const ci_grouped_f32_args *args, const vf_activation *activation,
                            const vi turns[], const grouped_pixels *table, int32_t first, int32_t count,
                            int32_t c, int32_t n, const int group, const int pixels) {
    const float *window[8];
    vf sum[8][8], total[8];
    const vf bias = vf_load(args->bias + c);
    CI_UNROLL
    for (int p = 0; p < pixels; p++) {
        window[p] = args->input + table->input[first + p] + c;
        sum[p][0] = bias;
        CI_UNROLL
        for (int d = 1; d < group; d++)
            sum[p][d] = vf_zero();
    }
    /* The next vector of channels is a cache line of its own in every pixel, beyond what the hardware
     * foresees. */
    const int64_t middle = args->kernel_height / 2 * args->dilation_y * args->input_row +
                           args->kernel_width / 2 * args->dilation_x * args->input_pixel;
    CI_UNROLL
    for (int p = 0; p < pixels; p++)
        CI_PREFETCH_L1(window[p] + middle + VF_LANES);
    const int64_t taps = (int64_t)args->kernel_height * args->kernel_width;
    const float *weights =
        args->weights + c / GROUPED_BLOCK * taps * group * GROUPED_BLOCK + c % GROUPED_BLOCK;
    for (int32_t i = 0; i < args->kernel_height; i++) {
        int64_t tap = i * args->dilation_y * args->input_row;
        for (int32_t j = 0; j < args->kernel_width; j++, tap += args->dilation_x * args->input_pixel) {
            vf input[8];
            CI_UNROLL
            for (int p = 0; p < pixels; p++)
                input[p] = n == VF_LANES ? vf_load(window[p] + tap) : vf_load_n(window[p] + tap, n);
            CI_UNROLL
            for (int d = 0; d < group; d++) {
                const vf weight = vf_load(weights);
                weights += GROUPED_BLOCK;
                CI_UNROLL
                for (int p = 0; p < pixels; p++)
                    sum[p][d] = vf_fma(input[p], weight, sum[p][d]);
            }
        }
    }
    CI_UNROLL
    for (int p = 0; p < pixels; p++) {
        total[p] = sum[p][0];
        CI_UNROLL
        for (int d = 1; d < group; d++)
            total[p] = vf_add(total[p], vf_permute(sum[p][d], turns[d]));
    }
    if (args->residual) {
        CI_UNROLL
        for (int p = 0; p < pixels; p++) {
            if (first + p >= count)
                break;
            const float *residual = args->residual + table->residual[first + p] + c;
            total[p] = vf_add(total[p], n == VF_LANES ? vf_load(residual) : vf_load_n(residual, n));
        }
    }
    vf_activate_all(total, pixels, activation);
    CI_UNROLL
    for (int p = 0; p < pixels; p++) {
        if (first + p >= count)
            break;
        float *output = args->output + table->output[first + p] + c;
        if (n == VF_LANES)
            vf_store(output, total[p]);
        else
            vf_store_n(output, total[p], n);
    }
}

CI_INLINE void grouped(const ci_grouped_f32_args *args, const int group, const int pixels) {
    /* A copy that no store to the output can change may stay in registers. */
    const ci_grouped_f32_args copy = *args;
    const vf_activation activation = vf_activation_of(&copy.activation);
    vi turns[8];
    CI_UNROLL
    for (int d = 1; d < group; d++)
        turns[d] = grouped_turn(d, group);
    const int64_t all = (int64_t)copy.rows * copy.width;
    for (int64_t start = 0; start < all; start += GROUPED_PIXELS) {
        const int32_t count = (int32_t)(all - start < GROUPED_PIXELS ? all - start : GROUPED_PIXELS);
        grouped_pixels table;
        grouped_pixels_from(&table, &copy, start, count, (count + pixels - 1) / pixels * pixels);
        for (int32_t c = 0; c < copy.channels; c += VF_LANES) {
            const int32_t n = copy.channels - c;
            if (n >= VF_LANES) {
                for (int32_t p = 0; p < count; p += pixels)
                    grouped_tile(&copy, &activation, turns, &table, p, count, c, VF_LANES, group, pixels);
            } else {
                for (int32_t p = 0; p < count; p += pixels)
                    grouped_tile(&copy, &activation, turns, &table, p, count, c, n, group, pixels);
            }
        }
    }
}

void CI_GROUPED(w2)(const ci_grouped_f32_args *args) {
    grouped(args, 2, GROUPED_PIXELS_W2);
}

void CI_GROUPED(w4)(const ci_grouped_f32_args *args) {
    grouped(args, 4, GROUPED_PIXELS_W4);
}

#ifdef GROUPED_PIXELS_W8
void CI_GROUPED(w8)(const ci_grouped_f32_args *args) {
    grouped(args, 8, GROUPED_PIXELS_W8);
}
#endif
