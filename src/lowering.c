/* The reusable im2row buffer. */
#include "conv_infer/lowering.h"

#include <string.h>

#include "copies.h"

static ci_status lay_axis(ci_axis *axis, int32_t size, int32_t before, int32_t after, int32_t kernel,
                          int32_t stride, int32_t dilation) {
    if (size < 1 || before < 0 || after < 0 || kernel < 1 || stride < 1 || dilation < 1)
        return CI_ERROR_ARGUMENT;
    const int64_t padded = (int64_t)size + before + after, window = (int64_t)(kernel - 1) * dilation + 1;
    if (padded > INT32_MAX || window > padded)
        return padded > INT32_MAX ? CI_ERROR_OVERFLOW : CI_ERROR_ARGUMENT;
    axis->size = size;
    axis->pad = before;
    axis->window = (int32_t)window;
    axis->stride = stride;
    axis->dilation = dilation;
    axis->outputs = (int32_t)((padded - window) / stride + 1);
    axis->reach = (axis->outputs - 1) * stride + axis->window;
    return CI_OK;
}

ci_status ci_window_axes(int32_t height, int32_t width, const ci_window *window, ci_axis *y, ci_axis *x) {
    ci_status status = lay_axis(y, height, window->pad_top, window->pad_bottom, window->kernel_height,
                                window->stride_y, window->dilation_y);
    if (status == CI_OK)
        status = lay_axis(x, width, window->pad_left, window->pad_right, window->kernel_width,
                          window->stride_x, window->dilation_x);
    return status;
}

ci_status ci_reusable_layout(int32_t height, int32_t width, int32_t channels, const ci_window *window,
                             ci_strip_direction direction, int32_t strip, ci_reusable *layout) {
    ci_axis y, x;
    ci_status status = ci_window_axes(height, width, window, &y, &x);
    if (status != CI_OK)
        return status;
    const int rows = direction == CI_STRIPS_OF_ROWS;
    return ci_reusable_lay(rows ? &y : &x, rows ? &x : &y, channels, direction, strip, layout);
}

ci_status ci_reusable_lay(const ci_axis *along, const ci_axis *across, int32_t channels,
                          ci_strip_direction direction, int32_t strip, ci_reusable *layout) {
    if (channels < 1 || strip < 1)
        return CI_ERROR_ARGUMENT;
    layout->direction = direction;
    layout->along = *along;
    layout->across = *across;
    layout->channels = channels;
    layout->strip = strip < layout->along.outputs ? strip : layout->along.outputs;
    layout->strips = (layout->along.outputs - 1) / layout->strip + 1;
    const int64_t kept = (int64_t)(layout->strip - 1) * layout->along.stride + layout->along.window;
    const int64_t moved = (int64_t)layout->strip * layout->along.stride;
    if (kept > INT32_MAX / channels || kept * channels > INT32_MAX / 2 / layout->across.reach ||
        moved * channels > INT32_MAX / 2 / layout->strips)
        return CI_ERROR_OVERFLOW;
    layout->line = kept * channels;
    layout->step = kept >= moved ? moved * channels : 0;
    layout->buffer_elems = ci_reusable_buffer_elems(layout, layout->strips);
    return CI_OK;
}

int64_t ci_reusable_buffer_elems(const ci_reusable *layout, int32_t strips) {
    return layout->across.reach * layout->line + (strips - 1) * layout->step;
}

int64_t ci_reusable_copied_elems(const ci_reusable *layout, int32_t strips) {
    const int64_t each = layout->step ? layout->step : layout->line;
    /* The image's last strip may be narrower. */
    const int64_t missing = (int64_t)layout->strips * layout->strip - layout->along.outputs;
    const int64_t unneeded = strips == layout->strips ? missing * layout->along.stride * layout->channels : 0;
    return layout->across.reach * (layout->line + (strips - 1) * each - unneeded);
}

int64_t ci_reusable_fill(const ci_reusable *layout, const ci_pixels *image, void *buffer, int32_t strip,
                         int32_t position) {
    const ci_axis *along = &layout->along, *across = &layout->across;
    const int rows = layout->direction == CI_STRIPS_OF_ROWS;
    const int64_t along_bytes = rows ? image->row_bytes : image->pixel_bytes;
    const int64_t across_bytes = rows ? image->pixel_bytes : image->row_bytes;
    const int32_t element_bytes = image->element_bytes;
    const int64_t pixel = (int64_t)layout->channels * element_bytes;
    const int64_t base = position * layout->step;
    const int64_t missing = ((int64_t)strip + 1) * layout->strip - along->outputs;
    const int32_t whole = (int32_t)(layout->line / layout->channels);
    const int32_t kept = missing > 0 ? (int32_t)(whole - missing * along->stride) : whole;
    const int32_t moved = layout->step ? (int32_t)(layout->step / layout->channels) : whole;
    const int32_t fresh =
        position == 0 ? 0 : whole - moved; /* the first position along that is not there yet */
    const int64_t start = (int64_t)strip * layout->strip * along->stride - along->pad;

    /* Positions along: [fresh, inside) and [outside, kept) lie in the padding, those between in the image. */
    int64_t inside = start + fresh < 0 ? -start : fresh;
    int64_t outside = along->size - start < kept ? along->size - start : kept;
    if (inside > kept)
        inside = kept;
    if (outside < inside)
        outside = inside;
    char *line = (char *)buffer + base * element_bytes;
    for (int32_t index = 0; index < across->reach; index++, line += layout->line * element_bytes) {
        const int64_t source = (int64_t)index - across->pad;
        if (source < 0 || source >= across->size) {
            ci_fill_padding(line + fresh * pixel, (int64_t)(kept - fresh) * layout->channels, element_bytes,
                            image->pad);
            continue;
        }
        ci_fill_padding(line + fresh * pixel, (inside - fresh) * layout->channels, element_bytes, image->pad);
        ci_fill_padding(line + outside * pixel, (kept - outside) * layout->channels, element_bytes,
                        image->pad);
        const char *from =
            (const char *)image->pixels + source * across_bytes + (start + inside) * along_bytes;
        if (along_bytes == pixel) {
            ci_copy_bytes(line + inside * pixel, from, (outside - inside) * pixel, image->flip);
            continue;
        }
        for (int64_t at = inside; at < outside; at++, from += along_bytes)
            ci_copy_bytes(line + at * pixel, from, pixel, image->flip);
    }
    return base;
}
