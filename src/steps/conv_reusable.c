/* Convolution through the reusable im2row buffer: strips of the padded input in the thread's scratch, a GEMM
 * each. */
#include <limits.h>

#include "steps/conv.h"

typedef struct {
    ci_conv conv;
    ci_reusable layout;
    int32_t strips_per_task, tasks_per_image;
    ci_row_strides input, output, residual; /* across and along a strip, as rows and pixels */
} params;

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_conv *conv = &p->conv;
    const ci_reusable *layout = &p->layout;
    const int32_t image = task / p->tasks_per_image, across = layout->across.outputs;
    const int32_t first = task % p->tasks_per_image * p->strips_per_task;
    const int32_t strips =
        layout->strips - first < p->strips_per_task ? layout->strips - first : p->strips_per_task;
    const int32_t most_rows = across * layout->strip;
    const ci_conv_scratch scratch = ci_conv_lay_scratch(conv, run->scratch, most_rows);
    float *buffer = (float *)scratch.rest;

    const float *source = ci_address(run, conv->input);
    float *output = ci_address(run, conv->output);
    const float *residual = ci_address(run, conv->residual);
    source += image * conv->input_strides.image;
    output += image * conv->output_strides.image;
    if (residual)
        residual += image * conv->residual_strides.image;

    const float zero = 0.0f;
    const ci_pixels pixels = {
        .pixels = source,
        .row_bytes = conv->input_strides.row * (int64_t)sizeof(float),
        .pixel_bytes = conv->input_strides.pixel * (int64_t)sizeof(float),
        .element_bytes = sizeof(float),
        .pad = &zero,
    };
    ci_gemm_f32_args args = {
        .a_row = scratch.input_rows, .c_row = scratch.output_rows, .residual_row = scratch.residual_rows};
    for (int32_t position = 0; position < strips; position++) {
        const int32_t strip = first + position, begin = strip * layout->strip;
        const int32_t left = layout->along.outputs - begin,
                      wide = left < layout->strip ? left : layout->strip;
        if (position == 0 || wide < layout->strip) {
            ci_row_offsets(scratch.input_rows, 0, across * wide, across, wide, p->input);
            ci_row_offsets(scratch.output_rows, 0, across * wide, across, wide, p->output);
            ci_row_offsets(scratch.residual_rows, 0, across * wide, across, wide, p->residual);
        }
        args.rows = across * wide;
        const float *base = buffer + ci_reusable_fill(layout, &pixels, buffer, strip, position);
        ci_conv_run_panels(conv, run, &args, 0, conv->panels, base, output + begin * p->output.pixel,
                           residual ? residual + begin * p->residual.pixel : NULL, scratch.sums);
    }
}

static ci_row_strides turned(const ci_reusable *layout, ci_row_strides strides) {
    if (layout->direction == CI_STRIPS_OF_COLUMNS)
        return (ci_row_strides){0, strides.row, strides.pixel};
    return (ci_row_strides){0, strides.pixel, strides.row};
}

ci_status ci_add_conv_reusable(ci_program *program, const ci_conv *conv, const ci_reusable *layout,
                               int32_t strips_per_task) {
    params p = {.conv = *conv, .layout = *layout, .strips_per_task = strips_per_task};
    ci_status status = ci_conv_prepare(program, &p.conv);
    if (status == CI_OK)
        status = ci_conv_check_output(program, conv);
    if (status != CI_OK)
        return status;
    const int rows = layout->direction == CI_STRIPS_OF_ROWS;
    const ci_axis *y = rows ? &layout->along : &layout->across, *x = rows ? &layout->across : &layout->along;
    if (strips_per_task < 1 || y->outputs != conv->height || x->outputs != conv->width)
        return CI_ERROR_ARGUMENT;
    const ci_image image = {conv->images,
                            y->size,
                            x->size,
                            layout->channels,
                            conv->input_strides.image,
                            conv->input_strides.row,
                            conv->input_strides.pixel};
    status = ci_program_check_image(program, conv->input, &image, sizeof(float));
    if (status != CI_OK)
        return status;
    /* The patch of the last output along and across must end inside the buffer's line and last row. */
    const int64_t last_patch = (int64_t)(layout->across.outputs - 1) * layout->across.stride * layout->line +
                               (int64_t)(layout->strip - 1) * layout->along.stride * layout->channels;
    for (int32_t index = 0; index < conv->panels; index++) {
        const ci_conv_panel *panel = &conv->panel[index];
        const int32_t *table = conv->depth_offsets + (int64_t)panel->depth_table * conv->depth;
        for (int32_t k = 0; k < conv->depth; k++) {
            const int64_t offset = panel->input_offset + table[k];
            if (offset < 0 || last_patch + offset >= layout->across.reach * layout->line)
                return CI_ERROR_BOUNDS;
        }
    }
    p.tasks_per_image = (layout->strips + strips_per_task - 1) / strips_per_task;
    if (p.tasks_per_image > INT32_MAX / conv->images ||
        (int64_t)layout->across.outputs * layout->strip > INT32_MAX / 16)
        return CI_ERROR_OVERFLOW;
    p.input = (ci_row_strides){0, layout->across.stride * layout->line,
                               (int64_t)layout->along.stride * layout->channels};
    p.output = turned(layout, conv->output_strides);
    p.residual = turned(layout, conv->residual_strides);
    const int64_t tables = ci_conv_scratch_bytes(&p.conv, (int64_t)layout->across.outputs * layout->strip);
    const int32_t most = strips_per_task < layout->strips ? strips_per_task : layout->strips;
    return ci_program_add(program, task, &p, sizeof p, conv->images * p.tasks_per_image,
                          tables + ci_reusable_buffer_elems(layout, most) * (int64_t)sizeof(float));
}
