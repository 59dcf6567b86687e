/* A bottleneck in bands, float32. */
#include "steps/bottleneck.h"

#include <limits.h>
#include <string.h>

typedef struct {
    ci_bottleneck bottleneck;
    int32_t tasks_per_image;
    int32_t band_rows; /* of the wide image */
    int64_t wide_row;  /* elements of a row of the wide image, its padding included */
} params;

/* A task's scratch. */
typedef struct {
    ci_conv_scratch expand, project;
    float *wide, *narrow; /* the band, and what the depthwise convolution makes of it */
} layout;

static int has_expand(const ci_bottleneck *bottleneck) {
    return bottleneck->expand.panels > 0;
}

static int64_t round_up(int64_t bytes) {
    return (bytes + 63) & ~(int64_t)63;
}

static int64_t wide_bytes(const params *p) {
    return round_up(p->band_rows * p->wide_row * (int64_t)sizeof(float));
}

static int64_t expand_rows_at_once(const params *p) {
    return (int64_t)p->band_rows * p->bottleneck.expand.width;
}

static int64_t project_rows_at_once(const params *p) {
    return (int64_t)p->bottleneck.band * p->bottleneck.project.width;
}

static int64_t scratch_bytes(const params *p) {
    const ci_conv *expand = &p->bottleneck.expand, *project = &p->bottleneck.project;
    int64_t bytes = ci_conv_scratch_bytes(project, project_rows_at_once(p)) +
                    project_rows_at_once(p) * project->input_strides.pixel * (int64_t)sizeof(float);
    if (has_expand(&p->bottleneck))
        bytes += ci_conv_scratch_bytes(expand, expand_rows_at_once(p)) + wide_bytes(p);
    return bytes;
}

static layout lay_scratch(const params *p, char *scratch) {
    layout laid = {.project = ci_conv_lay_scratch(&p->bottleneck.project, scratch, project_rows_at_once(p))};
    char *rest = laid.project.rest;
    if (has_expand(&p->bottleneck)) {
        laid.expand = ci_conv_lay_scratch(&p->bottleneck.expand, rest, expand_rows_at_once(p));
        laid.wide = (float *)laid.expand.rest;
        rest = laid.expand.rest + wide_bytes(p);
    }
    laid.narrow = (float *)rest;
    return laid;
}

/* Zeros left and right of the image: nothing else is ever written there. */
static void clear_sides(const params *p, float *wide) {
    const ci_direct_conv *depthwise = &p->bottleneck.depthwise.conv;
    const size_t channels = (size_t)depthwise->input_image.channels,
                 left = (size_t)depthwise->window.pad_left;
    const size_t inside = left + (size_t)p->bottleneck.expand.width;
    const size_t right = (size_t)depthwise->input_image.width - inside;
    for (int32_t row = 0; row < p->band_rows; row++, wide += p->wide_row) {
        memset(wide, 0, left * channels * sizeof(float));
        memset(wide + inside * channels, 0, right * channels * sizeof(float));
    }
}

static void clear_rows(const params *p, float *wide, int32_t rows) {
    memset(wide, 0, (size_t)rows * (size_t)p->wide_row * sizeof(float));
}

/* Computes rows first .. end - 1 of the wide image (numbered from the first row of padding) into the band. */
static void expand_rows(const params *p, const ci_run *run, const layout *scratch, const float *input,
                        float *wide, int32_t first, int32_t end) {
    const ci_conv *expand = &p->bottleneck.expand;
    const ci_window *window = &p->bottleneck.depthwise.conv.window;
    const int32_t top = window->pad_top, bottom = top + expand->height;
    if (first < top) {
        const int32_t rows = (end < top ? end : top) - first;
        clear_rows(p, wide, rows);
        wide += rows * p->wide_row;
        first += rows;
    }
    if (first < end && first < bottom) {
        const int32_t rows = (end < bottom ? end : bottom) - first;
        ci_gemm_f32_args args = {.rows = rows * expand->width,
                                 .a_row = scratch->expand.input_rows,
                                 .c_row = scratch->expand.output_rows};
        ci_conv_run_panels(
            expand, run, &args, 0, expand->panels, input + (first - top) * expand->input_strides.row,
            wide + (int64_t)window->pad_left * p->bottleneck.depthwise.conv.input_image.channels, NULL,
            scratch->expand.sums);
        wide += rows * p->wide_row;
        first += rows;
    }
    if (first < end)
        clear_rows(p, wide, end - first);
}

static void fill_tables(const params *p, const layout *scratch) {
    const ci_conv *expand = &p->bottleneck.expand, *project = &p->bottleneck.project;
    if (has_expand(&p->bottleneck)) {
        const int32_t rows = p->band_rows < expand->height ? p->band_rows : expand->height;
        const int32_t count = rows * expand->width;
        ci_row_offsets(scratch->expand.input_rows, 0, count, rows, expand->width, expand->input_strides);
        ci_row_offsets(scratch->expand.output_rows, 0, count, rows, expand->width, expand->output_strides);
    }
    const int32_t count = p->bottleneck.band * project->width;
    ci_row_offsets(scratch->project.input_rows, 0, count, project->height, project->width,
                   project->input_strides);
    ci_row_offsets(scratch->project.output_rows, 0, count, project->height, project->width,
                   project->output_strides);
    ci_row_offsets(scratch->project.residual_rows, 0, count, project->height, project->width,
                   project->residual_strides);
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_bottleneck *bottleneck = &p->bottleneck;
    const ci_conv *project = &bottleneck->project;
    const ci_direct_conv *depthwise = &bottleneck->depthwise.conv;
    const int64_t image = task / p->tasks_per_image;
    const int32_t first = task % p->tasks_per_image * bottleneck->rows_per_task;
    const int32_t end = project->height - first < bottleneck->rows_per_task
                            ? project->height
                            : first + bottleneck->rows_per_task;
    const int32_t stride = depthwise->window.stride_y;
    const layout scratch = lay_scratch(p, run->scratch);
    fill_tables(p, &scratch);

    const float *input, *residual = ci_address(run, project->residual);
    if (has_expand(bottleneck)) {
        clear_sides(p, scratch.wide);
        input = (const float *)ci_address(run, bottleneck->expand.input) +
                image * bottleneck->expand.input_strides.image;
    } else {
        input =
            (const float *)ci_address(run, depthwise->input) + image * depthwise->input_image.image_stride;
    }
    float *output = (float *)ci_address(run, project->output) + image * project->output_strides.image;
    if (residual)
        residual += image * project->residual_strides.image;

    int32_t held_end =
        0; /* rows of the wide image in the band end here; they begin where the last band did */
    for (int32_t y = first; y < end; y += bottleneck->band) {
        const int32_t rows = end - y < bottleneck->band ? end - y : bottleneck->band;
        const int32_t begin = y * stride;
        ci_direct_rows part = {.rows = rows, .output = scratch.narrow, .input = scratch.wide};
        if (has_expand(bottleneck)) {
            const int32_t wide_end = begin + p->band_rows - (bottleneck->band - rows) * stride;
            const int32_t shared = y > first && held_end > begin ? held_end - begin : 0;
            if (shared)
                memmove(scratch.wide, scratch.wide + (int64_t)bottleneck->band * stride * p->wide_row,
                        (size_t)shared * (size_t)p->wide_row * sizeof(float));
            expand_rows(p, run, &scratch, input, scratch.wide + shared * p->wide_row, begin + shared,
                        wide_end);
            held_end = wide_end;
        } else {
            part.input = input + begin * depthwise->input_image.row_stride;
        }
        ci_depthwise_run(&bottleneck->depthwise, run, &part);
        ci_gemm_f32_args args = {.rows = rows * project->width,
                                 .a_row = scratch.project.input_rows,
                                 .c_row = scratch.project.output_rows,
                                 .residual_row = scratch.project.residual_rows};
        ci_conv_run_panels(
            project, run, &args, 0, project->panels, scratch.narrow, output + y * project->output_strides.row,
            residual ? residual + y * project->residual_strides.row : NULL, scratch.project.sums);
    }
}

/* The expanding convolution, and how the band holds what it writes. */
static ci_status prepare_expand(ci_program *program, params *p) {
    ci_conv *expand = &p->bottleneck.expand;
    const ci_window *window = &p->bottleneck.depthwise.conv.window;
    ci_image *wide = &p->bottleneck.depthwise.conv.input_image;
    ci_status status = ci_conv_prepare(program, expand);
    if (status == CI_OK)
        status = ci_conv_check_input(program, expand);
    if (status != CI_OK)
        return status;
    if (expand->images != wide->images || expand->residual.slot != CI_SLOT_NONE ||
        (int64_t)window->pad_left + expand->width > wide->width ||
        (int64_t)window->pad_top + expand->height > INT32_MAX / 4)
        return CI_ERROR_ARGUMENT;
    for (int32_t index = 0; index < expand->panels; index++)
        if (expand->panel[index].first_column > wide->channels - expand->panel[index].columns)
            return CI_ERROR_ARGUMENT;
    const int64_t limit = INT32_MAX / 4;
    p->wide_row = (int64_t)wide->width * wide->channels;
    if (p->wide_row > limit / p->band_rows || wide->height > limit ||
        !ci_conv_rows_fit(expand, expand->input_strides, (int64_t)p->band_rows * expand->width))
        return CI_ERROR_OVERFLOW;
    wide->pixel_stride = wide->channels;
    wide->row_stride = p->wide_row;
    expand->output_strides = (ci_row_strides){0, wide->row_stride, wide->pixel_stride};
    return CI_OK;
}

/* The projecting convolution reads what the depthwise one has written, all channels of a pixel on end. */
static ci_status prepare_project(ci_program *program, params *p) {
    ci_conv *project = &p->bottleneck.project;
    ci_image *narrow = &p->bottleneck.depthwise.conv.output_image;
    ci_status status = ci_conv_prepare(program, project);
    if (status == CI_OK)
        status = ci_conv_check_output(program, project);
    if (status != CI_OK)
        return status;
    if (project->images != narrow->images || project->height != narrow->height ||
        project->width != narrow->width)
        return CI_ERROR_ARGUMENT;
    for (int32_t index = 0; index < project->panels; index++) {
        int64_t lowest, highest;
        ci_conv_panel_reach(project, &project->panel[index], &lowest, &highest);
        if (lowest < 0 || highest >= narrow->channels)
            return CI_ERROR_BOUNDS;
    }
    narrow->pixel_stride = narrow->channels;
    narrow->row_stride = (int64_t)narrow->width * narrow->channels;
    project->input_strides = (ci_row_strides){0, narrow->row_stride, narrow->pixel_stride};
    const int64_t rows = (int64_t)p->bottleneck.band * project->width;
    if (narrow->row_stride > INT32_MAX / 4 / p->bottleneck.band ||
        !ci_conv_rows_fit(project, project->output_strides, rows) ||
        (project->residual.slot != CI_SLOT_NONE &&
         !ci_conv_rows_fit(project, project->residual_strides, rows)))
        return CI_ERROR_OVERFLOW;
    return CI_OK;
}

ci_status ci_add_bottleneck(ci_program *program, const ci_bottleneck *bottleneck) {
    params p = {.bottleneck = *bottleneck};
    ci_depthwise *depthwise = &p.bottleneck.depthwise;
    const ci_window *window = &depthwise->conv.window;
    ci_status status = ci_check_direct_window(program, &depthwise->conv);
    if (status == CI_OK)
        status = ci_depthwise_check_weights(program, depthwise);
    if (status != CI_OK)
        return status;
    const int32_t height = depthwise->conv.output_image.height;
    if (depthwise->conv.input_image.channels != depthwise->conv.output_image.channels ||
        depthwise->conv.residual.slot != CI_SLOT_NONE || bottleneck->band < 1 ||
        bottleneck->rows_per_task < 1 || bottleneck->band > height || bottleneck->rows_per_task > height)
        return CI_ERROR_ARGUMENT;
    /* No more rows than the padded image has: see ci_window_fits. */
    p.band_rows = (int32_t)((int64_t)(bottleneck->band - 1) * window->stride_y +
                            (int64_t)(window->kernel_height - 1) * window->dilation_y + 1);
    status = has_expand(bottleneck) ? prepare_expand(program, &p)
                                    : ci_check_image(program, depthwise->conv.input,
                                                     &depthwise->conv.input_image, sizeof(float));
    if (status == CI_OK)
        status = prepare_project(program, &p);
    if (status != CI_OK)
        return status;
    p.tasks_per_image = (height - 1) / bottleneck->rows_per_task + 1;
    if (p.tasks_per_image > INT32_MAX / depthwise->conv.output_image.images)
        return CI_ERROR_OVERFLOW;
    return ci_program_add(program, task, &p, sizeof p,
                          p.tasks_per_image * depthwise->conv.output_image.images, scratch_bytes(&p));
}
