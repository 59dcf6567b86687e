/* What the convolutions have in common that read their windows straight from a padded input. */
#include "steps/direct_conv.h"

ci_status ci_check_direct_window(const ci_program *program, const ci_direct_conv *conv) {
    const ci_image *in = &conv->input_image, *out = &conv->output_image;
    const ci_window *window = &conv->window;
    if (!conv->kernel || conv->threads < 1 ||
        ci_check_late_activation(&conv->activation, conv->late_activation) != CI_OK ||
        !ci_window_is_legal(window) || in->images < 1 || in->channels < 1 || out->height < 1 ||
        out->width < 1 || out->channels < 1 || in->images != out->images ||
        !ci_window_fits(in->height, out->height, window->kernel_height, window->stride_y,
                        window->dilation_y) ||
        !ci_window_fits(in->width, out->width, window->kernel_width, window->stride_x, window->dilation_x))
        return CI_ERROR_ARGUMENT;
    return ci_program_check(program, conv->bias, ci_padded_channels(out->channels) * (int64_t)sizeof(float));
}

ci_status ci_check_direct_conv(const ci_program *program, ci_direct_conv *conv) {
    const ci_image *out = &conv->output_image;
    conv->residual_image.images = out->images;
    conv->residual_image.height = out->height;
    conv->residual_image.width = out->width;
    conv->residual_image.channels = out->channels;
    ci_status status = ci_check_direct_window(program, conv);
    if (status == CI_OK)
        status = ci_check_image(program, conv->input, &conv->input_image, sizeof(float));
    if (status == CI_OK)
        status = ci_check_image(program, conv->output, out, sizeof(float));
    if (status == CI_OK && conv->residual.slot != CI_SLOT_NONE)
        status = ci_check_image(program, conv->residual, &conv->residual_image, sizeof(float));
    return status;
}

ci_row_split ci_split_direct_conv(const ci_direct_conv *conv, int64_t depth) {
    const ci_image *out = &conv->output_image;
    const double row_elems = (double)out->width * out->channels;
    return ci_split_rows(out->images, out->height, 2, conv->threads, 2 * row_elems * sizeof(float),
                         row_elems * (double)depth);
}

ci_direct_rows ci_direct_rows_of(const ci_direct_conv *conv, const ci_row_split *split, const ci_run *run,
                                 int32_t task) {
    const ci_image *in = &conv->input_image, *out = &conv->output_image, *added = &conv->residual_image;
    const int64_t image = task / split->pieces, y = (int64_t)(task % split->pieces) * split->rows;
    const float *residual = ci_address(run, conv->residual);
    const ci_direct_rows rows = {
        .rows = out->height - y < split->rows ? (int32_t)(out->height - y) : split->rows,
        .input = (const float *)ci_address(run, conv->input) + image * in->image_stride +
                 y * conv->window.stride_y * in->row_stride,
        .output = (float *)ci_address(run, conv->output) + image * out->image_stride + y * out->row_stride,
        .residual = residual ? residual + image * added->image_stride + y * added->row_stride : NULL,
    };
    return rows;
}

ci_direct_rows ci_next_direct_rows(const ci_direct_conv *conv, const ci_direct_rows *rows, int32_t done) {
    const ci_image *out = &conv->output_image;
    ci_direct_rows part = *rows;
    part.rows -= done;
    part.input += (int64_t)done * conv->window.stride_y * conv->input_image.row_stride;
    part.output += done * out->row_stride;
    if (part.residual)
        part.residual += done * conv->residual_image.row_stride;
    if (ci_is_late(&conv->activation)) {
        const int64_t row_bytes = (int64_t)out->width * out->channels * (int64_t)sizeof(float);
        const int64_t most = (CI_LATE_BYTES / row_bytes & ~(int64_t)1) + 2; /* kernels like pairs */
        part.rows = part.rows < most ? part.rows : (int32_t)most;
    }
    return part;
}

void ci_activate_direct_rows(const ci_direct_conv *conv, const ci_direct_rows *rows) {
    const ci_image *out = &conv->output_image;
    if (!ci_is_late(&conv->activation))
        return;
    if (out->row_stride == out->width * out->pixel_stride) {
        ci_activate_pixels(conv->late_activation, &conv->activation, rows->output,
                           (int64_t)rows->rows * out->width, out->pixel_stride, out->channels);
        return;
    }
    for (int32_t y = 0; y < rows->rows; y++)
        ci_activate_pixels(conv->late_activation, &conv->activation, rows->output + y * out->row_stride,
                           out->width, out->pixel_stride, out->channels);
}
