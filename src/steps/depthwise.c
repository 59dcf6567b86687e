/* Depthwise convolution, float32: rows of images are dealt out to the kernel. */
#include "steps/depthwise.h"

#include <string.h>

#include "pack_depthwise.h"
#include "steps/windows.h"

typedef struct {
    ci_depthwise depthwise;
    ci_row_split split;
} params;

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_depthwise *d = &p->depthwise;
    const int64_t image = task / p->split.pieces;
    const int32_t y = task % p->split.pieces * p->split.rows;
    const int32_t left = d->output_image.height - y;
    const ci_image *in = &d->input_image, *out = &d->output_image, *added = &d->residual_image;
    const float *residual = ci_address(run, d->residual);
    const ci_depthwise_f32_args args = {
        .rows = left < p->split.rows ? left : p->split.rows,
        .width = out->width,
        .channels = out->channels,
        .multiplier = out->channels / in->channels,
        .kernel_height = d->window.kernel_height,
        .kernel_width = d->window.kernel_width,
        .stride_y = d->window.stride_y,
        .stride_x = d->window.stride_x,
        .dilation_y = d->window.dilation_y,
        .dilation_x = d->window.dilation_x,
        .input = (const float *)ci_address(run, d->input) + image * in->image_stride +
                 (int64_t)y * d->window.stride_y * in->row_stride,
        .input_row = in->row_stride,
        .input_pixel = in->pixel_stride,
        .weights = ci_address(run, d->weights),
        .weights_row = d->weights_row,
        .bias = ci_address(run, d->bias),
        .output = (float *)ci_address(run, d->output) + image * out->image_stride + y * out->row_stride,
        .output_row = out->row_stride,
        .output_pixel = out->pixel_stride,
        .residual = residual ? residual + image * added->image_stride + y * added->row_stride : NULL,
        .residual_row = added->row_stride,
        .residual_pixel = added->pixel_stride,
        .activation = d->activation,
    };
    ((ci_depthwise_f32_fn *)d->kernel->function)(&args);
}

const char *ci_depthwise_variant(const ci_window *window, int32_t multiplier) {
    const int32_t kernel = window->kernel_height, stride = window->stride_y;
    if (multiplier != 1 || window->kernel_width != kernel || window->stride_x != stride ||
        window->dilation_y != 1 || window->dilation_x != 1)
        return "any";
    if (kernel == 3)
        return stride == 1 ? "3x3s1" : stride == 2 ? "3x3s2" : "any";
    if (kernel == 5)
        return stride == 1 ? "5x5s1" : stride == 2 ? "5x5s2" : "any";
    return "any";
}

static ci_status check(const ci_program *program, const ci_depthwise *d) {
    const ci_image *in = &d->input_image, *out = &d->output_image;
    if (!d->kernel || d->kernel->operation != CI_OPERATION_depthwise_f32 || !ci_window_is_legal(&d->window) ||
        d->activation.kind < 0 || d->activation.kind > CI_ACTIVATION_LAST_FUSED || d->threads < 1)
        return CI_ERROR_ARGUMENT;
    ci_status status = ci_check_image(program, d->input, in, sizeof(float));
    if (status == CI_OK)
        status = ci_check_image(program, d->output, out, sizeof(float));
    if (status == CI_OK && d->residual.slot != CI_SLOT_NONE)
        status = ci_check_image(program, d->residual, &d->residual_image, sizeof(float));
    if (status != CI_OK)
        return status;
    if (in->images != out->images || out->channels % in->channels != 0 ||
        !ci_window_fits(in->height, out->height, d->window.kernel_height, d->window.stride_y,
                        d->window.dilation_y) ||
        !ci_window_fits(in->width, out->width, d->window.kernel_width, d->window.stride_x,
                        d->window.dilation_x) ||
        d->weights_row < ci_depthwise_padded_channels(out->channels))
        return CI_ERROR_ARGUMENT;
    if (strcmp(d->kernel->variant, "any") != 0 &&
        strcmp(d->kernel->variant, ci_depthwise_variant(&d->window, out->channels / in->channels)) != 0)
        return CI_ERROR_ARGUMENT;
    const int64_t taps = (int64_t)d->window.kernel_height * d->window.kernel_width;
    const int64_t shape[2] = {taps, ci_depthwise_padded_channels(out->channels)};
    const int64_t strides[2] = {d->weights_row, 1};
    status = ci_program_check_view(program, d->weights, 2, shape, strides, sizeof(float));
    if (status == CI_OK)
        status = ci_program_check(program, d->bias, shape[1] * (int64_t)sizeof(float));
    return status;
}

ci_status ci_add_depthwise(ci_program *program, const ci_depthwise *depthwise) {
    params p = {.depthwise = *depthwise};
    const ci_image *out = &depthwise->output_image;
    p.depthwise.residual_image.images = out->images;
    p.depthwise.residual_image.height = out->height;
    p.depthwise.residual_image.width = out->width;
    p.depthwise.residual_image.channels = out->channels;
    const ci_status status = check(program, &p.depthwise);
    if (status != CI_OK)
        return status;
    const ci_window *window = &depthwise->window;
    const int64_t row_elems = (int64_t)out->width * out->channels;
    const int64_t taps = (int64_t)window->kernel_height * window->kernel_width;
    const int64_t row_bytes = row_elems * (int64_t)sizeof(float);
    /* Rows in pairs: that is how the kernels take them. */
    p.split = ci_split_rows(out->images, out->height, 2, depthwise->threads, 2 * row_bytes, row_elems * taps);
    return ci_program_add(program, task, &p, sizeof p, p.split.tasks, 0);
}
