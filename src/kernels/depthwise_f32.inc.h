/* float32 depthwise convolution, vectorised over channels; the body of every instruction set.
 *
 * The including file names the kernels: CI_DEPTHWISE(variant). A block is VF_LANES channels. Three forms:
 *
 *   slide   3x3 stride 1. Two output rows at a time; the columns of the window that the next output shares
 *           stay in registers, so that an output pixel of both rows costs four loads. 9 weights, 8 inputs, 4
 *           sums.
 *   tile    Other square kernels of a compile-time size: two output rows x up to four columns of sums; an
 *           input vector is loaded once for all the sums of its row that it enters.
 *   any     Any geometry: four columns of sums, taps in loops.
 *
 * Channels past the last full vector: a block that ends with the last channel, overlapping the one before.
 * Where that would read a residual already overwritten, or where there are fewer channels than lanes, a
 * partial block (any).
 */

enum {
    DEPTHWISE_COLUMNS = 4,
    DEPTHWISE_STRIP_BYTES =
        16384, /* of input that a strip of rows reads per block: it stays in the first-level cache */
};

/* Adds the residual, applies the activation, and stores channels c .. c + n - 1 of `count` output pixels. */
CI_INLINE void depthwise_finish(const ci_depthwise_f32_args *args, const vf_activation *activation, vf sum[],
                                const int count, int32_t y, int32_t x, int32_t c, int32_t n) {
    if (args->residual) {
        const float *residual = args->residual + y * args->residual_row + x * args->residual_pixel + c;
        CI_UNROLL
        for (int k = 0; k < count; k++, residual += args->residual_pixel)
            sum[k] = vf_add(sum[k], n == VF_LANES ? vf_load(residual) : vf_load_n(residual, n));
    }
    vf_activate_all(sum, count, activation);
    float *output = args->output + y * args->output_row + x * args->output_pixel + c;
    CI_UNROLL
    for (int k = 0; k < count; k++, output += args->output_pixel) {
        if (n == VF_LANES)
            vf_store(output, sum[k]);
        else
            vf_store_n(output, sum[k], n);
    }
}

/* What the rows of a block that slides share. */
typedef struct {
    vf weights[9], bias;
} depthwise_taps;

/* One column of `rows` output pixels, whose window has the columns left, middle, and right, which is loaded
 * here.
 */
CI_INLINE void depthwise_slide_column(const ci_depthwise_f32_args *args, const vf_activation *activation,
                                      const depthwise_taps *taps, const float *input, const vf left[4],
                                      const vf middle[4], vf right[4], int32_t y, int32_t x, int32_t c,
                                      const int rows, const int is_plain) {
    CI_UNROLL
    for (int i = 0; i < rows + 2; i++)
        right[i] = vf_load(input + i * args->input_row);
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        /* Two sums: one chain of nine would wait for itself. */
        vf sum = taps->bias, other = vf_mul(middle[r], taps->weights[1]);
        CI_UNROLL
        for (int i = 0; i < 3; i++) {
            sum = vf_fma(left[r + i], taps->weights[3 * i], sum);
            if (i > 0)
                other = vf_fma(middle[r + i], taps->weights[3 * i + 1], other);
            other = vf_fma(right[r + i], taps->weights[3 * i + 2], other);
        }
        sum = vf_add(sum, other);
        if (is_plain)
            vf_store(args->output + (y + r) * args->output_row + x * args->output_pixel + c,
                     vf_clamp(sum, activation->alpha, activation->beta));
        else
            depthwise_finish(args, activation, &sum, 1, y + r, x, c, VF_LANES);
    }
}

CI_INLINE void depthwise_slide_rows(const ci_depthwise_f32_args *args, const vf_activation *activation,
                                    const depthwise_taps *taps, int32_t y, int32_t c, const int rows,
                                    const int is_plain) {
    const float *input = args->input + y * args->input_row + c;
    const int64_t pixel = args->input_pixel;
    vf column[3][4];
    CI_UNROLL
    for (int i = 0; i < rows + 2; i++) {
        column[0][i] = vf_load(input + i * args->input_row);
        column[1][i] = vf_load(input + i * args->input_row + pixel);
    }
    input += 2 * pixel;
    int32_t x = 0;
    for (; x + 3 <= args->width; x += 3, input += 3 * pixel) {
        CI_UNROLL
        for (int k = 0; k < 3; k++)
            depthwise_slide_column(args, activation, taps, input + k * pixel, column[k], column[(k + 1) % 3],
                                   column[(k + 2) % 3], y, x + k, c, rows, is_plain);
    }
    if (x < args->width) {
        depthwise_slide_column(args, activation, taps, input, column[0], column[1], column[2], y, x, c, rows,
                               is_plain);
        x++;
    }
    if (x < args->width)
        depthwise_slide_column(args, activation, taps, input + pixel, column[1], column[2], column[0], y, x,
                               c, rows, is_plain);
}

CI_INLINE void depthwise_slide(const ci_depthwise_f32_args *args, const vf_activation *activation, int32_t y,
                               int32_t end, int32_t c, const int is_plain) {
    depthwise_taps taps;
    CI_UNROLL
    for (int tap = 0; tap < 9; tap++)
        taps.weights[tap] = vf_load(args->weights + tap * args->weights_row + c);
    taps.bias = vf_load(args->bias + c);
    for (; y + 2 <= end; y += 2)
        depthwise_slide_rows(args, activation, &taps, y, c, 2, is_plain);
    if (y < end)
        depthwise_slide_rows(args, activation, &taps, y, c, 1, is_plain);
}

CI_INLINE void depthwise_tile(const ci_depthwise_f32_args *args, const vf_activation *activation, int32_t y,
                              int32_t x, int32_t c, const int kernel, const int stride, const int rows,
                              const int columns) {
    const float *input = args->input + y * stride * args->input_row + x * stride * args->input_pixel + c;
    const vf bias = vf_load(args->bias + c);
    vf sum[2][DEPTHWISE_COLUMNS], pixel[2 * (DEPTHWISE_COLUMNS - 1) + 5];
    CI_UNROLL
    for (int r = 0; r < rows; r++) {
        CI_UNROLL
        for (int k = 0; k < columns; k++)
            sum[r][k] = bias;
    }
    CI_UNROLL
    for (int i = 0; i < (rows - 1) * stride + kernel; i++, input += args->input_row) {
        CI_UNROLL
        for (int j = 0; j < (columns - 1) * stride + kernel; j++)
            pixel[j] = vf_load(input + j * args->input_pixel);
        CI_UNROLL
        for (int r = 0; r < rows; r++) {
            const int tap_row = i - r * stride;
            if (tap_row < 0 || tap_row >= kernel)
                continue;
            CI_UNROLL
            for (int j = 0; j < kernel; j++) {
                const vf weight = vf_load(args->weights + (tap_row * kernel + j) * args->weights_row + c);
                CI_UNROLL
                for (int k = 0; k < columns; k++)
                    sum[r][k] = vf_fma(pixel[k * stride + j], weight, sum[r][k]);
            }
        }
    }
    CI_UNROLL
    for (int r = 0; r < rows; r++)
        depthwise_finish(args, activation, sum[r], columns, y + r, x, c, VF_LANES);
}

CI_INLINE void depthwise_tile_rows(const ci_depthwise_f32_args *args, const vf_activation *activation,
                                   int32_t y, int32_t c, const int kernel, const int stride, const int rows) {
    int32_t x = 0;
    for (; x + 4 <= args->width; x += 4)
        depthwise_tile(args, activation, y, x, c, kernel, stride, rows, 4);
    if (x + 2 <= args->width) {
        depthwise_tile(args, activation, y, x, c, kernel, stride, rows, 2);
        x += 2;
    }
    if (x < args->width)
        depthwise_tile(args, activation, y, x, c, kernel, stride, rows, 1);
}

CI_INLINE void depthwise_tiles(const ci_depthwise_f32_args *args, const vf_activation *activation, int32_t y,
                               int32_t end, int32_t c, const int kernel, const int stride) {
    for (; y + 2 <= end; y += 2)
        depthwise_tile_rows(args, activation, y, c, kernel, stride, 2);
    if (y < end)
        depthwise_tile_rows(args, activation, y, c, kernel, stride, 1);
}

/* Channels c .. c + n - 1 of `columns` output pixels. `lanes`, where not NULL, says which of the input
 * channels loaded (from that of channel c on, `inputs` of them) each output channel reads: there is a channel
 * multiplier. */
CI_INLINE void depthwise_any_columns(const ci_depthwise_f32_args *args, const vf_activation *activation,
                                     int32_t y, int32_t x, int32_t c, int32_t n, const vi *lanes,
                                     int32_t inputs, const int columns) {
    const int64_t step = args->stride_x * args->input_pixel;
    const float *input = args->input + y * args->stride_y * args->input_row + x * step + c / args->multiplier;
    const float *weights = args->weights + c;
    vf sum[DEPTHWISE_COLUMNS];
    CI_UNROLL
    for (int k = 0; k < columns; k++)
        sum[k] = vf_load(args->bias + c);
    for (int32_t i = 0; i < args->kernel_height; i++, input += args->dilation_y * args->input_row) {
        const float *pixel = input;
        for (int32_t j = 0; j < args->kernel_width; j++, pixel += args->dilation_x * args->input_pixel) {
            const vf weight = vf_load(weights);
            weights += args->weights_row;
            CI_UNROLL
            for (int k = 0; k < columns; k++) {
                const float *from = pixel + k * step;
                if (lanes)
                    sum[k] = vf_fma(vf_permute(vf_load_n(from, inputs), *lanes), weight, sum[k]);
                else
                    sum[k] = vf_fma(n == VF_LANES ? vf_load(from) : vf_load_n(from, n), weight, sum[k]);
            }
        }
    }
    depthwise_finish(args, activation, sum, columns, y, x, c, n);
}

CI_INLINE void depthwise_any(const ci_depthwise_f32_args *args, const vf_activation *activation, int32_t y,
                             int32_t end, int32_t c, int32_t n, const vi *lanes, int32_t inputs) {
    for (; y < end; y++) {
        int32_t x = 0;
        for (; x + DEPTHWISE_COLUMNS <= args->width; x += DEPTHWISE_COLUMNS)
            depthwise_any_columns(args, activation, y, x, c, n, lanes, inputs, DEPTHWISE_COLUMNS);
        for (; x < args->width; x++)
            depthwise_any_columns(args, activation, y, x, c, n, lanes, inputs, 1);
    }
}

CI_INLINE void depthwise_block(const ci_depthwise_f32_args *args, const vf_activation *activation, int32_t y,
                               int32_t end, int32_t c, const int kernel, const int stride) {
    if (kernel == 3 && stride == 1) {
        if (activation->kind == CI_ACTIVATION_CLAMP && !args->residual)
            depthwise_slide(args, activation, y, end, c, 1);
        else
            depthwise_slide(args, activation, y, end, c, 0);
    } else if (kernel > 0)
        depthwise_tiles(args, activation, y, end, c, kernel, stride);
    else
        depthwise_any(args, activation, y, end, c, VF_LANES, NULL, 0);
}

static CI_NOINLINE void depthwise_partial(const ci_depthwise_f32_args *args, int32_t y, int32_t end,
                                          int32_t c, int32_t n) {
    const vf_activation activation = vf_activation_of(&args->activation);
    depthwise_any(args, &activation, y, end, c, n, NULL, 0);
}

static CI_NOINLINE void depthwise_multiplied(const ci_depthwise_f32_args *args) {
    const vf_activation activation = vf_activation_of(&args->activation);
    const int32_t multiplier = args->multiplier;
    for (int32_t c = 0; c < args->channels; c += VF_LANES) {
        const int32_t n = args->channels - c < VF_LANES ? args->channels - c : VF_LANES;
        int32_t lane[VF_LANES] = {0};
        for (int32_t k = 0; k < n; k++)
            lane[k] = (c + k) / multiplier - c / multiplier;
        const vi lanes = vi_load(lane);
        depthwise_any(args, &activation, 0, args->rows, c, n, &lanes, lane[n - 1] + 1);
    }
}

/* kernel == 0: any geometry. */
CI_INLINE void depthwise(const ci_depthwise_f32_args *args, const int kernel, const int stride) {
    /* A copy that no store to the output can change stays in registers; tiles leave none for it. */
    const ci_depthwise_f32_args copy = *args;
    const int tiles = kernel > 0 && !(kernel == 3 && stride == 1);
    const vf_activation activation = vf_activation_of(&copy.activation);
    const int64_t step_x = copy.stride_x < 8 ? copy.stride_x : 8,
                  step_y = copy.stride_y < 8 ? copy.stride_y : 8;
    const int64_t row_bytes = step_y * step_x * copy.width * VF_LANES * (int64_t)sizeof(float);
    const int64_t fitting = DEPTHWISE_STRIP_BYTES / row_bytes & ~(int64_t)1;
    const int32_t strip = fitting < 2 ? 2 : fitting < copy.rows ? (int32_t)fitting : copy.rows;
    const int overlaps = copy.channels >= VF_LANES && !copy.residual;
    for (int32_t y = 0; y < copy.rows; y += strip) {
        const int32_t end = copy.rows - y < strip ? copy.rows : y + strip;
        for (int32_t c = 0; c < copy.channels; c += VF_LANES) {
            const int32_t left = copy.channels - c;
            if (left >= VF_LANES || overlaps)
                depthwise_block(tiles ? args : &copy, &activation, y, end,
                                left >= VF_LANES ? c : copy.channels - VF_LANES, kernel, stride);
            else
                depthwise_partial(args, y, end, c, left);
        }
    }
}

void CI_DEPTHWISE(any)(const ci_depthwise_f32_args *args) {
    if (args->multiplier == 1)
        depthwise(args, 0, 0);
    else
        depthwise_multiplied(args);
}

void CI_DEPTHWISE(3x3s1)(const ci_depthwise_f32_args *args) {
    depthwise(args, 3, 1);
}

void CI_DEPTHWISE(3x3s2)(const ci_depthwise_f32_args *args) {
    depthwise(args, 3, 2);
}

void CI_DEPTHWISE(5x5s1)(const ci_depthwise_f32_args *args) {
    depthwise(args, 5, 1);
}

void CI_DEPTHWISE(5x5s2)(const ci_depthwise_f32_args *args) {
    depthwise(args, 5, 2);
}
