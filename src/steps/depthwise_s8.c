/* int8 depthwise convolution: rows of images are dealt out to the kernel. */
#include "steps/depthwise_s8.h"

#include <string.h>

#include "conv_infer/pack_s8.h"
#include "requantise.h"

typedef struct {
    ci_depthwise_s8 conv;
    ci_row_split split;
    int32_t input_rows; /* of a task */
} params;

static int32_t output_bytes(const ci_depthwise_s8 *conv) {
    return conv->requantise.rule == CI_REQUANTISE_NONE ? (int32_t)sizeof(int32_t) : 1;
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_depthwise_s8 *conv = &p->conv;
    const ci_image *in = &conv->input_image, *out = &conv->output_image;
    const ci_window *window = &conv->window;
    const int64_t image = task / p->split.pieces, y = (int64_t)(task % p->split.pieces) * p->split.rows;
    int32_t *row_offsets = (int32_t *)run->scratch;
    for (int32_t row = 0; row < p->input_rows; row++)
        row_offsets[row] = (int32_t)(row * in->row_stride);
    ci_depthwise_s8_args args = {
        .channels = out->channels,
        .height = out->height - y < p->split.rows ? (int32_t)(out->height - y) : p->split.rows,
        .width = out->width,
        .kernel_height = window->kernel_height,
        .kernel_width = window->kernel_width,
        .stride_y = window->stride_y,
        .stride_x = window->stride_x,
        .dilation_y = window->dilation_y,
        .dilation_x = window->dilation_x,
        .a = (const uint8_t *)ci_address(run, conv->input) + image * in->image_stride +
             y * window->stride_y * in->row_stride,
        .a_row = row_offsets,
        .a_pixel_stride = in->pixel_stride,
        .b = ci_address(run, conv->weights),
        .bias = ci_address(run, conv->bias),
        .c = (char *)ci_address(run, conv->output) +
             (image * out->image_stride + y * out->row_stride) * output_bytes(conv),
        .c_row_stride = out->row_stride,
        .c_pixel_stride = out->pixel_stride,
        .requantise = conv->requantise,
    };
    args.requantise.scale = ci_address(run, conv->scale);
    ((ci_depthwise_s8_fn *)conv->kernel->function)(&args);
}

const char *ci_depthwise_s8_variant(const ci_window *window) {
    return window->kernel_height == 3 && window->kernel_width == 3 && window->dilation_y == 1 &&
                   window->dilation_x == 1 && window->stride_y == window->stride_x && window->stride_y <= 2
               ? "3x3"
               : "any";
}

static int is_legal(const ci_depthwise_s8 *conv) {
    const ci_image *in = &conv->input_image, *out = &conv->output_image;
    const ci_window *window = &conv->window;
    return conv->kernel && conv->kernel->operation == CI_OPERATION_depthwise_s8 &&
           ci_window_is_legal(window) &&
           (strcmp(conv->kernel->variant, "any") == 0 ||
            strcmp(conv->kernel->variant, ci_depthwise_s8_variant(window)) == 0) &&
           conv->threads >= 1 && in->images >= 1 && in->images == out->images && in->channels >= 1 &&
           in->channels == out->channels && out->height >= 1 && out->width >= 1 &&
           ci_window_fits(in->height, out->height, window->kernel_height, window->stride_y,
                          window->dilation_y) &&
           ci_window_fits(in->width, out->width, window->kernel_width, window->stride_x,
                          window->dilation_x) &&
           ci_requantise_is_legal(&conv->requantise);
}

static ci_status check_memory(const ci_program *program, const ci_depthwise_s8 *conv) {
    const ci_depthwise_shape_s8 shape = {conv->kernel, conv->output_image.channels,
                                         conv->window.kernel_height, conv->window.kernel_width};
    int32_t padded_channels;
    int64_t weight_bytes;
    ci_status status = ci_depthwise_s8_measure(&shape, &padded_channels, &weight_bytes);
    if (status == CI_OK)
        status = ci_program_check(program, conv->weights, weight_bytes);
    if (status == CI_OK)
        status = ci_program_check(program, conv->bias, padded_channels * (int64_t)sizeof(int32_t));
    if (status == CI_OK && conv->requantise.rule != CI_REQUANTISE_NONE)
        status = ci_program_check(program, conv->scale, padded_channels * (int64_t)sizeof(float));
    if (status == CI_OK) {
        ci_image read = conv->input_image;
        read.channels += CI_DEPTHWISE_S8_SLACK;
        status = ci_check_image(program, conv->input, &read, 1);
    }
    if (status == CI_OK)
        status = ci_check_image(program, conv->output, &conv->output_image, output_bytes(conv));
    return status;
}

ci_status ci_add_depthwise_s8(ci_program *program, const ci_depthwise_s8 *conv) {
    if (!is_legal(conv))
        return CI_ERROR_ARGUMENT;
    ci_status status = check_memory(program, conv);
    if (status != CI_OK)
        return status;
    const ci_image *out = &conv->output_image;
    const ci_window *window = &conv->window;
    const double row_bytes = (double)out->width * out->channels;
    params p = {.conv = *conv};
    p.split = ci_split_rows(out->images, out->height, 2, conv->threads, 2 * row_bytes,
                            row_bytes * window->kernel_height * window->kernel_width / 4);
    const int64_t rows = (int64_t)(p.split.rows - 1) * window->stride_y +
                         (int64_t)(window->kernel_height - 1) * window->dilation_y + 1;
    const int64_t stride = conv->input_image.row_stride;
    if (stride > INT32_MAX / rows || stride < -INT32_MAX / rows)
        return CI_ERROR_OVERFLOW;
    p.input_rows = (int32_t)rows;
    return ci_program_add(program, task, &p, sizeof p, p.split.tasks, rows * (int64_t)sizeof(int32_t));
}
