/* int8 convolution through the reusable im2row buffer. */
#include "lowered_conv_s8.h"

#include <string.h>

#include "conv_infer/pack_s8.h"
#include "layout_s8.h"

enum { ALIGNMENT = 64, SIGN = 0x80 };

/* Everything about one convolution that its sizes decide. Offsets are into the scratch memory. */
typedef struct {
    ci_gemm_shape_s8 shape;
    ci_gemm_size_s8 size;
    ci_gemm_shape_s8 ones_shape; /* a GEMM of one column of ones: the sums of A */
    ci_gemm_size_s8 ones_size;
    int32_t positions;  /* major positions that windows touch */
    int32_t run_bytes;  /* of one position: the window's minor taps, all channels */
    int32_t runs;       /* of a patch: 1, or one for each major tap where these are dilated */
    int32_t run_length; /* in bytes */
    int32_t shares;     /* whether minor positions of one window are reused by the next */
    int64_t run_offset, depth_offset, zero_point;
    int64_t weights, bias, multiplier, shift, b_zero, a_depth, a_row, c_row;
    int64_t ones, ones_bias, ones_source, a_sum, sum_row;
    int64_t needs_sums, buffer, total;
} layout;

static int64_t take(int64_t *total, int64_t bytes) {
    const int64_t at = *total;
    *total += ci_round_up(bytes, ALIGNMENT);
    return at;
}

/* AMX takes depth by 64 bytes and rows by 16: small products are better off without. */
static const ci_kernel *choose_kernel(const ci_lowered_conv_s8 *conv) {
    uint32_t allowed = ci_allowed_or_all(conv->allowed);
    const int64_t depth = (int64_t)conv->major.taps * conv->minor.taps * conv->channels;
    if (depth < 48 || conv->major.outputs < 8)
        allowed &= ~CI_ISA_BIT(CI_ISA_AMX);
    return ci_kernel_find(CI_OPERATION_gemm_s8, "any", allowed);
}

/* The shapes point into the layout, which is therefore never copied. */
static ci_status lay_out(const ci_lowered_conv_s8 *conv, layout *l) {
    const ci_axis_s8 *major = &conv->major, *minor = &conv->minor;
    const int64_t limit = INT32_MAX / 4; /* offsets are int32, and never near their end */
    const int64_t span = (int64_t)(major->taps - 1) * major->dilation + 1;
    const int64_t positions = (int64_t)(major->outputs - 1) * major->stride + span;
    const int64_t run_bytes = (int64_t)minor->taps * conv->channels;
    if (positions > limit || run_bytes > limit || run_bytes > limit / positions ||
        run_bytes > limit / major->taps)
        return CI_ERROR_OVERFLOW;
    memset(l, 0, sizeof *l);
    l->positions = (int32_t)positions;
    l->run_bytes = (int32_t)run_bytes;
    l->runs = major->dilation == 1 ? 1 : major->taps;
    l->shares = minor->dilation == 1 && minor->stride <= minor->taps;
    const int64_t depth = (int64_t)major->taps * run_bytes;
    const int64_t moves = l->shares ? (int64_t)(minor->outputs - 1) * minor->stride * conv->channels : 0;
    if (moves > limit || major->output_step > limit / major->outputs)
        return CI_ERROR_OVERFLOW;

    l->run_length = l->runs == 1 ? (int32_t)depth : l->run_bytes;
    l->shape = (ci_gemm_shape_s8){
        .kernel = choose_kernel(conv),
        .columns = conv->columns,
        .runs = l->runs,
        .runs_alike = 1,
        .run_length = &l->run_length,
    };
    l->ones_shape = l->shape;
    l->ones_shape.columns = 1;
    ci_status status = ci_pack_s8_measure(&l->shape, &l->size);
    if (status == CI_OK)
        status = ci_pack_s8_measure(&l->ones_shape, &l->ones_size);
    if (status != CI_OK)
        return status;
    const int64_t columns = l->size.padded_columns, rows = major->outputs;
    int64_t total = 0;
    l->run_offset = take(&total, 4 * (int64_t)l->runs);
    l->depth_offset = take(&total, 4 * depth);
    l->zero_point = take(&total, 4 * (int64_t)conv->columns);
    l->weights = take(&total, l->size.weight_bytes);
    l->bias = take(&total, 4 * columns);
    l->multiplier = take(&total, 4 * columns);
    l->shift = take(&total, 4 * columns);
    l->b_zero = take(&total, 4 * columns);
    l->a_depth = take(&total, 4 * (int64_t)l->size.k_blocks);
    l->a_row = take(&total, 4 * rows);
    l->c_row = take(&total, 4 * rows);
    l->needs_sums = take(&total, 4);
    if (conv->weight_offset) {
        l->ones = take(&total, l->ones_size.weight_bytes);
        l->ones_bias = take(&total, 4 * (int64_t)l->ones_size.padded_columns);
        l->ones_source = take(&total, depth);
        l->a_sum = take(&total, 4 * rows);
        l->sum_row = take(&total, 4 * rows);
    }
    l->buffer = take(&total, positions * run_bytes + moves + l->shape.kernel->k_step);
    l->total = total + ALIGNMENT; /* the caller's scratch may begin anywhere */
    return CI_OK;
}

static char *aligned(void *scratch) {
    return (char *)scratch + (ALIGNMENT - (uintptr_t)scratch % ALIGNMENT) % ALIGNMENT;
}

ci_status ci_check_quantisation_s8(const ci_quantisation_s8 *q, int32_t channels) {
    if (q->input_offset < -127 || q->input_offset > 128 || q->output_offset < -128 ||
        q->output_offset > 127 || q->activation_min < -128 || q->activation_max > 127 ||
        q->activation_min > q->activation_max || !q->multiplier || !q->shift)
        return CI_ERROR_ARGUMENT;
    for (int32_t channel = 0; channel < channels; channel++) {
        if (q->multiplier[channel] < 0 || q->shift[channel] < -31 || q->shift[channel] > 30)
            return CI_ERROR_ARGUMENT;
    }
    return CI_OK;
}

static int axis_is_sound(const ci_axis_s8 *axis) {
    return axis->inputs >= 1 && axis->outputs >= 1 && axis->taps >= 1 && axis->stride >= 1 &&
           axis->dilation >= 1;
}

ci_status ci_lowered_conv_s8_scratch_bytes(const ci_lowered_conv_s8 *conv, int64_t *bytes) {
    if (!axis_is_sound(&conv->major) || !axis_is_sound(&conv->minor) || conv->channels < 1 ||
        conv->columns < 1 || conv->weight_offset < -127 || conv->weight_offset > 128)
        return CI_ERROR_ARGUMENT;
    ci_status status = ci_check_quantisation_s8(&conv->quantisation, conv->columns);
    layout l;
    if (status == CI_OK)
        status = lay_out(conv, &l);
    if (status == CI_OK)
        *bytes = l.total;
    return status;
}

/* Element offsets of the weights in the order of a patch: major taps, minor taps, channels. */
static void write_depth_offsets(const ci_lowered_conv_s8 *conv, int32_t *offsets) {
    for (int32_t i = 0; i < conv->major.taps; i++) {
        for (int32_t j = 0; j < conv->minor.taps; j++) {
            const int64_t tap = i * conv->major.weight_step + j * conv->minor.weight_step;
            for (int32_t c = 0; c < conv->channels; c++)
                *offsets++ = conv->weights ? (int32_t)(tap + c) : 0;
        }
    }
}

ci_status ci_lowered_conv_s8_pack(const ci_lowered_conv_s8 *conv, void *scratch) {
    static const int8_t nothing[1] = {0};
    layout l;
    char *base = aligned(scratch);
    ci_status status = lay_out(conv, &l);
    if (status != CI_OK)
        return status;
    int32_t *offsets = (int32_t *)(base + l.depth_offset), *zero_points = (int32_t *)(base + l.zero_point);
    write_depth_offsets(conv, offsets);
    for (int32_t n = 0; n < conv->columns; n++)
        zero_points[n] = -conv->weight_offset;
    ci_weights_s8 weights = {
        .data = conv->weights ? conv->weights : nothing,
        .column_stride = conv->weights ? conv->weight_column_step : 0,
        .depth_offset = offsets,
        .zero_point = conv->weight_offset ? zero_points : NULL,
    };
    int32_t *needs_sums = (int32_t *)(base + l.needs_sums);
    ci_pack_s8_weights(&l.shape, &l.size, &weights, base + l.weights, needs_sums);
    if (*needs_sums) {
        int32_t ones_need_sums;
        memset(base + l.ones_source, 1, (size_t)l.size.depth);
        const ci_weights_s8 ones = {.data = base + l.ones_source};
        ci_pack_s8_weights(&l.ones_shape, &l.ones_size, &ones, base + l.ones, &ones_need_sums);
        status =
            ci_pack_s8_bias(&l.ones_shape, &l.ones_size, &ones, 0, NULL, (int32_t *)(base + l.ones_bias));
        if (status != CI_OK)
            return status;
        ci_pack_s8_zero_points(&l.shape, &l.size, &weights, (int32_t *)(base + l.b_zero));
        for (int32_t m = 0; m < conv->major.outputs; m++)
            ((int32_t *)(base + l.sum_row))[m] = m;
    }
    ci_pack_s8_columns(&l.shape, &l.size, conv->quantisation.multiplier, base + l.multiplier);
    ci_pack_s8_columns(&l.shape, &l.size, conv->quantisation.shift, base + l.shift);

    int32_t *run_offset = (int32_t *)(base + l.run_offset);
    for (int32_t run = 0; run < l.runs; run++)
        run_offset[run] = run * conv->major.dilation * l.run_bytes;
    ci_pack_s8_depth(&l.shape, run_offset, (int32_t *)(base + l.a_depth));
    int32_t *a_row = (int32_t *)(base + l.a_row), *c_row = (int32_t *)(base + l.c_row);
    for (int32_t m = 0; m < conv->major.outputs; m++) {
        a_row[m] = m * conv->major.stride * l.run_bytes;
        c_row[m] = (int32_t)(m * conv->major.output_step);
    }
    return ci_pack_s8_bias(&l.shape, &l.size, &weights, SIGN - conv->quantisation.input_offset, conv->bias,
                           (int32_t *)(base + l.bias));
}

/* Copies int8 as unsigned bytes. */
static void copy_flipped(uint8_t *to, const int8_t *from, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        to[i] = (uint8_t)(from[i] ^ SIGN);
}

/* Writes minor taps first_tap .. taps - 1 of the window that begins at minor position `start`, of every major
 * position, into the buffer at `base`. */
static void fill(const ci_lowered_conv_s8 *conv, const layout *l, const int8_t *input, int32_t start,
                 int32_t first_tap, uint8_t *base) {
    const ci_axis_s8 *major = &conv->major, *minor = &conv->minor;
    const int32_t zero = SIGN - conv->quantisation.input_offset;
    for (int32_t p = 0; p < l->positions; p++) {
        const int32_t at = major->first + p;
        const int32_t is_inside = at >= 0 && at < major->inputs;
        uint8_t *run = base + (int64_t)p * l->run_bytes;
        for (int32_t tap = first_tap; tap < minor->taps; tap++) {
            const int32_t position = start + tap * minor->dilation;
            if (is_inside && position >= 0 && position < minor->inputs)
                copy_flipped(run + (int64_t)tap * conv->channels,
                             input + at * major->input_step + position * minor->input_step, conv->channels);
            else
                memset(run + (int64_t)tap * conv->channels, zero, (size_t)conv->channels);
        }
    }
}

static void multiply(const ci_lowered_conv_s8 *conv, const layout *l, char *base, const uint8_t *a,
                     int8_t *output) {
    ci_gemm_s8_fn *gemm = (ci_gemm_s8_fn *)l->shape.kernel->function;
    ci_gemm_s8_args args = {
        .rows = conv->major.outputs,
        .columns = 1,
        .k_blocks = l->size.k_blocks,
        .a = a,
        .a_row = (const int32_t *)(base + l->a_row),
        .a_depth = (const int32_t *)(base + l->a_depth),
        .c_row = (const int32_t *)(base + l->c_row),
    };
    const ci_quantisation_s8 *q = &conv->quantisation;
    if (*(const int32_t *)(base + l->needs_sums)) {
        ci_gemm_s8_args ones = args;
        ones.b = base + l->ones;
        ones.bias = (const int32_t *)(base + l->ones_bias);
        ones.c = base + l->a_sum;
        ones.c_row = (const int32_t *)(base + l->sum_row);
        gemm(&ones);
        args.a_sum = ones.c;
    }
    for (int32_t index = 0; index < l->size.panels; index++) {
        const ci_gemm_panel_s8 panel = ci_pack_s8_panel(&l->shape, &l->size, index);
        const int32_t first = panel.first_column;
        args.columns = panel.columns;
        args.b = base + l->weights + panel.weight_offset;
        args.bias = (const int32_t *)(base + l->bias) + first;
        args.b_zero = (const int32_t *)(base + l->b_zero) + first;
        args.c = output + first;
        args.requantise = (ci_requantise){
            .rule = CI_REQUANTISE_MULTIPLIER,
            .multiplier = (const int32_t *)(base + l->multiplier) + first,
            .shift = (const int32_t *)(base + l->shift) + first,
            .zero_point = q->output_offset + SIGN,
            .minimum = q->activation_min + SIGN,
            .maximum = q->activation_max + SIGN,
            .flip = SIGN,
        };
        gemm(&args);
    }
}

ci_status ci_lowered_conv_s8_run(const ci_lowered_conv_s8 *conv, void *scratch, const int8_t *input,
                                 int8_t *output) {
    layout l;
    char *base = aligned(scratch);
    ci_status status = lay_out(conv, &l);
    if (status != CI_OK)
        return status;
    const ci_axis_s8 *minor = &conv->minor;
    uint8_t *buffer = (uint8_t *)(base + l.buffer);
    for (int32_t x = 0; x < minor->outputs; x++) {
        const int32_t reused = l.shares && x > 0 ? minor->taps - minor->stride : 0;
        if (l.shares && x > 0)
            buffer += (int64_t)minor->stride * conv->channels;
        fill(conv, &l, input, minor->first + x * minor->stride, reused, buffer);
        multiply(conv, &l, base, buffer, output + x * minor->output_step);
    }
    return CI_OK;
}
