/* Convolution in narrow groups, float32: rows of images are dealt out to the kernel. */
#include "steps/grouped.h"

#include "pack_grouped.h"

typedef struct {
    ci_direct_conv conv;
    ci_row_split split;
} params;

static void run_rows(const ci_direct_conv *conv, const ci_run *run, const ci_direct_rows *rows) {
    const ci_window *window = &conv->window;
    const ci_grouped_f32_args args = {
        .rows = rows->rows,
        .width = conv->output_image.width,
        .channels = conv->output_image.channels,
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
        .bias = ci_address(run, conv->bias),
        .output = rows->output,
        .output_row = conv->output_image.row_stride,
        .output_pixel = conv->output_image.pixel_stride,
        .residual = rows->residual,
        .residual_row = conv->residual_image.row_stride,
        .residual_pixel = conv->residual_image.pixel_stride,
        .activation = ci_early_activation(&conv->activation),
    };
    ((ci_grouped_f32_fn *)conv->kernel->function)(&args);
    ci_activate_direct_rows(conv, rows);
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_direct_rows rows = ci_direct_rows_of(&p->conv, &p->split, run, task);
    for (int32_t done = 0; done < rows.rows;) {
        const ci_direct_rows part = ci_next_direct_rows(&p->conv, &rows, done);
        run_rows(&p->conv, run, &part);
        done += part.rows;
    }
}

ci_status ci_add_grouped(ci_program *program, const ci_direct_conv *grouped) {
    params p = {.conv = *grouped};
    ci_status status = ci_check_direct_conv(program, &p.conv);
    if (status != CI_OK)
        return status;
    const int32_t channels = p.conv.output_image.channels;
    const ci_kernel *kernel = p.conv.kernel;
    if (kernel->operation != CI_OPERATION_grouped_f32 || p.conv.input_image.channels != channels ||
        channels % kernel->nr != 0)
        return CI_ERROR_ARGUMENT;
    int64_t elems;
    status = ci_packed_grouped_f32_elems(channels, kernel->nr, p.conv.window.kernel_height,
                                         p.conv.window.kernel_width, &elems);
    if (status == CI_OK)
        status = ci_program_check(program, p.conv.weights, elems * (int64_t)sizeof(float));
    if (status != CI_OK)
        return status;
    const int64_t taps = (int64_t)p.conv.window.kernel_height * p.conv.window.kernel_width;
    p.split = ci_split_direct_conv(&p.conv, taps * kernel->nr);
    return ci_program_add(program, task, &p, sizeof p, p.split.tasks, 0);
}
