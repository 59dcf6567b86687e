/* int8 convolution by any form of lowering, with CMSIS-NN's parameters. */
#include <string.h>

#include "conv_infer/conv2d.h"
#include "conv_infer/pack_s8.h"
#include "layout_s8.h"
#include "lowered_conv_s8.h"
#include "two_patch_s8.h"

enum { ALIGNMENT = 64, SIGN = 0x80, LARGEST = INT32_MAX / 2 };

/* Everything that the arguments decide. Offsets are into the scratch memory. */
typedef struct {
    const ci_convolve_s8_args *args;
    ci_lowering plan;
    int32_t channels, columns; /* of a group */
    int32_t is_pair;           /* two patches in int16, without a packed kernel */
    int32_t is_by_taps;        /* indirect: a product for each tap, their sums added */
    int32_t parts;             /* so many products */
    int32_t inner_is_y;        /* depth goes through the kernel column by column */
    int32_t run_length;
    ci_gemm_shape_s8 shape; /* of one part; points to run_length */
    ci_gemm_size_s8 size;
    int32_t block_rows;                       /* so many rows of A pass over all panels before the next do */
    int64_t weights, bias, multiplier, shift; /* group after group, part after part */
    int64_t run_offset, depth_offset, a_depth, a_row, c_row, sums, partial, buffer, buffer_bytes, total;
} conv;

static int64_t take(int64_t *total, int64_t bytes) {
    const int64_t at = *total;
    *total += ci_round_up(bytes, ALIGNMENT);
    return at;
}

static char *aligned(void *scratch) {
    return (char *)scratch + (ALIGNMENT - (uintptr_t)scratch % ALIGNMENT) % ALIGNMENT;
}

/* The padding that so many outputs ask for behind the image; -1 where that is too much. */
static int32_t padding_after(int32_t size, int32_t before, int32_t taps, int32_t stride, int32_t dilation,
                             int32_t outputs) {
    const int64_t reach = (int64_t)(outputs - 1) * stride + (int64_t)(taps - 1) * dilation + 1;
    const int64_t missing = reach - before - size;
    return missing > LARGEST ? -1 : missing > 0 ? (int32_t)missing : 0;
}

static ci_status plan_lowering(const ci_conv2d_s8_args *args, conv *c) {
    const ci_convolve_s8_args *a = c->args;
    const ci_window window = {
        .kernel_height = a->filter_height,
        .kernel_width = a->filter_width,
        .stride_y = a->stride_y,
        .stride_x = a->stride_x,
        .dilation_y = a->dilation_y,
        .dilation_x = a->dilation_x,
        .pad_top = a->pad_y,
        .pad_left = a->pad_x,
        .pad_bottom = padding_after(a->input_height, a->pad_y, a->filter_height, a->stride_y, a->dilation_y,
                                    a->output_height),
        .pad_right = padding_after(a->input_width, a->pad_x, a->filter_width, a->stride_x, a->dilation_x,
                                   a->output_width),
    };
    ci_status status = ci_lowering_plan(args->form, a->input_height, a->input_width, c->channels, &window,
                                        args->strip, CI_FRAME_ALWAYS, &c->plan);
    /* There may be more windows than were asked for. */
    return status == CI_OK ? ci_lowering_narrow(&c->plan, 0, a->output_height, a->output_width) : status;
}

/* From one tap to the next in the buffer, as ci_lowering_fill() will say. */
static void tap_steps(const ci_lowering *plan, int64_t *step_y, int64_t *step_x) {
    const int64_t channels = plan->channels;
    *step_y = plan->kernel_width * channels;
    *step_x = channels;
    switch (plan->form) {
    case CI_LOWERING_MEC:
        *step_y *= plan->y.dilation;
        break;
    case CI_LOWERING_REUSABLE:
        *step_y = plan->y.dilation * plan->reusable.line;
        *step_x = plan->x.dilation * channels;
        break;
    case CI_LOWERING_REUSABLE_ROWS:
        *step_y = plan->y.dilation * channels;
        *step_x = plan->x.dilation * plan->reusable.line;
        break;
    case CI_LOWERING_IN_PLACE:
        *step_y = plan->y.dilation * plan->x.reach * channels;
        *step_x = plan->x.dilation * channels;
        break;
    default:
        break;
    }
}

/* Sums do not depend on their order, so depth goes through the buffer in as few runs as can be. */
static void cut_depth(conv *c) {
    const ci_lowering *plan = &c->plan;
    int64_t step_y, step_x;
    tap_steps(plan, &step_y, &step_x);
    c->inner_is_y = step_y < step_x;
    const int32_t inner = c->inner_is_y ? plan->kernel_height : plan->kernel_width;
    const int32_t outer = c->inner_is_y ? plan->kernel_width : plan->kernel_height;
    const int64_t inner_step = c->inner_is_y ? step_y : step_x, outer_step = c->inner_is_y ? step_x : step_y;
    int32_t taps = 1; /* in a run */
    if (inner_step == c->channels || inner == 1)
        taps = inner;
    if (taps == inner && (outer == 1 || outer_step == (int64_t)inner * c->channels))
        taps = inner * outer;
    if (c->is_by_taps)
        taps = 1;
    c->run_length = taps * c->channels;
    c->shape.runs = c->is_by_taps ? 1 : inner * outer / taps;
}

/* AMX takes depth by 64 bytes and rows by 16: small products are better off without. */
static const ci_kernel *choose_kernel(const conv *c) {
    uint32_t allowed = ci_allowed_or_all(c->args->allowed);
    if (c->run_length < 48 || c->plan.rows < 8)
        allowed &= ~CI_ISA_BIT(CI_ISA_AMX);
    return ci_kernel_find(CI_OPERATION_gemm_s8, "any", allowed);
}

static ci_status lay_out(const ci_conv2d_s8_args *args, conv *c) {
    *c = (conv){.args = &args->convolution};
    const ci_convolve_s8_args *a = c->args;
    ci_status status = ci_check_convolve_s8(a);
    if (status != CI_OK)
        return status;
    c->channels = a->input_channels / a->groups;
    c->columns = a->output_channels / a->groups;
    status = plan_lowering(args, c);
    if (status != CI_OK)
        return status;
    const ci_lowering *plan = &c->plan;
    const int64_t positions = (int64_t)a->output_height * a->output_width, rows = plan->rows;
    if (a->output_channels > LARGEST / positions)
        return CI_ERROR_OVERFLOW;
    c->is_pair = plan->form == CI_LOWERING_TWO_PATCH;
    c->is_by_taps = plan->form == CI_LOWERING_INDIRECT;
    c->parts = c->is_by_taps ? plan->kernel_height * plan->kernel_width : 1;
    cut_depth(c);
    c->shape.kernel = choose_kernel(c);
    c->shape.columns = c->columns;
    c->shape.runs_alike = 1;
    c->shape.run_length = &c->run_length;
    status = ci_pack_s8_measure(&c->shape, &c->size);
    if (status != CI_OK)
        return status;
    const int64_t fits = ci_cache_sizes().l2_bytes / 2 / plan->depth;
    const int64_t most = c->shape.kernel->mr * (int64_t)8;
    c->block_rows = (int32_t)(fits > most ? (fits < rows ? fits : rows) : most);

    const int64_t groups = a->groups, packings = groups * c->parts, columns = c->size.padded_columns;
    if (packings > INT32_MAX || c->size.weight_bytes > INT64_MAX / 64 / packings ||
        columns > INT64_MAX / 64 / packings)
        return CI_ERROR_OVERFLOW;
    int64_t total = 0;
    if (!c->is_pair) {
        c->weights = take(&total, packings * c->size.weight_bytes);
        c->bias = take(&total, packings * columns * 4);
        c->multiplier = take(&total, groups * columns * 4);
        c->shift = take(&total, groups * columns * 4);
        c->run_offset = take(&total, 4 * (int64_t)c->shape.runs);
        c->depth_offset = take(&total, 4 * (int64_t)plan->depth);
        c->a_depth = take(&total, 4 * (int64_t)c->size.k_blocks);
        c->a_row = take(&total, 4 * rows);
    }
    c->c_row = take(&total, 4 * rows);
    if (c->is_by_taps) {
        c->sums = take(&total, 4 * (int64_t)c->block_rows * c->columns);
        c->partial = take(&total, 4 * (int64_t)c->block_rows * c->columns);
    }
    c->buffer_bytes = ci_lowering_buffer_bytes(plan, 1);
    c->buffer = take(&total, c->is_pair ? 2 * c->buffer_bytes : c->buffer_bytes + c->shape.kernel->k_step);
    c->total = total + ALIGNMENT; /* the caller's scratch may begin anywhere */
    return CI_OK;
}

/* Where in a group's filter the elements of a patch are, in the order of the packed depth. */
static void write_depth_offsets(const conv *c, int32_t *offsets) {
    const int32_t height = c->plan.kernel_height, width = c->plan.kernel_width;
    for (int32_t tap = 0; tap < height * width; tap++) {
        const int32_t from = c->inner_is_y ? tap % height * width + tap / height : tap;
        for (int32_t channel = 0; channel < c->channels; channel++)
            *offsets++ = from * c->channels + channel;
    }
}

static ci_status pack_group(const conv *c, int32_t group, char *base) {
    const ci_convolve_s8_args *a = c->args;
    const ci_quantisation_s8 *q = &a->quantisation;
    const int64_t column = (int64_t)group * c->columns, columns = c->size.padded_columns;
    const int32_t *bias = a->bias ? a->bias + column : NULL;
    const int32_t a_zero = SIGN - q->input_offset;
    int32_t *folded = (int32_t *)(base + c->bias) + group * c->parts * columns, needs_sums;
    ci_weights_s8 weights = {.data = a->filter + column * c->plan.depth, .column_stride = c->plan.depth};
    ci_pack_s8_columns(&c->shape, &c->size, q->multiplier + column,
                       (int32_t *)(base + c->multiplier) + group * columns);
    ci_pack_s8_columns(&c->shape, &c->size, q->shift + column,
                       (int32_t *)(base + c->shift) + group * columns);
    char *packed = base + c->weights + group * c->parts * c->size.weight_bytes;
    if (!c->is_by_taps) {
        weights.depth_offset = (const int32_t *)(base + c->depth_offset);
        ci_pack_s8_weights(&c->shape, &c->size, &weights, packed, &needs_sums);
        return ci_pack_s8_bias(&c->shape, &c->size, &weights, a_zero, bias, folded);
    }
    /* The whole depth's sums have to fit too, and then so do those of the first taps: every tap can add 0. */
    ci_gemm_shape_s8 whole = c->shape;
    ci_gemm_size_s8 size;
    whole.run_length = &c->plan.depth;
    ci_status status = ci_pack_s8_measure(&whole, &size);
    if (status == CI_OK)
        status = ci_pack_s8_bias(&whole, &size, &weights, a_zero, bias, folded);
    for (int32_t part = 0; part < c->parts && status == CI_OK; part++) {
        weights.data = a->filter + column * c->plan.depth + (int64_t)part * c->channels;
        ci_pack_s8_weights(&c->shape, &c->size, &weights, packed + part * c->size.weight_bytes, &needs_sums);
        status = ci_pack_s8_bias(&c->shape, &c->size, &weights, a_zero, part == 0 ? bias : NULL,
                                 folded + part * columns);
    }
    return status;
}

static ci_status pack(const conv *c, char *base) {
    if (c->is_pair)
        return CI_OK;
    int64_t step_y, step_x;
    tap_steps(&c->plan, &step_y, &step_x);
    const int32_t inner = c->inner_is_y ? c->plan.kernel_height : c->plan.kernel_width;
    const int64_t inner_step = c->inner_is_y ? step_y : step_x, outer_step = c->inner_is_y ? step_x : step_y;
    const int32_t taps = c->run_length / c->channels;
    int32_t *offset = (int32_t *)(base + c->run_offset);
    for (int32_t run = 0; run < c->shape.runs; run++)
        offset[run] = (int32_t)(run * taps / inner * outer_step + run * taps % inner * inner_step);
    ci_pack_s8_depth(&c->shape, offset, (int32_t *)(base + c->a_depth));
    write_depth_offsets(c, (int32_t *)(base + c->depth_offset));
    ci_status status = CI_OK;
    for (int32_t group = 0; group < c->args->groups && status == CI_OK; group++)
        status = pack_group(c, group, base);
    return status;
}

/* A block of rows times one part's weights, panel after panel. */
static void run_panels(const conv *c, char *base, ci_gemm_s8_args args, int64_t packing, int32_t group,
                       int32_t element_bytes) {
    const int64_t columns = c->size.padded_columns;
    char *output = args.c;
    for (int32_t index = 0; index < c->size.panels; index++) {
        const ci_gemm_panel_s8 panel = ci_pack_s8_panel(&c->shape, &c->size, index);
        args.columns = panel.columns;
        args.b = base + c->weights + packing * c->size.weight_bytes + panel.weight_offset;
        args.bias = (const int32_t *)(base + c->bias) + packing * columns + panel.first_column;
        args.c = output + (int64_t)panel.first_column * element_bytes;
        args.requantise.multiplier =
            (const int32_t *)(base + c->multiplier) + group * columns + panel.first_column;
        args.requantise.shift = (const int32_t *)(base + c->shift) + group * columns + panel.first_column;
        ((ci_gemm_s8_fn *)c->shape.kernel->function)(&args);
    }
}

static void multiply(const conv *c, char *base, const ci_lowered *lowered, int32_t group, int8_t *output) {
    const ci_quantisation_s8 *q = &c->args->quantisation;
    ci_gemm_s8_args args = {
        .k_blocks = c->size.k_blocks,
        .a = lowered->a,
        .a_depth = (const int32_t *)(base + c->a_depth),
        .requantise = {.rule = CI_REQUANTISE_MULTIPLIER,
                       .zero_point = q->output_offset + SIGN,
                       .minimum = q->activation_min + SIGN,
                       .maximum = q->activation_max + SIGN,
                       .flip = SIGN},
    };
    for (int32_t first = 0; first < lowered->rows; first += c->block_rows) {
        args.rows = lowered->rows - first < c->block_rows ? lowered->rows - first : c->block_rows;
        args.a_row = (const int32_t *)(base + c->a_row) + first;
        args.c_row = (const int32_t *)(base + c->c_row) + first;
        args.c = output + group * c->columns;
        run_panels(c, base, args, group, group, 1);
    }
}

/* Patches read by taps: a product for each, added up as sums. */
static void multiply_taps(const conv *c, char *base, const ci_lowered *lowered, int32_t group,
                          int8_t *output) {
    int32_t *sums = (int32_t *)(base + c->sums), *partial = (int32_t *)(base + c->partial);
    int32_t *sum_row = (int32_t *)(base + c->a_row);
    const int32_t *c_row = (const int32_t *)(base + c->c_row);
    for (int32_t row = 0; row < c->block_rows && row < lowered->rows; row++)
        sum_row[row] = row * c->columns;
    ci_gemm_s8_args args = {.k_blocks = c->size.k_blocks,
                            .a = lowered->a,
                            .a_depth = (const int32_t *)(base + c->a_depth),
                            .c_row = sum_row};
    for (int32_t first = 0; first < lowered->rows; first += c->block_rows) {
        args.rows = lowered->rows - first < c->block_rows ? lowered->rows - first : c->block_rows;
        for (int32_t part = 0; part < c->parts; part++) {
            args.a_row = lowered->taps + (int64_t)part * lowered->rows + first;
            args.c = part ? partial : sums;
            run_panels(c, base, args, (int64_t)group * c->parts + part, group, 4);
            for (int32_t index = 0; part && index < args.rows * c->columns; index++)
                sums[index] += partial[index];
        }
        for (int32_t row = 0; row < args.rows; row++)
            for (int32_t column = 0; column < c->columns; column++) {
                const int32_t channel = group * c->columns + column;
                output[c_row[first + row] + channel] =
                    ci_requantised_s8(&c->args->quantisation, channel, sums[row * c->columns + column]);
            }
    }
}

static void lay_rows(const conv *c, char *base, const ci_lowered *lowered) {
    int32_t *a_row = (int32_t *)(base + c->a_row), *c_row = (int32_t *)(base + c->c_row);
    for (int32_t row = 0; row < lowered->rows; row++) {
        const int64_t run = row / lowered->run, at = row % lowered->run;
        if (!c->is_pair)
            a_row[row] = (int32_t)(run * lowered->run_step + at * lowered->lda);
        c_row[row] = (int32_t)((run * lowered->output_run_step + at * lowered->output_step) *
                               c->args->output_channels);
    }
}

static void run_image(const conv *c, char *base, int32_t image, int32_t group) {
    const ci_convolve_s8_args *a = c->args;
    const int32_t offset = a->quantisation.input_offset;
    const uint8_t pad = (uint8_t)((c->is_pair ? 0 : SIGN) - offset);
    const int64_t size = (int64_t)a->input_height * a->input_width * a->input_channels;
    const ci_pixels pixels = {
        .pixels = a->input + image * size + (int64_t)group * c->channels,
        .row_bytes = (int64_t)a->input_width * a->input_channels,
        .pixel_bytes = a->input_channels,
        .element_bytes = 1,
        .flip = c->is_pair ? 0 : SIGN,
        .pad = &pad,
    };
    int8_t *output = a->output + (int64_t)image * a->output_height * a->output_width * a->output_channels;
    char *buffer = base + c->buffer, *bytes = buffer + (c->is_pair ? c->buffer_bytes : 0);
    int32_t laid = 0; /* rows that the tables are for */
    for (int32_t gemm = 0; gemm < c->plan.gemms; gemm++) {
        ci_lowered lowered;
        (void)ci_lowering_fill(&c->plan, gemm, &pixels, bytes, c->buffer_bytes, &lowered);
        if (lowered.rows != laid)
            lay_rows(c, base, &lowered);
        laid = lowered.rows;
        int8_t *to = output + lowered.output * a->output_channels;
        if (c->is_pair) {
            int16_t *pair = (int16_t *)(void *)buffer;
            ci_two_patch_widen(pair, (const int8_t *)bytes, (int64_t)lowered.rows * c->plan.depth, offset);
            ci_two_patch_multiply(a, pair, c->plan.depth, (const int32_t *)(base + c->c_row), lowered.rows,
                                  group * c->columns, c->columns, to);
        } else if (c->is_by_taps) {
            multiply_taps(c, base, &lowered, group, to);
        } else {
            multiply(c, base, &lowered, group, to);
        }
    }
}

ci_status ci_conv2d_s8_scratch_bytes(const ci_conv2d_s8_args *args, int64_t *bytes) {
    conv c;
    ci_status status = lay_out(args, &c);
    if (status == CI_OK)
        *bytes = c.total;
    return status;
}

ci_status ci_conv2d_s8(const ci_conv2d_s8_args *args, void *scratch, int64_t scratch_bytes) {
    conv c;
    ci_status status = lay_out(args, &c);
    if (status != CI_OK)
        return status;
    if (!scratch || scratch_bytes < c.total)
        return CI_ERROR_SCRATCH;
    char *base = aligned(scratch);
    if (!args->is_packed)
        status = c.is_pair ? ci_two_patch_check_sums(c.args, c.plan.depth) : pack(&c, base);
    for (int32_t group = 0; group < c.args->groups && status == CI_OK; group++)
        for (int32_t image = 0; image < c.args->batch; image++)
            run_image(&c, base, image, group);
    return status;
}
