/* The transformations of float32 Winograd convolution (ci_winograd_input_f32_args in
 * conv_infer/microkernel.h), written in the vector vocabulary: a vector of channels of one tile at a time.
 *
 * Numerics: sums of at most four terms, each element's by itself: what a tile gives does not depend on the
 * others.
 */

/* The function's own loads and stores: of whole vectors, or of the first n channels. */
CI_INLINE vf winograd_load(const float *from, int32_t n) {
    return n == VF_LANES ? vf_load(from) : vf_load_n(from, n);
}

CI_INLINE void winograd_store(float *to, vf x, int32_t n) {
    if (n == VF_LANES)
        vf_store(to, x);
    else
        vf_store_n(to, x, n);
}

CI_INLINE void winograd_patch(const ci_winograd_input_f32_args *args, const float *input, float *patch,
                              int32_t n) {
    vf column[4][4];
    CI_UNROLL
    for (int j = 0; j < 4; j++) {
        vf d[4];
        CI_UNROLL
        for (int i = 0; i < 4; i++)
            d[i] = winograd_load(input + i * args->input_row + j * args->input_pixel, n);
        column[0][j] = vf_sub(d[0], d[2]);
        column[1][j] = vf_add(d[1], d[2]);
        column[2][j] = vf_sub(d[2], d[1]);
        column[3][j] = vf_sub(d[1], d[3]);
    }
    CI_UNROLL
    for (int i = 0; i < 4; i++) {
        const vf *d = column[i];
        float *row = patch + 4 * i * args->patch_position;
        winograd_store(row, vf_sub(d[0], d[2]), n);
        winograd_store(row + args->patch_position, vf_add(d[1], d[2]), n);
        winograd_store(row + 2 * args->patch_position, vf_sub(d[2], d[1]), n);
        winograd_store(row + 3 * args->patch_position, vf_sub(d[1], d[3]), n);
    }
}

void CI_WINOGRAD(input)(const ci_winograd_input_f32_args *arguments) {
    const ci_winograd_input_f32_args args = *arguments; /* a copy that no store can change */
    for (int32_t tile = 0; tile < args.tiles; tile++) {
        const float *input = args.input + args.input_tile[tile];
        float *patch = args.patches + tile * args.patch_tile;
        int32_t c = 0;
        for (; c + VF_LANES <= args.channels; c += VF_LANES)
            winograd_patch(&args, input + c, patch + c, VF_LANES);
        if (c < args.channels)
            winograd_patch(&args, input + c, patch + c, args.channels - c);
    }
}

CI_INLINE void winograd_outputs(const ci_winograd_output_f32_args *args, const vf_activation *activation,
                                int32_t tile, int32_t column, int32_t n) {
    const float *product = args->products + tile * args->product_tile + column;
    vf upper[4], lower[4], sum[4];
    CI_UNROLL
    for (int j = 0; j < 4; j++) {
        vf m[4];
        CI_UNROLL
        for (int i = 0; i < 4; i++)
            m[i] = winograd_load(product + (4 * i + j) * args->product_position, n);
        upper[j] = vf_add(vf_add(m[0], m[1]), m[2]);
        lower[j] = vf_sub(vf_sub(m[1], m[2]), m[3]);
    }
    const vf bias = winograd_load(args->bias + column, n);
    sum[0] = vf_add(bias, vf_add(vf_add(upper[0], upper[1]), upper[2]));
    sum[1] = vf_add(bias, vf_sub(vf_sub(upper[1], upper[2]), upper[3]));
    sum[2] = vf_add(bias, vf_add(vf_add(lower[0], lower[1]), lower[2]));
    sum[3] = vf_add(bias, vf_sub(vf_sub(lower[1], lower[2]), lower[3]));
    const int stored = args->stored[tile];
    if (args->residual) {
        const float *residual = args->residual + args->residual_tile[tile] + column;
        CI_UNROLL
        for (int o = 0; o < 4; o++) {
            if (stored >> o & 1)
                sum[o] = vf_add(
                    sum[o],
                    winograd_load(residual + o / 2 * args->residual_row + o % 2 * args->residual_pixel, n));
        }
    }
    vf_activate_all(sum, 4, activation);
    float *output = args->output + args->output_tile[tile] + column;
    CI_UNROLL
    for (int o = 0; o < 4; o++) {
        if (stored >> o & 1)
            winograd_store(output + o / 2 * args->output_row + o % 2 * args->output_pixel, sum[o], n);
    }
}

void CI_WINOGRAD(output)(const ci_winograd_output_f32_args *arguments) {
    const ci_winograd_output_f32_args args = *arguments;
    const vf_activation activation = vf_activation_of(&args.activation);
    for (int32_t tile = 0; tile < args.tiles; tile++) {
        int32_t n = 0;
        for (; n + VF_LANES <= args.columns; n += VF_LANES)
            winograd_outputs(&args, &activation, tile, n, VF_LANES);
        if (n < args.columns)
            winograd_outputs(&args, &activation, tile, n, args.columns - n);
    }
}
