/* Convolution as a GEMM over output pixels, int8. */
#include "steps/qconv.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "conv_infer/pack_s8.h"
#include "layout_s8.h"
#include "requantise.h"

typedef struct {
    ci_qconv conv;
    ci_qconv gathered; /* the same over windows that were copied together */
    ci_gather_fn *pick;
    int64_t rows;
    int32_t panel_tasks;
} params;

int32_t ci_qconv_output_bytes(const ci_qconv *conv) {
    return conv->requantise.rule == CI_REQUANTISE_NONE ? (int32_t)sizeof(int32_t) : 1;
}

static int64_t panel_bytes(const ci_kernel *kernel, const ci_qconv_panel *panel) {
    const ci_layout_s8 layout = ci_layout_s8_of(kernel->isa);
    return ci_round_up(panel->columns, layout.lanes) * panel->k_blocks * kernel->k_step *
           (layout.is_wide ? 2 : 1);
}

void ci_qconv_run_panels(const ci_qconv *conv, const ci_run *run, const ci_qconv_scratch *scratch,
                         int32_t rows, int32_t first_panel, int32_t panels, const uint8_t *input,
                         char *output, const uint8_t *residual) {
    const char *weights = ci_address(run, conv->weights);
    const int32_t *bias = ci_address(run, conv->bias), *weight_zero = ci_address(run, conv->weight_zero);
    const float *scale = ci_address(run, conv->scale);
    const int32_t output_bytes = ci_qconv_output_bytes(conv);
    ci_gemm_s8_fn *kernel = (ci_gemm_s8_fn *)conv->kernel->function;
    ci_gemm_s8_args args = {.rows = rows, .a_row = scratch->input_rows};
    for (int32_t index = first_panel; index < first_panel + panels; index++) {
        const ci_qconv_panel *panel = &conv->panel[index];
        args.columns = panel->columns;
        args.k_blocks = panel->k_blocks;
        args.a = input + panel->input_offset;
        args.a_depth = conv->depth_offsets + panel->depth_first;
        args.b = weights + panel->weights_offset;
        args.prefetch_bytes = panel_bytes(conv->kernel, panel);
        args.prefetch = (const char *)args.b + args.prefetch_bytes; /* the next panel, or the next layer */
        args.bias = bias + panel->parameter;
        if (panel->is_sums) {
            for (int32_t row = 0; row < rows; row++)
                scratch->sum_rows[row] = row;
            args.a_sum = NULL;
            args.c = scratch->sums;
            args.c_row = scratch->sum_rows;
            args.requantise = (ci_requantise){.rule = CI_REQUANTISE_NONE};
            kernel(&args);
            args.a_sum = scratch->sums;
            continue;
        }
        args.b_zero = args.a_sum ? weight_zero + panel->parameter : NULL;
        args.c = output + (int64_t)panel->first_column * output_bytes;
        args.c_row = scratch->output_rows;
        args.requantise = conv->requantise;
        args.requantise.scale = scale ? scale + panel->parameter : NULL;
        args.requantise.residual.data = residual ? residual + panel->first_column : NULL;
        args.requantise.residual.row = scratch->residual_rows;
        kernel(&args);
    }
}

static int64_t table_bytes(int64_t rows) {
    return (rows * (int64_t)sizeof(int32_t) + 63) & ~(int64_t)63;
}

int64_t ci_qconv_scratch_bytes(int64_t rows) {
    return 5 * table_bytes(rows);
}

ci_qconv_scratch ci_qconv_lay_scratch(char *scratch, int64_t rows) {
    const int64_t table = table_bytes(rows);
    return (ci_qconv_scratch){
        .input_rows = (int32_t *)scratch,
        .output_rows = (int32_t *)(scratch + table),
        .residual_rows = (int32_t *)(scratch + 2 * table),
        .sum_rows = (int32_t *)(scratch + 3 * table),
        .sums = (int32_t *)(scratch + 4 * table),
        .rest = scratch + 5 * table,
    };
}

/* Marks the windows that lie beyond each row's end; the first row of the table begins an output row. */
static void skip_beyond(int32_t *rows, int32_t count, int32_t width, int32_t row_windows) {
    for (int32_t row = 0; row < count; row += row_windows) {
        for (int32_t x = width; x < row_windows && row + x < count; x++)
            rows[row + x] = CI_ROW_SKIPPED;
    }
}

/* Bytes from one copied window to the next; not a power of two, for the caches. */
static int64_t gathered_step(const ci_qconv *conv) {
    return (int64_t)conv->depth_count * conv->kernel->k_step + 64;
}

/* Copies the windows whose offsets are in the table one behind the other, and points the table there. */
static const uint8_t *gather_windows(const ci_qconv *conv, const ci_qconv_scratch *scratch, int32_t rows,
                                     const uint8_t *input) {
    const int32_t *depth = conv->depth_offsets, blocks = conv->depth_count, k_step = conv->kernel->k_step;
    const int64_t step = gathered_step(conv);
    for (int32_t row = 0; row < rows; row++) {
        const uint8_t *from = input + scratch->input_rows[row];
        char *to = scratch->rest + row * step;
        for (int32_t k = 0; k < blocks;) {
            int32_t next = k + 1;
            while (next < blocks && depth[next] == depth[next - 1] + k_step)
                next++;
            memcpy(to + (int64_t)k * k_step, from + depth[k], (size_t)(next - k) * (size_t)k_step);
            k = next;
        }
        scratch->input_rows[row] = (int32_t)(row * step);
    }
    return (const uint8_t *)scratch->rest;
}

/* Bytes from one window picked together to the next; no power of two where many lie at one. */
static int64_t picked_step(const ci_qconv *conv) {
    return ci_round_up(conv->picked_count, 16) + 16;
}

/* Picks the bytes of each window together, and points the table there. */
static const uint8_t *pick_windows(const params *p, const ci_qconv_scratch *scratch, int32_t rows,
                                   const uint8_t *input) {
    const ci_qconv *conv = &p->conv;
    const int64_t step = picked_step(conv);
    int32_t *offset = scratch->input_rows;
    for (int32_t row = 0, next; row < rows; row = next) {
        const int32_t first = offset[row], distance = row + 1 < rows ? offset[row + 1] - first : 0;
        for (next = row + 1; next < rows && offset[next] - offset[next - 1] == distance; next++)
            ;
        const ci_gather_args args = {
            .rows = next - row,
            .columns = conv->picked_count,
            .index = conv->picked,
            .x = input + first,
            .x_row_stride = distance,
            .y = scratch->rest + row * step,
            .y_row_stride = step,
        };
        p->pick(&args);
    }
    for (int32_t row = 0; row < rows; row++)
        offset[row] = (int32_t)(row * step);
    return (const uint8_t *)scratch->rest;
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_qconv *conv = &p->conv;
    const int32_t width = conv->row_windows;
    const int64_t first_row = (int64_t)(task / p->panel_tasks) * conv->rows_per_task;
    const int64_t left = p->rows - first_row;
    const int32_t rows = (int32_t)(left < conv->rows_per_task ? left : conv->rows_per_task);
    const int32_t first_panel = task % p->panel_tasks * conv->panels_per_task;
    int32_t panels = conv->panels - first_panel;
    if (panels > conv->panels_per_task)
        panels = conv->panels_per_task;

    const ci_qconv_scratch scratch = ci_qconv_lay_scratch(run->scratch, conv->rows_per_task);
    const uint8_t *input = ci_address(run, conv->input), *residual = ci_address(run, conv->residual);
    char *output = ci_address(run, conv->output);
    input += ci_row_offsets(scratch.input_rows, first_row, rows, conv->height, width, conv->input_strides);
    output += ci_qconv_output_bytes(conv) *
              ci_row_offsets(scratch.output_rows, first_row, rows, conv->height, width, conv->output_strides);
    if (residual)
        residual += ci_row_offsets(scratch.residual_rows, first_row, rows, conv->height, width,
                                   conv->residual_strides);
    if (width > conv->width)
        skip_beyond(scratch.output_rows, rows, conv->width, width);
    if (conv->gathers)
        input = gather_windows(conv, &scratch, rows, input);
    if (conv->picked)
        input = pick_windows(p, &scratch, rows, input);
    ci_qconv_run_panels(conv->gathers ? &p->gathered : conv, run, &scratch, rows, first_panel, panels, input,
                        output, residual);
}

static int64_t magnitude(int64_t value) {
    return value < 0 ? -value : value;
}

/* Whether the offsets within one task's block of rows fit the kernel's 31 bits. */
static int rows_fit(const ci_qconv *conv, ci_row_strides strides) {
    const int64_t limit = INT32_MAX / 4;
    int64_t rows = conv->rows_per_task / conv->row_windows + 2, images = rows / conv->height + 2;
    if (rows > conv->height)
        rows = conv->height;
    if (images > conv->images)
        images = conv->images;
    return magnitude(strides.pixel) <= limit / conv->row_windows && magnitude(strides.row) <= limit / rows &&
           magnitude(strides.image) <= limit / images;
}

static ci_status check_rows(const ci_program *program, const ci_qconv *conv, ci_ref ref,
                            ci_row_strides strides, int64_t channels, int32_t element_bytes) {
    const int64_t shape[4] = {conv->images, conv->height, conv->width, channels};
    const int64_t along[4] = {strides.image, strides.row, strides.pixel, 1};
    return ci_program_check_view(program, ref, 4, shape, along, element_bytes);
}

/* The bytes that a panel reads of a window: what lies behind a run, within its last k_step, included. */
static ci_status check_input(const ci_program *program, const ci_qconv *conv, const ci_qconv_panel *panel) {
    const int32_t *table = conv->depth_offsets + panel->depth_first;
    int64_t lowest = table[0], highest = table[0];
    for (int32_t k = 1; k < panel->k_blocks; k++) {
        lowest = table[k] < lowest ? table[k] : lowest;
        highest = table[k] > highest ? table[k] : highest;
    }
    ci_ref input = conv->input;
    input.offset += lowest + panel->input_offset;
    return check_rows(program, conv, input, conv->input_strides, highest - lowest + conv->kernel->k_step, 1);
}

static ci_status check_panel(const ci_program *program, const ci_qconv *conv, const ci_qconv_panel *panel) {
    const ci_kernel *kernel = conv->kernel;
    if (panel->columns < 1 || panel->columns > kernel->nr || panel->first_column < 0 || panel->k_blocks < 1 ||
        panel->depth_first < 0 || panel->k_blocks > conv->depth_count - panel->depth_first ||
        panel->parameter < 0)
        return CI_ERROR_ARGUMENT;
    if (panel->k_blocks > INT32_MAX / kernel->k_step)
        return CI_ERROR_OVERFLOW;
    const int32_t depth = panel->k_blocks * kernel->k_step;
    const ci_gemm_shape_s8 shape = {
        .kernel = kernel, .columns = panel->columns, .runs = 1, .run_length = &depth};
    ci_gemm_size_s8 size;
    ci_status status = ci_pack_s8_measure(&shape, &size);
    if (status != CI_OK)
        return status;
    if (size.panels != 1 || size.padded_columns > conv->parameters - panel->parameter)
        return CI_ERROR_ARGUMENT;
    ci_ref output = conv->output, residual = conv->residual, weights = conv->weights;
    weights.offset += panel->weights_offset;
    status = ci_program_check(program, weights, size.weight_bytes);
    if (status != CI_OK || panel->is_sums)
        return status;
    output.offset += (int64_t)panel->first_column * ci_qconv_output_bytes(conv);
    status =
        check_rows(program, conv, output, conv->output_strides, panel->columns, ci_qconv_output_bytes(conv));
    if (status == CI_OK && residual.slot != CI_SLOT_NONE) {
        residual.offset += panel->first_column;
        status = check_rows(program, conv, residual, conv->residual_strides, panel->columns, 1);
    }
    return status;
}

ci_status ci_qconv_prepare(ci_program *program, ci_qconv *conv) {
    if (!conv->kernel || conv->kernel->operation != CI_OPERATION_gemm_s8 || conv->images < 1 ||
        conv->height < 1 || conv->width < 1 || conv->row_windows < conv->width || conv->depth_count < 1 ||
        conv->panels < 1 || conv->parameters < 1 || !ci_requantise_is_legal(&conv->requantise) ||
        (conv->requantise.rule == CI_REQUANTISE_NONE && conv->residual.slot != CI_SLOT_NONE))
        return CI_ERROR_ARGUMENT;
    int32_t sums = 0;
    for (int32_t index = 0; index < conv->panels; index++) {
        const ci_status status = check_panel(program, conv, &conv->panel[index]);
        if (status != CI_OK)
            return status;
        sums |= conv->panel[index].is_sums;
    }
    if (sums && conv->panels_per_task < conv->panels)
        return CI_ERROR_ARGUMENT;
    const int64_t bytes = conv->parameters * (int64_t)sizeof(int32_t);
    ci_status status = ci_program_check(program, conv->bias, bytes);
    if (status == CI_OK && sums)
        status = ci_program_check(program, conv->weight_zero, bytes);
    if (status == CI_OK && conv->requantise.rule != CI_REQUANTISE_NONE)
        status = ci_program_check(program, conv->scale, bytes);
    if (status != CI_OK)
        return status;
    conv->depth_offsets =
        ci_program_keep(program, conv->depth_offsets, sizeof(int32_t) * (size_t)conv->depth_count);
    conv->panel = ci_program_keep(program, conv->panel, sizeof *conv->panel * (size_t)conv->panels);
    return conv->depth_offsets && conv->panel ? CI_OK : CI_ERROR_MEMORY;
}

/* Windows beyond the row's end read what the next row's first ones read, those of the last row left out: this
 * holds where a row of `row_windows` is just as long as a step to the next row, and an image at least as long
 * as its rows. */
static int skipped_windows_stay_inside(const ci_qconv *conv) {
    const ci_row_strides strides = conv->input_strides;
    return conv->row_windows == conv->width ||
           (strides.pixel > 0 && strides.row / strides.pixel == conv->row_windows &&
            strides.row % strides.pixel == 0 && strides.image / conv->height >= strides.row &&
            conv->rows_per_task % conv->row_windows == 0);
}

/* The same convolution over copies of its windows. */
static ci_status prepare_gathered(ci_program *program, const ci_qconv *conv, ci_qconv *gathered) {
    *gathered = *conv;
    for (int32_t index = 0; index < conv->panels; index++) {
        const ci_qconv_panel *panel = &conv->panel[index];
        if (panel->input_offset != 0 || panel->depth_first != 0 || panel->k_blocks != conv->depth_count)
            return CI_ERROR_ARGUMENT;
    }
    if (gathered_step(conv) > INT32_MAX / conv->rows_per_task)
        return CI_ERROR_OVERFLOW;
    int32_t *offsets = malloc(sizeof(int32_t) * (size_t)conv->depth_count);
    if (!offsets)
        return CI_ERROR_MEMORY;
    for (int32_t k = 0; k < conv->depth_count; k++)
        offsets[k] = k * conv->kernel->k_step;
    gathered->depth_offsets = ci_program_keep(program, offsets, sizeof(int32_t) * (size_t)conv->depth_count);
    free(offsets);
    return gathered->depth_offsets ? CI_OK : CI_ERROR_MEMORY;
}

/* The bytes that are picked lie in the input, and what panels read in their copies. */
static ci_status prepare_picked(ci_program *program, const ci_qconv *given, ci_qconv *conv) {
    if (given->gathers || given->picked_count < 1 || !(given->allowed & CI_ISA_BIT(CI_ISA_SCALAR)))
        return CI_ERROR_ARGUMENT;
    int32_t lowest = given->picked[0], highest = given->picked[0];
    for (int32_t k = 1; k < given->picked_count; k++) {
        lowest = given->picked[k] < lowest ? given->picked[k] : lowest;
        highest = given->picked[k] > highest ? given->picked[k] : highest;
    }
    ci_ref input = given->input;
    input.offset += lowest;
    const ci_status status =
        check_rows(program, given, input, given->input_strides, (int64_t)highest - lowest + 1, 1);
    if (status != CI_OK)
        return status;
    const int64_t step = picked_step(given);
    if (step > INT32_MAX / given->rows_per_task)
        return CI_ERROR_OVERFLOW;
    for (int32_t index = 0; index < given->panels; index++) {
        const ci_qconv_panel *panel = &given->panel[index];
        for (int32_t k = panel->depth_first; k < panel->depth_first + panel->k_blocks; k++) {
            const int64_t offset = panel->input_offset + given->depth_offsets[k];
            if (offset < 0 || offset > step - given->kernel->k_step)
                return CI_ERROR_BOUNDS;
        }
    }
    conv->picked = ci_program_keep(program, given->picked, sizeof(int32_t) * (size_t)given->picked_count);
    return conv->picked ? CI_OK : CI_ERROR_MEMORY;
}

ci_status ci_add_qconv(ci_program *program, const ci_qconv *conv) {
    params p = {.conv = *conv};
    ci_status status = ci_qconv_prepare(program, &p.conv);
    if (status != CI_OK)
        return status;
    if (conv->rows_per_task < 1 || conv->panels_per_task < 1 || !skipped_windows_stay_inside(conv))
        return CI_ERROR_ARGUMENT;
    for (int32_t index = 0; index < conv->panels && !conv->picked; index++) {
        status = check_input(program, conv, &conv->panel[index]);
        if (status != CI_OK)
            return status;
    }
    if (conv->picked) {
        status = prepare_picked(program, conv, &p.conv);
        if (status != CI_OK)
            return status;
        p.pick = (ci_gather_fn *)ci_kernel_find(CI_OPERATION_gather, "x8", conv->allowed)->function;
    }
    const int32_t skipped = conv->row_windows - conv->width;
    p.rows = (int64_t)conv->images * conv->height * conv->row_windows - skipped;
    p.panel_tasks = (conv->panels - 1) / conv->panels_per_task + 1;
    const int64_t row_tasks = (p.rows + conv->rows_per_task - 1) / conv->rows_per_task;
    if (row_tasks > INT32_MAX / p.panel_tasks || !rows_fit(conv, conv->input_strides) ||
        !rows_fit(conv, conv->output_strides) ||
        (conv->residual.slot != CI_SLOT_NONE && !rows_fit(conv, conv->residual_strides)))
        return CI_ERROR_OVERFLOW;
    int64_t scratch_bytes = ci_qconv_scratch_bytes(conv->rows_per_task);
    if (conv->gathers) {
        status = prepare_gathered(program, &p.conv, &p.gathered);
        if (status != CI_OK)
            return status;
        scratch_bytes += gathered_step(conv) * conv->rows_per_task;
    }
    if (conv->picked)
        scratch_bytes += picked_step(conv) * conv->rows_per_task;
    return ci_program_add(program, task, &p, sizeof p, (int32_t)row_tasks * p.panel_tasks, scratch_bytes);
}
