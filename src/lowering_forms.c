/* Every form of lowering behind one interface: plans, and the buffers filled by them. */
#include <limits.h>
#include <string.h>

#include "conv_infer/lowering.h"
#include "copies.h"

#define LARGEST (INT32_MAX / 2) /* elements of a buffer: kernels address them with 31 bits */

const char *ci_lowering_name(ci_lowering_form form) {
    static const char *const names[CI_LOWERING_COUNT] = {"im2row",        "two_patch", "mec",     "reusable",
                                                         "reusable_rows", "in_place",  "indirect"};
    return (unsigned)form < CI_LOWERING_COUNT ? names[form] : NULL; /* enumerators may be signed */
}

/* product *= factor; 0 where that is too large. */
static int times(int64_t *product, int64_t factor) {
    if (factor > LARGEST || *product > LARGEST / factor)
        return 0;
    *product *= factor;
    return 1;
}

static int is_padded(const ci_axis *axis) {
    return axis->pad > 0 || (int64_t)axis->reach - axis->pad > axis->size;
}

static int is_reusable(const ci_lowering *plan) {
    return plan->form == CI_LOWERING_REUSABLE || plan->form == CI_LOWERING_REUSABLE_ROWS;
}

/* Everything that follows from the axes. */
static ci_status count(ci_lowering *plan, int32_t strip) {
    const ci_axis *y = &plan->y, *x = &plan->x;
    const int needs_frame = plan->framing == CI_FRAME_ALWAYS || is_padded(y) || is_padded(x);
    int64_t positions = 1, depth = 1, elems = 1;
    if (!times(&positions, y->outputs) || !times(&positions, x->outputs) ||
        !times(&depth, plan->kernel_height) || !times(&depth, plan->kernel_width) ||
        !times(&depth, plan->channels))
        return CI_ERROR_OVERFLOW;
    plan->depth = (int32_t)depth;
    plan->gemms = 1;
    plan->rows = (int32_t)positions;
    plan->lda = depth;
    plan->buffer_elems = plan->copied_elems = plan->frame_elems = 0;
    int fits = 1;
    switch (plan->form) {
    case CI_LOWERING_IM2ROW:
        fits = times(&elems, positions) && times(&elems, depth);
        plan->buffer_elems = plan->copied_elems = elems;
        break;
    case CI_LOWERING_TWO_PATCH:
        plan->rows = positions < 2 ? 1 : 2;
        plan->gemms = (int32_t)((positions + 1) / 2);
        plan->buffer_elems = 2 * depth;
        plan->copied_elems = positions * depth;
        break;
    case CI_LOWERING_MEC:
        fits = times(&elems, y->reach) && times(&elems, plan->kernel_width) && times(&elems, plan->channels);
        plan->lda = elems;
        fits = fits && times(&elems, x->outputs);
        plan->rows = x->outputs;
        plan->gemms = y->outputs;
        plan->buffer_elems = plan->copied_elems = elems;
        break;
    case CI_LOWERING_REUSABLE:
    case CI_LOWERING_REUSABLE_ROWS: {
        const int rows = plan->form == CI_LOWERING_REUSABLE_ROWS;
        ci_reusable *layout = &plan->reusable;
        ci_status status = ci_reusable_lay(rows ? y : x, rows ? x : y, plan->channels,
                                           rows ? CI_STRIPS_OF_ROWS : CI_STRIPS_OF_COLUMNS, strip, layout);
        if (status != CI_OK)
            return status;
        fits = (int64_t)layout->across.outputs * layout->strip <= LARGEST;
        plan->gemms = layout->strips;
        plan->rows = layout->across.outputs * layout->strip;
        plan->lda = layout->across.stride * layout->line;
        plan->buffer_elems = layout->buffer_elems;
        plan->copied_elems = ci_reusable_copied_elems(layout, layout->strips);
        break;
    }
    case CI_LOWERING_IN_PLACE:
        plan->lda = (int64_t)x->stride * plan->channels;
        if (plan->framing == CI_FRAME_PRESENT || !needs_frame)
            break;
        fits = times(&elems, y->reach) && times(&elems, x->reach) && times(&elems, plan->channels);
        plan->frame_elems = elems;
        break;
    case CI_LOWERING_INDIRECT:
        plan->lda = 0;
        fits = times(&elems, positions) && times(&elems, plan->kernel_height) &&
               times(&elems, plan->kernel_width);
        plan->buffer_elems = elems;
        elems = 1;
        if (!fits || !needs_frame)
            break;
        fits = times(&elems, y->size) && times(&elems, x->size) && times(&elems, plan->channels);
        plan->frame_elems = elems + plan->channels;
        break;
    default:
        return CI_ERROR_ARGUMENT;
    }
    return fits ? CI_OK : CI_ERROR_OVERFLOW;
}

ci_status ci_lowering_plan(ci_lowering_form form, int32_t height, int32_t width, int32_t channels,
                           const ci_window *window, int32_t strip, ci_framing framing, ci_lowering *plan) {
    ci_status status = ci_window_axes(height, width, window, &plan->y, &plan->x);
    if (status != CI_OK)
        return status;
    if (channels < 1 || strip < 1)
        return CI_ERROR_ARGUMENT;
    plan->form = form;
    plan->framing = framing;
    plan->kernel_height = window->kernel_height;
    plan->kernel_width = window->kernel_width;
    plan->channels = channels;
    return count(plan, strip);
}

static void narrow_axis(ci_axis *axis, int32_t first, int32_t outputs) {
    /* Every form reads the first window's first place at -pad, which may so become one inside the image. */
    axis->pad -= first * axis->stride;
    axis->outputs = outputs;
    axis->reach = (outputs - 1) * axis->stride + axis->window;
}

ci_status ci_lowering_narrow(ci_lowering *plan, int32_t first_row, int32_t rows, int32_t columns) {
    if (first_row < 0 || rows < 1 || rows > plan->y.outputs - first_row || columns < 1 ||
        columns > plan->x.outputs)
        return CI_ERROR_ARGUMENT;
    narrow_axis(&plan->y, first_row, rows);
    narrow_axis(&plan->x, 0, columns);
    return count(plan, is_reusable(plan) ? plan->reusable.strip : 1);
}

static int64_t aligned(int64_t bytes) {
    return (bytes + 7) & ~(int64_t)7;
}

int64_t ci_lowering_buffer_bytes(const ci_lowering *plan, int32_t element_bytes) {
    if (plan->form != CI_LOWERING_INDIRECT)
        return (plan->buffer_elems + plan->frame_elems) * element_bytes;
    return aligned(plan->buffer_elems * (int64_t)sizeof(int32_t)) + plan->frame_elems * element_bytes;
}

static void fill_padding(char *to, int64_t elements, const ci_pixels *image) {
    ci_fill_padding(to, elements, image->element_bytes, image->pad);
}

/* `taps` pixels of row y, the first at x, `dilation` apart, written one after another; padding where there is
 * none. */
static void copy_taps(const ci_lowering *plan, const ci_pixels *image, int64_t y, int64_t x, int32_t taps,
                      int32_t dilation, char *to) {
    const int64_t pixel = (int64_t)plan->channels * image->element_bytes,
                  step = dilation * image->pixel_bytes;
    if (y < 0 || y >= plan->y.size) {
        fill_padding(to, (int64_t)taps * plan->channels, image);
        return;
    }
    const char *from = (const char *)image->pixels + y * image->row_bytes;
    /* Taps [first, end) lie in the image. */
    int64_t first = x < 0 ? (dilation - 1 - x) / dilation : 0;
    int64_t end = x < plan->x.size ? (plan->x.size - x + dilation - 1) / dilation : 0;
    first = first < taps ? first : taps;
    end = end < taps ? end : taps;
    end = end > first ? end : first;
    fill_padding(to, first * plan->channels, image);
    fill_padding(to + end * pixel, (taps - end) * plan->channels, image);
    if (end == first)
        return;
    from += (x + first * dilation) * image->pixel_bytes;
    if (step == pixel) {
        ci_copy_bytes(to + first * pixel, from, (end - first) * pixel, image->flip);
        return;
    }
    for (int64_t tap = first; tap < end; tap++, from += step)
        ci_copy_bytes(to + tap * pixel, from, pixel, image->flip);
}

static void write_patch(const ci_lowering *plan, const ci_pixels *image, int64_t position, char *to) {
    const int64_t line = (int64_t)plan->kernel_width * plan->channels * image->element_bytes;
    const int64_t y = position / plan->x.outputs * plan->y.stride - plan->y.pad;
    const int64_t x = position % plan->x.outputs * plan->x.stride - plan->x.pad;
    for (int32_t tap = 0; tap < plan->kernel_height; tap++, to += line)
        copy_taps(plan, image, y + (int64_t)tap * plan->y.dilation, x, plan->kernel_width, plan->x.dilation,
                  to);
}

static void fill_mec(const ci_lowering *plan, const ci_pixels *image, char *to) {
    const int64_t line = (int64_t)plan->kernel_width * plan->channels * image->element_bytes;
    for (int32_t column = 0; column < plan->x.outputs; column++)
        for (int32_t row = 0; row < plan->y.reach; row++, to += line)
            copy_taps(plan, image, (int64_t)row - plan->y.pad, (int64_t)column * plan->x.stride - plan->x.pad,
                      plan->kernel_width, plan->x.dilation, to);
}

static void fill_offsets(const ci_lowering *plan, int64_t row_step, int64_t pixel_step, int64_t padding,
                         int32_t *to) {
    const ci_axis *y = &plan->y, *x = &plan->x;
    for (int32_t ky = 0; ky < plan->kernel_height; ky++)
        for (int32_t kx = 0; kx < plan->kernel_width; kx++)
            for (int32_t row = 0; row < y->outputs; row++)
                for (int32_t column = 0; column < x->outputs; column++) {
                    const int64_t at_y = (int64_t)row * y->stride - y->pad + (int64_t)ky * y->dilation;
                    const int64_t at_x = (int64_t)column * x->stride - x->pad + (int64_t)kx * x->dilation;
                    const int inside = at_y >= 0 && at_y < y->size && at_x >= 0 && at_x < x->size;
                    *to++ = (int32_t)(inside ? at_y * row_step + at_x * pixel_step : padding);
                }
}

/* The pixels of rows and columns from (y, x) on, without gaps. */
static void copy_frame(const ci_lowering *plan, const ci_pixels *image, int64_t y, int64_t x, int32_t height,
                       int32_t width, char *to) {
    for (int32_t row = 0; row < height; row++)
        copy_taps(plan, image, y + row, x, width, 1,
                  to + (int64_t)row * width * plan->channels * image->element_bytes);
}

ci_status ci_lowering_fill(const ci_lowering *plan, int32_t gemm, const ci_pixels *image, void *buffer,
                           int64_t buffer_bytes, ci_lowered *lowered) {
    const int32_t bytes = image->element_bytes, channels = plan->channels;
    const ci_axis *y = &plan->y, *x = &plan->x;
    if (gemm < 0 || gemm >= plan->gemms || (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8))
        return CI_ERROR_ARGUMENT;
    if (buffer_bytes < ci_lowering_buffer_bytes(plan, bytes))
        return CI_ERROR_SCRATCH;
    *lowered = (ci_lowered){.a = buffer,
                            .rows = plan->rows,
                            .run = plan->rows,
                            .lda = plan->lda,
                            .depth_y = (int64_t)plan->kernel_width * channels,
                            .depth_x = channels,
                            .output = (int64_t)gemm * plan->rows,
                            .output_step = 1};
    switch (plan->form) {
    case CI_LOWERING_IM2ROW:
    case CI_LOWERING_TWO_PATCH: {
        const int64_t left = (int64_t)y->outputs * x->outputs - lowered->output;
        lowered->rows = left < plan->rows ? (int32_t)left : plan->rows;
        for (int32_t row = 0; row < lowered->rows; row++)
            write_patch(plan, image, lowered->output + row,
                        (char *)buffer + (int64_t)row * plan->depth * bytes);
        return CI_OK;
    }
    case CI_LOWERING_MEC:
        if (gemm == 0)
            fill_mec(plan, image, buffer);
        lowered->a = (const char *)buffer + gemm * (y->stride * lowered->depth_y) * bytes;
        lowered->depth_y *= y->dilation;
        return CI_OK;
    case CI_LOWERING_REUSABLE:
    case CI_LOWERING_REUSABLE_ROWS: {
        const ci_reusable *layout = &plan->reusable;
        const int rows = plan->form == CI_LOWERING_REUSABLE_ROWS;
        const int64_t base = ci_reusable_fill(layout, image, buffer, gemm, gemm);
        const int32_t left = layout->along.outputs - gemm * layout->strip;
        lowered->a = (const char *)buffer + base * bytes;
        lowered->run = left < layout->strip ? left : layout->strip;
        lowered->rows = layout->across.outputs * lowered->run;
        lowered->run_step = plan->lda;
        lowered->lda = (int64_t)layout->along.stride * channels;
        lowered->depth_y = (int64_t)y->dilation * (rows ? channels : layout->line);
        lowered->depth_x = (int64_t)x->dilation * (rows ? layout->line : channels);
        lowered->output = (int64_t)gemm * layout->strip * (rows ? x->outputs : 1);
        lowered->output_step = rows ? x->outputs : 1;
        lowered->output_run_step = rows ? 1 : x->outputs;
        return CI_OK;
    }
    default:
        break;
    }
    /* in_place and indirect: read where the image lies, or its copy. */
    int64_t row_step = image->row_bytes / bytes, pixel_step = image->pixel_bytes / bytes;
    const char *origin = image->pixels;
    char *frame = buffer;
    if (plan->form == CI_LOWERING_INDIRECT) {
        frame += aligned(plan->buffer_elems * (int64_t)sizeof(int32_t));
        int64_t padding = 0;
        if (plan->frame_elems) {
            copy_frame(plan, image, 0, 0, y->size, x->size, frame);
            padding = plan->frame_elems - channels;
            fill_padding(frame + padding * bytes, channels, image);
            origin = frame;
            pixel_step = channels;
            row_step = (int64_t)x->size * channels;
        }
        const int64_t tall = (int64_t)y->size * (row_step < 0 ? -row_step : row_step);
        const int64_t wide = (int64_t)x->size * (pixel_step < 0 ? -pixel_step : pixel_step);
        if (tall > LARGEST || wide > LARGEST)
            return CI_ERROR_OVERFLOW;
        fill_offsets(plan, row_step, pixel_step, padding, buffer);
        lowered->a = origin;
        lowered->taps = buffer;
        return CI_OK;
    }
    if (plan->frame_elems) {
        copy_frame(plan, image, -(int64_t)y->pad, -(int64_t)x->pad, y->reach, x->reach, frame);
        origin = frame;
        pixel_step = channels;
        row_step = (int64_t)x->reach * channels;
    } else {
        origin -= (y->pad * row_step + x->pad * pixel_step) * bytes;
    }
    lowered->a = origin;
    lowered->run = x->outputs;
    lowered->lda = x->stride * pixel_step;
    lowered->run_step = y->stride * row_step;
    lowered->depth_y = y->dilation * row_step;
    lowered->depth_x = x->dilation * pixel_step;
    lowered->output_run_step = x->outputs;
    return CI_OK;
}

#define ADD_PATCHES(name, from_type, to_type)                                                                \
    static void name(const ci_lowering *plan, const from_type *from, to_type *image) {                       \
        const ci_axis *y = &plan->y, *x = &plan->x;                                                          \
        for (int32_t row = 0; row < y->outputs; row++)                                                       \
            for (int32_t column = 0; column < x->outputs; column++)                                          \
                for (int32_t ky = 0; ky < plan->kernel_height; ky++)                                         \
                    for (int32_t kx = 0; kx < plan->kernel_width; kx++, from += plan->channels) {            \
                        const int64_t at_y = (int64_t)row * y->stride - y->pad + (int64_t)ky * y->dilation;  \
                        const int64_t at_x =                                                                 \
                            (int64_t)column * x->stride - x->pad + (int64_t)kx * x->dilation;                \
                        if (at_y < 0 || at_y >= y->size || at_x < 0 || at_x >= x->size)                      \
                            continue;                                                                        \
                        to_type *to = image + (at_y * x->size + at_x) * plan->channels;                      \
                        for (int32_t c = 0; c < plan->channels; c++)                                         \
                            to[c] += from[c];                                                                \
                    }                                                                                        \
    }
ADD_PATCHES(add_patches_f32, float, float)
ADD_PATCHES(add_patches_f64, double, double)
ADD_PATCHES(add_patches_s8, int8_t, int32_t)
ADD_PATCHES(add_patches_u8, uint8_t, int32_t)

ci_status ci_row2im(const ci_lowering *plan, ci_element element, const void *rows, void *image) {
    const size_t elems = (size_t)plan->y.size * (size_t)plan->x.size * (size_t)plan->channels;
    if ((unsigned)element >= CI_ELEMENT_COUNT)
        return CI_ERROR_ARGUMENT;
    memset(image, 0, elems * (element == CI_ELEMENT_F64 ? 8 : 4));
    switch (element) {
    case CI_ELEMENT_F32:
        add_patches_f32(plan, rows, image);
        break;
    case CI_ELEMENT_F64:
        add_patches_f64(plan, rows, image);
        break;
    case CI_ELEMENT_S8:
        add_patches_s8(plan, rows, image);
        break;
    default:
        add_patches_u8(plan, rows, image);
        break;
    }
    return CI_OK;
}
