/* Pooling: rows of images are dealt out to the kernel. */
#include "steps/pool.h"

#include "steps/windows.h"

typedef struct {
    ci_pool pool;
    ci_row_split split;
    int32_t element_bytes;
} params;

void ci_pool_run(const ci_pool *pool, const ci_pool_args *args) {
    /* The four operations have function types of one form. */
    ((ci_maxpool_f32_fn *)pool->kernel->function)(args);
}

ci_pool_args ci_pool_rows(const ci_pool *pool, const void *input, void *output, int32_t first, int32_t rows) {
    const ci_image *in = &pool->input_image, *out = &pool->output_image;
    return (ci_pool_args){
        .first_row = first,
        .rows = rows,
        .width = out->width,
        .channels = out->channels,
        .input_height = in->height,
        .input_width = in->width,
        .window = pool->window,
        .count_include_pad = pool->count_include_pad,
        .input = input,
        .input_row = in->row_stride,
        .input_pixel = in->pixel_stride,
        .output = output,
        .output_row = out->row_stride,
        .output_pixel = out->pixel_stride,
    };
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_image *in = &p->pool.input_image, *out = &p->pool.output_image;
    const int64_t image = task / p->split.pieces;
    const int32_t y = task % p->split.pieces * p->split.rows;
    const int32_t rows = out->height - y < p->split.rows ? out->height - y : p->split.rows;
    const char *input =
        (const char *)ci_address(run, p->pool.input) + image * in->image_stride * p->element_bytes;
    char *output = (char *)ci_address(run, p->pool.output) +
                   (image * out->image_stride + y * out->row_stride) * p->element_bytes;
    const ci_pool_args args = ci_pool_rows(&p->pool, input, output, y, rows);
    ci_pool_run(&p->pool, &args);
}

static int starts_within(int32_t inputs, int32_t outputs, int32_t stride, int32_t pad_begin,
                         int32_t pad_end) {
    return (int64_t)(outputs - 1) * stride < (int64_t)inputs + pad_begin + pad_end;
}

/* Bytes of an element of what a kernel pools; 0 where it does not pool. */
static int32_t element_bytes_of(const ci_kernel *kernel) {
    switch (kernel->operation) {
    case CI_OPERATION_maxpool_f32:
    case CI_OPERATION_avgpool_f32:
        return sizeof(float);
    case CI_OPERATION_maxpool_s8:
    case CI_OPERATION_maxpool_u8:
        return 1;
    default:
        return 0;
    }
}

ci_status ci_pool_check(const ci_program *program, const ci_pool *pool) {
    const ci_image *in = &pool->input_image, *out = &pool->output_image;
    const ci_window *window = &pool->window;
    if (!pool->kernel || !element_bytes_of(pool->kernel) || !ci_window_is_legal(window))
        return CI_ERROR_ARGUMENT;
    ci_status status = ci_check_image(program, pool->output, out, element_bytes_of(pool->kernel));
    if (status != CI_OK)
        return status;
    if (in->images != out->images || in->channels != out->channels ||
        !starts_within(in->height, out->height, window->stride_y, window->pad_top, window->pad_bottom) ||
        !starts_within(in->width, out->width, window->stride_x, window->pad_left, window->pad_right))
        return CI_ERROR_ARGUMENT;
    return CI_OK;
}

ci_status ci_add_pool(ci_program *program, const ci_pool *pool) {
    ci_status status = pool->threads < 1 ? CI_ERROR_ARGUMENT : ci_pool_check(program, pool);
    if (status != CI_OK)
        return status;
    params p = {.pool = *pool, .element_bytes = element_bytes_of(pool->kernel)};
    const ci_image *in = &pool->input_image, *out = &pool->output_image;
    const ci_window *window = &pool->window;
    status = ci_check_image(program, pool->input, in, p.element_bytes);
    if (status != CI_OK)
        return status;
    /* No more taps than the image has rows and columns are ever read. */
    const int32_t taps_y = window->kernel_height < in->height ? window->kernel_height : in->height;
    const int32_t taps_x = window->kernel_width < in->width ? window->kernel_width : in->width;
    const double row_bytes = (double)out->width * out->channels * p.element_bytes;
    p.split = ci_split_rows(out->images, out->height, 1, pool->threads, 2 * row_bytes,
                            row_bytes * taps_y * taps_x / sizeof(float));
    return ci_program_add(program, task, &p, sizeof p, p.split.tasks, 0);
}
