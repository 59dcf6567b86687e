/* Convolution as a GEMM over output pixels, float32. */
#include "steps/conv.h"

#include <limits.h>

#include "pack.h"

typedef struct {
    ci_conv conv;
    int64_t rows;
    int32_t panel_tasks;
} params;

/* One panel, its depth in blocks. As many bytes are prefetched as are read, so that the weights of the whole
 * program, which lie in the order of its steps, are drawn in at an even distance. */
static void run_panel(const ci_conv *conv, const ci_conv_panel *panel, ci_gemm_f32_args *args,
                      const float *weights, float *sums) {
    const float *input = args->a;
    const int32_t *table = args->a_depth;
    const int32_t nr = panel->kernel->nr;
    const int32_t block = panel->kernel->operation == CI_OPERATION_gemm_f32 ? conv->depth_block : conv->depth;
    for (int32_t part = 0; part < conv->depth_parts; part++) {
        const int32_t end = conv->depth_part[part].first + conv->depth_part[part].count;
        for (int32_t first = conv->depth_part[part].first; first < end; first += block) {
            const int32_t left = end - first;
            args->depth = left < block ? left : block;
            args->start = first > conv->depth_part[0].first ? sums : NULL;
            args->sums = args->depth < left || part + 1 < conv->depth_parts ? sums : NULL;
            args->a = panel->reads_runs ? input + first : input;
            args->a_depth = panel->reads_runs ? table : table + first;
            args->b = weights + (int64_t)first * nr;
            args->prefetch_bytes = (int64_t)args->depth * nr * (int64_t)sizeof(float);
            args->prefetch = conv->prefetch_distance ? (const char *)args->b + conv->prefetch_distance : NULL;
            ((ci_gemm_f32_fn *)panel->kernel->function)(args);
        }
    }
}

/* Over the pixels just finished: those next to one another in a row at once. */
static void activate(const ci_conv *conv, const ci_gemm_f32_args *args, const ci_conv_panel *panel,
                     int32_t panels, float *output) {
    while (panels > 0) {
        int32_t columns = panel->columns, joined = 1;
        while (joined < panels && panel[joined].first_column == panel->first_column + columns)
            columns += panel[joined++].columns;
        float *first = output + panel->first_column;
        for (int32_t row = 0; row < args->rows;) {
            const int32_t *at = args->c_row + row;
            const int32_t left = args->rows - row, pixel = left > 1 ? at[1] - at[0] : columns;
            int32_t count = 1;
            while (count < left && at[count] - at[count - 1] == pixel)
                count++;
            ci_activate_pixels(conv->late_activation, &conv->activation, first + at[0], count, pixel,
                               columns);
            row += count;
        }
        panel += joined;
        panels -= joined;
    }
}

void ci_conv_run_panels(const ci_conv *conv, const ci_run *run, ci_gemm_f32_args *args, int32_t first_panel,
                        int32_t panels, const float *input, float *output, const float *residual,
                        float *sums) {
    const float *weights = ci_address(run, conv->weights), *bias = ci_address(run, conv->bias);
    for (int32_t index = 0; index < first_panel; index++)
        bias += conv->panel[index].kernel->nr;
    args->activation = ci_early_activation(&conv->activation);
    for (int32_t index = first_panel; index < first_panel + panels; index++) {
        const ci_conv_panel *panel = &conv->panel[index];
        args->columns = panel->columns;
        args->a = input + panel->input_offset;
        args->a_depth = conv->depth_offsets + (int64_t)panel->depth_table * conv->depth;
        args->a_is_contiguous = panel->reads_runs;
        args->bias = bias;
        args->c = output + panel->first_column;
        args->residual = residual ? residual + panel->first_column : NULL;
        run_panel(conv, panel, args, weights + panel->weights_offset, sums);
        bias += panel->kernel->nr;
    }
    if (ci_is_late(&conv->activation))
        activate(conv, args, conv->panel + first_panel, panels, output);
}

static size_t round_up(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

static size_t sums_bytes(const ci_conv *conv, int64_t rows) {
    int32_t widest = 0;
    for (int32_t index = 0; index < conv->panels; index++)
        widest = conv->panel[index].kernel->nr > widest ? conv->panel[index].kernel->nr : widest;
    return conv->depth_block < conv->depth || conv->depth_parts > 1
               ? round_up((size_t)rows * (size_t)widest * sizeof(float))
               : 0;
}

static size_t tables_bytes(int64_t rows) {
    return round_up(3 * (size_t)rows * sizeof(int32_t));
}

int64_t ci_conv_scratch_bytes(const ci_conv *conv, int64_t rows) {
    return (int64_t)(tables_bytes(rows) + sums_bytes(conv, rows));
}

ci_conv_scratch ci_conv_lay_scratch(const ci_conv *conv, char *scratch, int64_t rows) {
    ci_conv_scratch laid;
    laid.input_rows = (int32_t *)scratch;
    laid.output_rows = laid.input_rows + rows;
    laid.residual_rows = laid.output_rows + rows;
    laid.sums = (float *)(scratch + tables_bytes(rows));
    laid.rest = (char *)laid.sums + sums_bytes(conv, rows);
    return laid;
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_conv *conv = &p->conv;
    const int64_t first_row = (int64_t)(task / p->panel_tasks) * conv->rows_per_task;
    const int64_t left = p->rows - first_row;
    const int32_t rows = (int32_t)(left < conv->rows_per_task ? left : conv->rows_per_task);
    const int32_t first_panel = task % p->panel_tasks * conv->panels_per_task;
    int32_t panels = conv->panels - first_panel;
    if (panels > conv->panels_per_task)
        panels = conv->panels_per_task;

    const ci_conv_scratch scratch = ci_conv_lay_scratch(conv, run->scratch, conv->rows_per_task);
    const float *input = ci_address(run, conv->input), *residual = ci_address(run, conv->residual);
    float *output = ci_address(run, conv->output);
    input +=
        ci_row_offsets(scratch.input_rows, first_row, rows, conv->height, conv->width, conv->input_strides);
    output +=
        ci_row_offsets(scratch.output_rows, first_row, rows, conv->height, conv->width, conv->output_strides);
    if (residual)
        residual += ci_row_offsets(scratch.residual_rows, first_row, rows, conv->height, conv->width,
                                   conv->residual_strides);
    ci_gemm_f32_args args = {.rows = rows,
                             .a_row = scratch.input_rows,
                             .c_row = scratch.output_rows,
                             .residual_row = scratch.residual_rows};
    ci_conv_run_panels(conv, run, &args, first_panel, panels, input, output, residual, scratch.sums);
}

static int64_t magnitude(int64_t value) {
    return value < 0 ? -value : value;
}

int ci_conv_rows_fit(const ci_conv *conv, ci_row_strides strides, int64_t rows_per_task) {
    const int64_t limit = INT32_MAX / 4;
    int64_t rows = rows_per_task / conv->width + 2, images = rows / conv->height + 2;
    if (rows > conv->height)
        rows = conv->height;
    if (images > conv->images)
        images = conv->images;
    return magnitude(strides.pixel) <= limit / conv->width && magnitude(strides.row) <= limit / rows &&
           magnitude(strides.image) <= limit / images;
}

static ci_status check_rows(const ci_program *program, const ci_conv *conv, ci_ref ref,
                            ci_row_strides strides, int64_t channels) {
    const int64_t shape[4] = {conv->images, conv->height, conv->width, channels};
    const int64_t along[4] = {strides.image, strides.row, strides.pixel, 1};
    return ci_program_check_view(program, ref, 4, shape, along, sizeof(float));
}

void ci_conv_panel_reach(const ci_conv *conv, const ci_conv_panel *panel, int64_t *lowest, int64_t *highest) {
    const int32_t *table = conv->depth_offsets + (int64_t)panel->depth_table * conv->depth;
    *lowest = *highest = table[conv->depth_part[0].first];
    for (int32_t part = 0; part < conv->depth_parts; part++) {
        const int32_t end = conv->depth_part[part].first + conv->depth_part[part].count;
        for (int32_t k = conv->depth_part[part].first; k < end; k++) {
            *lowest = table[k] < *lowest ? table[k] : *lowest;
            *highest = table[k] > *highest ? table[k] : *highest;
        }
    }
    *lowest += panel->input_offset;
    *highest += panel->input_offset;
}

static ci_status check_panel(const ci_program *program, const ci_conv *conv, const ci_conv_panel *panel) {
    if (!panel->kernel || panel->columns < 1 || panel->columns > panel->kernel->nr ||
        panel->first_column < 0 || panel->depth_table < 0 || panel->depth_table >= conv->depth_tables)
        return CI_ERROR_ARGUMENT;
    ci_ref weights = conv->weights;
    weights.offset += panel->weights_offset * (int64_t)sizeof(float);
    int64_t elems = 0;
    ci_status status = ci_packed_gemm_f32_elems(panel->kernel, panel->columns, conv->depth, &elems);
    if (status == CI_OK)
        status = ci_program_check(program, weights, elems * (int64_t)sizeof(float));
    return status;
}

ci_status ci_conv_check_output(const ci_program *program, const ci_conv *conv) {
    ci_status status = CI_OK;
    for (int32_t index = 0; status == CI_OK && index < conv->panels; index++) {
        const ci_conv_panel *panel = &conv->panel[index];
        ci_ref output = conv->output, residual = conv->residual;
        output.offset += panel->first_column * (int64_t)sizeof(float);
        residual.offset += panel->first_column * (int64_t)sizeof(float);
        status = check_rows(program, conv, output, conv->output_strides, panel->columns);
        if (status == CI_OK && conv->residual.slot != CI_SLOT_NONE)
            status = check_rows(program, conv, residual, conv->residual_strides, panel->columns);
    }
    return status;
}

ci_status ci_conv_check_input(const ci_program *program, const ci_conv *conv) {
    ci_status status = CI_OK;
    for (int32_t index = 0; status == CI_OK && index < conv->panels; index++) {
        int64_t lowest, highest;
        ci_conv_panel_reach(conv, &conv->panel[index], &lowest, &highest);
        ci_ref input = conv->input;
        input.offset += lowest * (int64_t)sizeof(float);
        status = check_rows(program, conv, input, conv->input_strides, highest - lowest + 1);
    }
    return status;
}

static int is_run(const int32_t *offsets, int32_t count) {
    int32_t k = 0;
    while (k < count && offsets[k] == k)
        k++;
    return k == count;
}

/* Checks the parts of the depth, which ascend, and keeps them; the whole depth is one where none are given.
 */
static ci_status prepare_parts(ci_program *program, ci_conv *conv) {
    const ci_depth_part whole = {0, conv->depth};
    const int32_t parts = conv->depth_parts ? conv->depth_parts : 1;
    const ci_depth_part *part = conv->depth_parts ? conv->depth_part : &whole;
    int32_t reached = 0;
    for (int32_t index = 0; index < parts; index++) {
        if (part[index].first < reached || part[index].count < 1 ||
            part[index].count > conv->depth - part[index].first)
            return CI_ERROR_ARGUMENT;
        reached = part[index].first + part[index].count;
    }
    conv->depth_part = ci_program_keep(program, part, sizeof *part * (size_t)parts);
    conv->depth_parts = parts;
    return conv->depth_part ? CI_OK : CI_ERROR_MEMORY;
}

ci_status ci_conv_prepare(ci_program *program, ci_conv *conv) {
    if (conv->images < 1 || conv->height < 1 || conv->width < 1 || conv->depth < 1 ||
        conv->depth_tables < 1 || conv->depth_block < 1 || conv->panels < 1 ||
        ci_check_late_activation(&conv->activation, conv->late_activation) != CI_OK || conv->depth_parts < 0)
        return CI_ERROR_ARGUMENT;
    int64_t bias_elems = 0;
    for (int32_t index = 0; index < conv->panels; index++) {
        ci_status status = check_panel(program, conv, &conv->panel[index]);
        if (status != CI_OK)
            return status;
        bias_elems += conv->panel[index].kernel->nr;
    }
    ci_status status = ci_program_check(program, conv->bias, bias_elems * (int64_t)sizeof(float));
    if (status == CI_OK)
        status = prepare_parts(program, conv);
    if (status != CI_OK)
        return status;
    conv->depth_offsets = ci_program_keep(program, conv->depth_offsets,
                                          sizeof(int32_t) * (size_t)conv->depth_tables * (size_t)conv->depth);
    ci_conv_panel *panels =
        (ci_conv_panel *)ci_program_keep(program, conv->panel, sizeof *panels * (size_t)conv->panels);
    if (!conv->depth_offsets || !panels)
        return CI_ERROR_MEMORY;
    for (int32_t index = 0; index < conv->panels; index++) {
        panels[index].reads_runs =
            is_run(conv->depth_offsets + (int64_t)panels[index].depth_table * conv->depth, conv->depth);
        if (panels[index].kernel->operation != CI_OPERATION_gemm_f32 && !panels[index].reads_runs)
            return CI_ERROR_ARGUMENT;
    }
    conv->panel = panels;
    return CI_OK;
}

ci_status ci_add_conv(ci_program *program, const ci_conv *conv) {
    params p = {.conv = *conv};
    ci_status status = ci_conv_prepare(program, &p.conv);
    if (status == CI_OK)
        status = ci_conv_check_output(program, conv);
    if (status == CI_OK)
        status = ci_conv_check_input(program, &p.conv);
    if (status != CI_OK)
        return status;
    if (conv->rows_per_task < 1 || conv->panels_per_task < 1)
        return CI_ERROR_ARGUMENT;
    p.rows = (int64_t)conv->images * conv->height * conv->width;
    p.panel_tasks = (conv->panels + conv->panels_per_task - 1) / conv->panels_per_task;
    const int64_t row_tasks = (p.rows + conv->rows_per_task - 1) / conv->rows_per_task;
    if (row_tasks > INT32_MAX / p.panel_tasks ||
        !ci_conv_rows_fit(conv, conv->input_strides, conv->rows_per_task) ||
        !ci_conv_rows_fit(conv, conv->output_strides, conv->rows_per_task) ||
        (conv->residual.slot != CI_SLOT_NONE &&
         !ci_conv_rows_fit(conv, conv->residual_strides, conv->rows_per_task)))
        return CI_ERROR_OVERFLOW;
    return ci_program_add(program, task, &p, sizeof p, (int32_t)row_tasks * p.panel_tasks,
                          ci_conv_scratch_bytes(&p.conv, conv->rows_per_task));
}
