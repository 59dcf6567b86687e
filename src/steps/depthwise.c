/* Depthwise convolution, float32: rows of images are dealt out to the kernel. */
#include "steps/depthwise.h"

#include <string.h>

typedef struct {
    ci_depthwise depthwise;
    ci_row_split split;
} params;

static void run_rows(const ci_depthwise *depthwise, const ci_run *run, const ci_direct_rows *rows) {
    const ci_direct_conv *conv = &depthwise->conv;
    const ci_window *window = &conv->window;
    const ci_depthwise_f32_args args = {
        .rows = rows->rows,
        .width = conv->output_image.width,
        .channels = conv->output_image.channels,
        .multiplier = conv->output_image.channels / conv->input_image.channels,
        .kernel_height = window->kernel_height,
        .kernel_width = window->kernel_width,
        .stride_y = window->stride_y,
        .stride_x = window->stride_x,
        .dilation_y = window->dilation_y,
        .dilation_x = window->dilation_x,
        .input = rows->input,
        .input_row = conv->input_image.row_stride,
        .input_pixel = conv->input_image.pixel_stride,
        .weights = ci_address(run, conv->weights),
        .weights_row = depthwise->weights_row,
        .bias = ci_address(run, conv->bias),
        .output = rows->output,
        .output_row = conv->output_image.row_stride,
        .output_pixel = conv->output_image.pixel_stride,
        .residual = rows->residual,
        .residual_row = conv->residual_image.row_stride,
        .residual_pixel = conv->residual_image.pixel_stride,
        .activation = ci_early_activation(&conv->activation),
    };
    ((ci_depthwise_f32_fn *)conv->kernel->function)(&args);
    ci_activate_direct_rows(conv, rows);
}

void ci_depthwise_run(const ci_depthwise *depthwise, const ci_run *run, const ci_direct_rows *rows) {
    for (int32_t done = 0; done < rows->rows;) {
        const ci_direct_rows part = ci_next_direct_rows(&depthwise->conv, rows, done);
        run_rows(depthwise, run, &part);
        done += part.rows;
    }
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_direct_rows rows = ci_direct_rows_of(&p->depthwise.conv, &p->split, run, task);
    ci_depthwise_run(&p->depthwise, run, &rows);
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

static int kernel_serves(const ci_kernel *kernel, const ci_window *window, int32_t multiplier) {
    return kernel->operation == CI_OPERATION_depthwise_f32 &&
           (strcmp(kernel->variant, "any") == 0 ||
            strcmp(kernel->variant, ci_depthwise_variant(window, multiplier)) == 0);
}

ci_status ci_depthwise_check_weights(const ci_program *program, const ci_depthwise *depthwise) {
    const ci_direct_conv *conv = &depthwise->conv;
    const int32_t inputs = conv->input_image.channels, outputs = conv->output_image.channels;
    const int64_t taps = (int64_t)conv->window.kernel_height * conv->window.kernel_width;
    if (outputs % inputs != 0 || depthwise->weights_row < ci_padded_channels(outputs) ||
        !kernel_serves(conv->kernel, &conv->window, outputs / inputs))
        return CI_ERROR_ARGUMENT;
    const int64_t shape[2] = {taps, ci_padded_channels(outputs)}, strides[2] = {depthwise->weights_row, 1};
    return ci_program_check_view(program, conv->weights, 2, shape, strides, sizeof(float));
}

ci_status ci_add_depthwise(ci_program *program, const ci_depthwise *depthwise) {
    params p = {.depthwise = *depthwise};
    ci_status status = ci_check_direct_conv(program, &p.depthwise.conv);
    if (status == CI_OK)
        status = ci_depthwise_check_weights(program, depthwise);
    if (status != CI_OK)
        return status;
    const ci_window *window = &depthwise->conv.window;
    p.split = ci_split_direct_conv(&p.depthwise.conv, (int64_t)window->kernel_height * window->kernel_width);
    return ci_program_add(program, task, &p, sizeof p, p.split.tasks, 0);
}
