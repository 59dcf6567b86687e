/* What the steps that slide a window share. */
#include "steps/windows.h"

int ci_window_is_legal(const ci_window *window) {
    return window->kernel_height >= 1 && window->kernel_width >= 1 && window->stride_y >= 1 &&
           window->stride_x >= 1 && window->dilation_y >= 1 && window->dilation_x >= 1 &&
           window->pad_top >= 0 && window->pad_left >= 0 && window->pad_bottom >= 0 && window->pad_right >= 0;
}

int ci_window_fits(int32_t inputs, int32_t outputs, int32_t kernel, int32_t stride, int32_t dilation) {
    return (int64_t)(outputs - 1) * stride + (int64_t)(kernel - 1) * dilation < inputs;
}

ci_status ci_check_image(const ci_program *program, ci_ref ref, const ci_image *image,
                         int32_t element_bytes) {
    if (image->images < 1 || image->height < 1 || image->width < 1 || image->channels < 1)
        return CI_ERROR_ARGUMENT;
    return ci_program_check_image(program, ref, image, element_bytes);
}

ci_row_split ci_split_rows(int32_t images, int32_t height, int32_t multiple, int32_t threads,
                           double row_bytes, double row_operations) {
    /* One core moves some 16 bytes and does some 32 operations in a nanosecond. */
    const double smallest_task_ns = 8000.0;
    const double row_ns = row_bytes / 16.0 + row_operations / 32.0;
    double pieces = threads > 1 ? 4.0 * threads / images : 1.0;
    const double worth = row_ns * height / smallest_task_ns;
    if (pieces > worth)
        pieces = worth;
    if (pieces > height)
        pieces = height;
    ci_row_split split = {.rows = pieces > 1.0 ? (int32_t)(height / pieces) : height};
    split.rows = (split.rows + multiple - 1) / multiple * multiple;
    if (split.rows > height)
        split.rows = height;
    split.pieces = (height - 1) / split.rows + 1;
    split.tasks = images * split.pieces;
    return split;
}
