/* Convolution over bands of the padded input: the rows that a block of output rows needs are copied into the
 * thread's scratch, with zeros around, and read there in place. What it writes may be pooled in scratch too.
 */
#include <limits.h>
#include <string.h>

#include "steps/conv.h"
#include "steps/windows.h"

typedef struct {
    ci_conv conv;
    ci_conv_bands bands;
    int32_t tasks_per_image;
    int32_t band_rows; /* of the padded input */
    int32_t planes;    /* planar: channels; NHWC: 1 */
    int32_t unit;      /* elements of a pixel in its line: planar 1, NHWC all channels */
    int64_t line;      /* elements of a row of the band */
    int64_t band_elems;
    int32_t held_rows; /* of the convolution's output, in scratch; 0 without a pool */
    int64_t held_row;  /* elements of such a row */
} params;

/* Copies `rows` rows of the padded image, from number `first` on, into the band. */
static void fill(const params *p, const float *image, int32_t first, int32_t rows, float *band) {
    const ci_image *in = &p->bands.image;
    const ci_window *window = &p->bands.window;
    const int64_t left = (int64_t)window->pad_left * p->unit;
    int64_t inside = (int64_t)in->width * p->unit;
    if (inside > p->line - left)
        inside = p->line - left;
    for (int32_t plane = 0; plane < p->planes; plane++) {
        const float *source = image + plane * p->bands.channel_stride;
        float *line = band + plane * p->band_rows * p->line;
        for (int32_t row = 0; row < rows; row++, line += p->line) {
            const int64_t y = (int64_t)first + row - window->pad_top;
            if (y < 0 || y >= in->height) {
                memset(line, 0, (size_t)p->line * sizeof(float));
                continue;
            }
            const float *from = source + y * in->row_stride;
            memset(line, 0, (size_t)left * sizeof(float));
            if (in->pixel_stride == p->unit) {
                memcpy(line + left, from, (size_t)inside * sizeof(float));
            } else {
                for (int64_t x = 0; x < inside; x += p->unit, from += in->pixel_stride)
                    memcpy(line + left + x, from, (size_t)p->unit * sizeof(float));
            }
            memset(line + left + inside, 0, (size_t)(p->line - left - inside) * sizeof(float));
        }
    }
}

/* Computes `rows` output rows of one image, from number `first` on; `output` and `residual` are those of the
 * first. */
static void convolve(const params *p, const ci_run *run, const ci_conv_scratch *scratch, const float *input,
                     int32_t first, int32_t rows, float *output, const float *residual) {
    const ci_conv *conv = &p->conv;
    const int32_t most = p->bands.rows, stride = p->bands.window.stride_y;
    float *band = (float *)scratch->rest;
    ci_gemm_f32_args args = {
        .a_row = scratch->input_rows, .c_row = scratch->output_rows, .residual_row = scratch->residual_rows};
    for (int32_t y = 0; y < rows; y += most) {
        const int32_t count = rows - y < most ? rows - y : most;
        fill(p, input, (first + y) * stride, p->band_rows - (most - count) * stride, band);
        args.rows = count * conv->width;
        ci_conv_run_panels(conv, run, &args, 0, conv->panels, band, output + y * conv->output_strides.row,
                           residual ? residual + y * conv->residual_strides.row : NULL, scratch->sums);
    }
}

static ci_conv_scratch lay_scratch(const params *p, const ci_run *run) {
    const ci_conv *conv = &p->conv;
    const int32_t most = p->bands.rows * conv->width;
    const ci_conv_scratch scratch = ci_conv_lay_scratch(conv, run->scratch, most);
    ci_row_offsets(scratch.input_rows, 0, most, conv->height, conv->width, conv->input_strides);
    ci_row_offsets(scratch.output_rows, 0, most, conv->height, conv->width, conv->output_strides);
    ci_row_offsets(scratch.residual_rows, 0, most, conv->height, conv->width, conv->residual_strides);
    return scratch;
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_conv *conv = &p->conv;
    const ci_conv_bands *bands = &p->bands;
    const int64_t image = task / p->tasks_per_image;
    const int32_t first = task % p->tasks_per_image * bands->rows_per_task;
    const int32_t left = conv->height - first;
    const ci_conv_scratch scratch = lay_scratch(p, run);
    const float *input = (const float *)ci_address(run, conv->input) + image * bands->image.image_stride;
    float *output = (float *)ci_address(run, conv->output) + image * conv->output_strides.image +
                    first * conv->output_strides.row;
    const float *residual = ci_address(run, conv->residual);
    if (residual)
        residual += image * conv->residual_strides.image + first * conv->residual_strides.row;
    convolve(p, run, &scratch, input, first, left < bands->rows_per_task ? left : bands->rows_per_task,
             output, residual);
}

static int32_t clip(int64_t y, int32_t height) {
    return y < 0 ? 0 : y < height ? (int32_t)y : height;
}

/* Pools blocks of rows as soon as what their windows read is there. Rows that the next block needs as well
 * move to the front. */
static void task_pooled(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_conv *conv = &p->conv;
    const ci_conv_bands *bands = &p->bands;
    const ci_pool *pool = &bands->pool;
    const ci_image *out = &pool->output_image;
    const ci_window *window = &pool->window;
    const int64_t image = task / p->tasks_per_image;
    const int32_t first = task % p->tasks_per_image * bands->rows_per_task;
    const int32_t end =
        out->height - first < bands->rows_per_task ? out->height : first + bands->rows_per_task;
    const ci_conv_scratch scratch = lay_scratch(p, run);
    float *held = (float *)scratch.rest + p->band_elems;
    const float *input = (const float *)ci_address(run, conv->input) + image * bands->image.image_stride;
    float *output = (float *)ci_address(run, pool->output) + image * out->image_stride;

    int32_t held_first = 0, held_end = 0; /* the rows of the convolution's output that are in scratch */
    for (int32_t y = first; y < end; y += bands->pooled_rows) {
        const int32_t rows = end - y < bands->pooled_rows ? end - y : bands->pooled_rows;
        const int64_t begin = (int64_t)y * window->stride_y - window->pad_top;
        const int64_t reach = (int64_t)(rows - 1) * window->stride_y +
                              (int64_t)(window->kernel_height - 1) * window->dilation_y + 1;
        const int32_t needed = clip(begin, conv->height), needed_end = clip(begin + reach, conv->height);
        const int32_t kept = held_end > needed ? held_end - needed : 0;
        if (kept)
            memmove(held, held + (needed - held_first) * p->held_row,
                    (size_t)kept * (size_t)p->held_row * sizeof(float));
        convolve(p, run, &scratch, input, needed + kept, needed_end - needed - kept,
                 held + kept * p->held_row, NULL);
        held_first = needed;
        held_end = needed_end;
        /* The rows held are an image of their own, with padding where the whole image has it. */
        ci_pool_args args = ci_pool_rows(pool, held, output + y * out->row_stride, 0, rows);
        args.window.pad_top = (int32_t)(needed - begin);
        args.input_height = needed_end - needed;
        ci_pool_run(pool, &args);
    }
}

static ci_status check_image(const ci_program *program, const params *p) {
    const ci_image *in = &p->bands.image;
    if (in->images != p->conv.images || in->height < 1 || in->width < 1 || in->channels < 1)
        return CI_ERROR_ARGUMENT;
    const int64_t shape[4] = {in->images, p->planes, in->height, (int64_t)in->width * p->unit};
    const int64_t strides[4] = {in->image_stride, p->bands.channel_stride, in->row_stride, 1};
    if (in->pixel_stride == p->unit)
        return ci_program_check_view(program, p->conv.input, 4, shape, strides, sizeof(float));
    return p->planes > 1 ? CI_ERROR_ARGUMENT
                         : ci_program_check_image(program, p->conv.input, in, sizeof(float));
}

/* The image between convolution and pool, which only ever lies in scratch. */
static ci_status prepare_pool(const ci_program *program, params *p) {
    ci_conv *conv = &p->conv;
    ci_pool *pool = &p->bands.pool;
    ci_image *between = &pool->input_image;
    const ci_window *window = &pool->window;
    between->images = conv->images;
    between->height = conv->height;
    between->width = conv->width;
    between->channels = pool->output_image.channels;
    ci_status status = ci_pool_check(program, pool);
    if (status != CI_OK)
        return status;
    const int64_t limit = INT32_MAX / 4;
    if (pool->kernel->operation != CI_OPERATION_maxpool_f32 || conv->residual.slot != CI_SLOT_NONE ||
        p->bands.pooled_rows < 1 || p->bands.pooled_rows > pool->output_image.height)
        return CI_ERROR_ARGUMENT;
    for (int32_t index = 0; index < conv->panels; index++)
        if (conv->panel[index].first_column > between->channels - conv->panel[index].columns)
            return CI_ERROR_BOUNDS;
    const int64_t reach = (int64_t)(window->kernel_height - 1) * window->dilation_y + 1;
    const int64_t held = (int64_t)(p->bands.pooled_rows - 1) * window->stride_y + reach;
    p->held_rows = held < conv->height ? (int32_t)held : conv->height;
    p->held_row = (int64_t)conv->width * between->channels;
    if (p->held_row > limit / p->held_rows || window->pad_top > limit)
        return CI_ERROR_OVERFLOW;
    between->pixel_stride = between->channels;
    between->row_stride = p->held_row;
    conv->output_strides = (ci_row_strides){0, between->row_stride, between->pixel_stride};
    return CI_OK;
}

ci_status ci_add_conv_bands(ci_program *program, const ci_conv *conv, const ci_conv_bands *bands) {
    params p = {.conv = *conv, .bands = *bands};
    const ci_window *window = &bands->window;
    const int has_pool = bands->pool.kernel != NULL;
    const int32_t height = has_pool ? bands->pool.output_image.height : conv->height;
    ci_status status = ci_conv_prepare(program, &p.conv);
    if (status == CI_OK)
        status = has_pool ? prepare_pool(program, &p) : ci_conv_check_output(program, conv);
    if (status != CI_OK)
        return status;
    if (!ci_window_is_legal(window) || bands->rows < 1 || bands->rows > conv->height ||
        bands->rows_per_task < 1 || bands->rows_per_task > height || bands->padded_width <= window->pad_left)
        return CI_ERROR_ARGUMENT;
    p.planes = bands->is_planar ? bands->image.channels : 1;
    p.unit = bands->is_planar ? 1 : bands->image.channels;
    status = check_image(program, &p);
    if (status != CI_OK)
        return status;
    const int64_t limit = INT32_MAX / 4;
    const int64_t band_rows = (int64_t)(bands->rows - 1) * window->stride_y +
                              (int64_t)(window->kernel_height - 1) * window->dilation_y + 1;
    p.line = (int64_t)bands->padded_width * p.unit;
    if (band_rows > limit || p.line > limit / band_rows / p.planes ||
        (int64_t)conv->height * window->stride_y > limit || window->pad_top > limit)
        return CI_ERROR_OVERFLOW;
    p.band_rows = (int32_t)band_rows;
    p.band_elems = (band_rows * p.line * p.planes + 15) & ~(int64_t)15;
    const int64_t elems = band_rows * p.line * p.planes, rows = (int64_t)bands->rows * conv->width;
    p.conv.input_strides = (ci_row_strides){0, window->stride_y * p.line, (int64_t)window->stride_x * p.unit};
    const int64_t last =
        (bands->rows - 1) * p.conv.input_strides.row + (conv->width - 1) * p.conv.input_strides.pixel;
    for (int32_t index = 0; index < conv->panels; index++) {
        int64_t lowest, highest;
        ci_conv_panel_reach(&p.conv, &p.conv.panel[index], &lowest, &highest);
        if (lowest < 0 || last + highest >= elems)
            return CI_ERROR_BOUNDS;
    }
    p.tasks_per_image = (height - 1) / bands->rows_per_task + 1;
    if (p.tasks_per_image > INT32_MAX / conv->images || !ci_conv_rows_fit(conv, p.conv.input_strides, rows) ||
        !ci_conv_rows_fit(conv, p.conv.output_strides, rows) ||
        (conv->residual.slot != CI_SLOT_NONE && !ci_conv_rows_fit(conv, conv->residual_strides, rows)))
        return CI_ERROR_OVERFLOW;
    const int64_t scratch_elems = p.band_elems + p.held_rows * p.held_row;
    return ci_program_add(program, has_pool ? task_pooled : task, &p, sizeof p,
                          p.tasks_per_image * conv->images,
                          ci_conv_scratch_bytes(&p.conv, rows) + scratch_elems * (int64_t)sizeof(float));
}
