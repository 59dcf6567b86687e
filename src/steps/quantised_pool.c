/* Average pooling of quantised tensors: rows of images are dealt out. */
#include "conv_infer/microkernel.h"
#include "steps/quantised_reduce.h"

typedef struct {
    ci_quantised_pool pool;
    ci_row_split split;
    ci_average_u8_fn *kernel;
} params;

/* The taps of one axis that lie inside the image. */
typedef struct {
    int64_t begin, end; /* positions in the image */
} span;

static span span_of(int64_t output, int32_t size, int32_t kernel, int32_t stride, int32_t pad) {
    span taps = {output * stride - pad, output * stride - pad + kernel};
    if (taps.begin < 0)
        taps.begin = 0;
    if (taps.end > size)
        taps.end = size;
    return taps;
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_quantised_pool *pool = &p->pool;
    const ci_image *in = &pool->input_image, *out = &pool->output_image;
    const ci_window *window = &pool->window;
    const int64_t image = task / p->split.pieces, first = (int64_t)(task % p->split.pieces) * p->split.rows;
    const int64_t end = first + p->split.rows < out->height ? first + p->split.rows : out->height;
    const uint8_t *input = (const uint8_t *)ci_address(run, pool->input) + image * in->image_stride;
    uint8_t *output = (uint8_t *)ci_address(run, pool->output) + image * out->image_stride;
    const uint8_t **tap = (const uint8_t **)(void *)run->scratch;
    ci_average_u8_args args = {
        .columns = out->channels,
        .x = tap,
        .x_scale = pool->x_scale,
        .y_scale = pool->y_scale,
        .y_zero_point = pool->y_zero_point,
        .x_zero_point = pool->x_zero_point,
        .y_origin = pool->y_origin,
    };
    for (int64_t y = first; y < end; y++) {
        const span rows = span_of(y, in->height, window->kernel_height, window->stride_y, window->pad_top);
        for (int64_t x = 0; x < out->width; x++) {
            const span columns =
                span_of(x, in->width, window->kernel_width, window->stride_x, window->pad_left);
            args.taps = 0;
            for (int64_t row = rows.begin; row < rows.end; row++) {
                for (int64_t column = columns.begin; column < columns.end; column++)
                    tap[args.taps++] = input + row * in->row_stride + column * in->pixel_stride;
            }
            args.count = pool->count_include_pad ? (float)(window->kernel_height * window->kernel_width)
                                                 : (float)args.taps;
            args.y = output + y * out->row_stride + x * out->pixel_stride;
            p->kernel(&args);
        }
    }
}

ci_status ci_add_quantised_pool(ci_program *program, const ci_quantised_pool *pool) {
    params p = {.pool = *pool};
    const ci_image *in = &pool->input_image, *out = &pool->output_image;
    const ci_window *window = &pool->window;
    if (pool->threads < 1 || !ci_window_is_legal(window) || window->dilation_y != 1 ||
        window->dilation_x != 1 || window->kernel_height > INT32_MAX / window->kernel_width)
        return CI_ERROR_ARGUMENT;
    ci_status status = ci_check_image(program, pool->input, in, 1);
    if (status == CI_OK)
        status = ci_check_image(program, pool->output, out, 1);
    if (status != CI_OK)
        return status;
    if (in->images != out->images || in->channels != out->channels)
        return CI_ERROR_ARGUMENT;
    const ci_kernel *kernel = ci_kernel_find(CI_OPERATION_average_u8, "any", pool->allowed);
    if (!kernel)
        return CI_ERROR_UNSUPPORTED;
    p.kernel = (ci_average_u8_fn *)kernel->function;
    /* No more taps than the image has rows and columns are ever read. */
    const int64_t taps_y = window->kernel_height < in->height ? window->kernel_height : in->height;
    const int64_t taps_x = window->kernel_width < in->width ? window->kernel_width : in->width;
    if (taps_y > INT32_MAX / taps_x)
        return CI_ERROR_OVERFLOW;
    const double row_elems = (double)out->width * out->channels;
    p.split = ci_split_rows(out->images, out->height, 1, pool->threads, 2 * row_elems,
                            row_elems * (double)(taps_y * taps_x));
    return ci_program_add(program, task, &p, sizeof p, p.split.tasks,
                          taps_y * taps_x * (int64_t)sizeof(const uint8_t *));
}
