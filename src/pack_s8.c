/* Packing of int8 GEMM weights into panels. */
#include "conv_infer/pack_s8.h"

#include <string.h>

#include "layout_s8.h"

enum { PANEL_ALIGNMENT = 64, MAX_DEPTH = INT32_MAX / 512 };

static int32_t k_step(const ci_gemm_shape_s8 *shape) {
    return shape->kernel->k_step;
}

static int32_t run_length(const ci_gemm_shape_s8 *shape, int32_t run) {
    return shape->run_length[shape->runs_alike ? 0 : run];
}

static int64_t panel_bytes(const ci_gemm_shape_s8 *shape, const ci_layout_s8 *layout, int64_t k_blocks,
                           int64_t width) {
    return ci_round_up(k_blocks * k_step(shape) * width * (layout->is_wide ? 2 : 1), PANEL_ALIGNMENT);
}

/* Vectors of columns are dealt out evenly: the first `wide_panels` panels have one more than the rest. */
typedef struct {
    int32_t lanes, vectors, wide_panels;
} split;

static split split_of(const ci_gemm_shape_s8 *shape, const ci_layout_s8 *layout, int32_t panels) {
    const int32_t vectors = (int32_t)(ci_round_up(shape->columns, layout->lanes) / layout->lanes);
    return (split){layout->lanes, vectors / panels, vectors % panels};
}

ci_status ci_pack_s8_measure(const ci_gemm_shape_s8 *shape, ci_gemm_size_s8 *size) {
    if (!shape->kernel || shape->kernel->operation != CI_OPERATION_gemm_s8 || shape->columns < 1 ||
        shape->runs < 1 || shape->panel_columns < 0)
        return CI_ERROR_ARGUMENT;
    const ci_layout_s8 layout = ci_layout_s8_of(shape->kernel->isa);
    int64_t depth = 0, blocks = 0;
    for (int32_t run = 0; run < shape->runs; run++) {
        if (run_length(shape, run) < 1)
            return CI_ERROR_ARGUMENT;
        depth += run_length(shape, run);
        blocks += ci_round_up(run_length(shape, run), k_step(shape)) / k_step(shape);
        if (depth > MAX_DEPTH)
            return CI_ERROR_OVERFLOW;
    }
    int32_t most = shape->kernel->nr;
    if (shape->panel_columns && shape->panel_columns < most)
        most = shape->panel_columns;
    const int64_t width = ci_round_up(shape->columns, layout.lanes);
    const int64_t most_vectors = most < layout.lanes ? 1 : most / layout.lanes;
    const int64_t panels = ci_round_up(width / layout.lanes, most_vectors) / most_vectors;
    if (width > INT32_MAX / 64 || blocks * k_step(shape) > INT64_MAX / (4 * width))
        return CI_ERROR_OVERFLOW;
    *size = (ci_gemm_size_s8){.depth = (int32_t)depth,
                              .k_blocks = (int32_t)blocks,
                              .panels = (int32_t)panels,
                              .padded_columns = (int32_t)width};
    const split cut = split_of(shape, &layout, size->panels);
    const int64_t wide = panel_bytes(shape, &layout, blocks, (int64_t)(cut.vectors + 1) * layout.lanes);
    const int64_t narrow = panel_bytes(shape, &layout, blocks, (int64_t)cut.vectors * layout.lanes);
    size->weight_bytes = cut.wide_panels * wide + (panels - cut.wide_panels) * narrow;
    return CI_OK;
}

ci_gemm_panel_s8 ci_pack_s8_panel(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size, int32_t index) {
    const ci_layout_s8 layout = ci_layout_s8_of(shape->kernel->isa);
    const split cut = split_of(shape, &layout, size->panels);
    const int32_t wide_before = index < cut.wide_panels ? index : cut.wide_panels;
    const int32_t first = (index * cut.vectors + wide_before) * cut.lanes;
    const int32_t width = (cut.vectors + (index < cut.wide_panels)) * cut.lanes;
    const int64_t wide = panel_bytes(shape, &layout, size->k_blocks, (int64_t)(cut.vectors + 1) * cut.lanes);
    const int64_t narrow = panel_bytes(shape, &layout, size->k_blocks, (int64_t)cut.vectors * cut.lanes);
    return (ci_gemm_panel_s8){
        .first_column = first,
        .columns = shape->columns - first < width ? shape->columns - first : width,
        .weight_offset = wide_before * wide + (index - wide_before) * narrow,
    };
}

void ci_pack_s8_depth(const ci_gemm_shape_s8 *shape, const int32_t *run_offset, int32_t *a_depth) {
    for (int32_t run = 0; run < shape->runs; run++) {
        for (int32_t byte = 0; byte < run_length(shape, run); byte += k_step(shape))
            *a_depth++ = run_offset[run] + byte;
    }
}

int32_t ci_pack_s8_needs_sums(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size,
                              const ci_weights_s8 *weights) {
    if (ci_layout_s8_of(shape->kernel->isa).is_wide || (!weights->zero_point && !weights->is_unsigned))
        return 0;
    for (int32_t n = 0; n < shape->columns; n++) {
        const int32_t zero = ci_zero_point_at_s8(weights, n);
        for (int32_t k = 0; k < size->depth; k++) {
            const int32_t difference = ci_weight_at_s8(weights, n, k) - zero;
            if (difference < -128 || difference > 127)
                return 1;
        }
    }
    return 0;
}

/* What is taken off the weights of column n when they are stored. */
static int32_t subtrahend(const ci_weights_s8 *weights, int32_t n, int32_t fits) {
    return fits ? ci_zero_point_at_s8(weights, n) : weights->is_unsigned ? 128 : 0;
}

/* Writes four consecutive weights of a column; `group` counts fours of depth from the panel's start. */
static void put_four(const ci_layout_s8 *layout, int64_t width, int64_t group, int32_t column,
                     const int16_t *four, void *packed) {
    if (layout->is_wide) {
        int16_t *even = (int16_t *)packed + (group * 2 * width + column) * 2, *odd = even + width * 2;
        even[0] = four[0], even[1] = four[2];
        odd[0] = four[1], odd[1] = four[3];
        return;
    }
    const int64_t fours = layout->fours + 1;
    int64_t at = (group / fours * width + column) * 4 * fours + group % fours * 4;
    if (layout->tile_blocks) /* 16 fours to a block of 64; 16 columns to a tile */
        at = (group / 16 * width + column / 16 * 16) * 64 + group % 16 * 64 + column % 16 * 4;
    const int8_t bytes[4] = {(int8_t)four[0], (int8_t)four[1], (int8_t)four[2], (int8_t)four[3]};
    memcpy((int8_t *)packed + at, bytes, 4);
}

static void pack_column(const ci_gemm_shape_s8 *shape, const ci_layout_s8 *layout, int64_t width,
                        int32_t column, const ci_weights_s8 *weights, int32_t n, int32_t less, void *packed) {
    const int32_t fours = k_step(shape) / 4;
    int32_t k = 0;
    int64_t group = 0;
    for (int32_t run = 0; run < shape->runs; run++) {
        const int32_t length = run_length(shape, run);
        for (int32_t byte = 0; byte < length; byte += 4, group++) {
            int16_t four[4] = {0, 0, 0, 0};
            for (int32_t j = 0; j < 4 && byte + j < length; j++)
                four[j] = (int16_t)(ci_weight_at_s8(weights, n, k++) - less);
            put_four(layout, width, group, column, four, packed);
        }
        group = ci_round_up(group, fours);
    }
}

void ci_pack_s8_weights(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size,
                        const ci_weights_s8 *weights, void *packed, int32_t *needs_sums) {
    const ci_layout_s8 layout = ci_layout_s8_of(shape->kernel->isa);
    const int32_t fits = !ci_pack_s8_needs_sums(shape, size, weights);
    *needs_sums = !fits;
    memset(packed, 0, (size_t)size->weight_bytes);
    for (int32_t index = 0; index < size->panels; index++) {
        const ci_gemm_panel_s8 panel = ci_pack_s8_panel(shape, size, index);
        const int64_t width = ci_round_up(panel.columns, layout.lanes);
        for (int32_t column = 0; column < panel.columns; column++) {
            const int32_t n = panel.first_column + column;
            pack_column(shape, &layout, width, column, weights, n, subtrahend(weights, n, fits),
                        (char *)packed + panel.weight_offset);
        }
    }
}

void ci_pack_s8_zero_points(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size,
                            const ci_weights_s8 *weights, int32_t *b_zero) {
    for (int32_t n = 0; n < size->padded_columns; n++)
        b_zero[n] =
            n < shape->columns ? ci_zero_point_at_s8(weights, n) - (weights->is_unsigned ? 128 : 0) : 0;
}

void ci_sum_range_add_column(ci_sum_range_s8 *range, int32_t depth, const ci_weights_s8 *weights, int32_t n,
                             int32_t a_zero) {
    int32_t positive = 0, negative = 0;
    const int32_t zero = ci_zero_point_at_s8(weights, n);
    if (weights->is_unsigned || weights->depth_offset) {
        for (int32_t k = 0; k < depth; k++) {
            const int32_t value = ci_weight_at_s8(weights, n, k) - zero;
            positive += value > 0 ? value : 0;
            negative += value < 0 ? value : 0;
        }
    } else { /* the common case, in a loop that compilers vectorise */
        const int8_t *column = (const int8_t *)weights->data + n * weights->column_stride;
        for (int32_t k = 0; k < depth; k++) {
            const int32_t value = column[k] - zero;
            positive += value > 0 ? value : 0;
            negative += value < 0 ? value : 0;
        }
    }
    ci_sum_range_add(range, positive, negative, a_zero);
}

/* Of column n, the sum of `count` weights from k on. */
static int32_t sum_of_weights(const ci_weights_s8 *weights, int32_t n, int32_t k, int32_t count) {
    int32_t sum = 0;
    if (weights->is_unsigned || weights->depth_offset) {
        for (int32_t i = 0; i < count; i++)
            sum += ci_weight_at_s8(weights, n, k + i);
    } else { /* the common case, in a loop that compilers vectorise */
        const int8_t *from = (const int8_t *)weights->data + n * weights->column_stride + k;
        for (int32_t i = 0; i < count; i++)
            sum += from[i];
    }
    return sum;
}

/* What the sum of column n lacks because the kernel takes origins off the bytes of A; modulo 2^32. */
static uint32_t origins_share(const ci_gemm_shape_s8 *shape, const ci_layout_s8 *layout,
                              const ci_weights_s8 *weights, int32_t n, int32_t less) {
    uint32_t share = 0;
    int32_t k = 0;
    for (int32_t run = 0; run < shape->runs; run++) {
        const int32_t length = run_length(shape, run);
        const int32_t step = layout->origin == layout->odd_origin ? length : 8;
        for (int32_t byte = 0; byte < length; byte += step) {
            const int32_t count = length - byte < step ? length - byte : step;
            const int32_t origin = byte & 8 ? layout->odd_origin : layout->origin;
            share += (uint32_t)origin * (uint32_t)(sum_of_weights(weights, n, k, count) - less * count);
            k += count;
        }
    }
    return share;
}

ci_status ci_pack_s8_bias(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size,
                          const ci_weights_s8 *weights, int32_t a_zero, const int32_t *bias,
                          int32_t *folded) {
    const ci_layout_s8 layout = ci_layout_s8_of(shape->kernel->isa);
    const int32_t fits = !layout.origin || !ci_pack_s8_needs_sums(shape, size, weights);
    for (int32_t n = 0; n < size->padded_columns; n++) {
        const int32_t is_column = n < shape->columns;
        ci_sum_range_s8 range = {.bias = bias && is_column ? bias[n] : 0};
        if (is_column)
            ci_sum_range_add_column(&range, size->depth, weights, n, a_zero);
        if (!ci_sum_range_fits(&range))
            return CI_ERROR_OVERFLOW;
        uint32_t share = 0;
        if (is_column && layout.origin)
            share = origins_share(shape, &layout, weights, n, subtrahend(weights, n, fits));
        folded[n] = (int32_t)((uint32_t)range.bias + share);
    }
    return CI_OK;
}

void ci_pack_s8_columns(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size, const void *values,
                        void *padded) {
    memset(padded, 0, 4 * (size_t)size->padded_columns);
    memcpy(padded, values, 4 * (size_t)shape->columns);
}
