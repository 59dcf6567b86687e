/* Depthwise convolution with CMSIS-NN's parameters: bands of rows are copied, padded, into scratch, each
 * input channel as often as it has outputs, and the depthwise micro-kernel runs over them. */
#include <string.h>

#include "conv_infer/microkernel.h"
#include "conv_infer/ops.h"
#include "conv_infer/pack_s8.h"
#include "layout_s8.h"
#include "lowered_conv_s8.h"

enum { ALIGNMENT = 64, SIGN = 0x80, BAND = 8 /* output rows at once */ };

typedef struct {
    ci_depthwise_shape_s8 shape;
    int32_t channels; /* of the output */
    int32_t padded_channels;
    int32_t band, band_rows, band_width; /* outputs; input rows and pixels they read */
    int64_t row_bytes;
    int64_t weights, bias, multiplier, shift, a_row, rows, total;
} layout;

static int64_t take(int64_t *total, int64_t bytes) {
    const int64_t at = *total;
    *total += ci_round_up(bytes, ALIGNMENT);
    return at;
}

static const ci_kernel *choose_kernel(const ci_depthwise_conv_s8_args *args) {
    const int32_t is_3x3 = args->filter_height == 3 && args->filter_width == 3 && args->dilation_y == 1 &&
                           args->dilation_x == 1 && args->stride_y == args->stride_x && args->stride_y <= 2;
    return ci_kernel_find(CI_OPERATION_depthwise_s8, is_3x3 ? "3x3" : "any",
                          ci_allowed_or_all(args->allowed));
}

static ci_status lay_out(const ci_depthwise_conv_s8_args *args, layout *l) {
    const int32_t sizes[] = {args->batch,
                             args->input_height,
                             args->input_width,
                             args->input_channels,
                             args->filter_height,
                             args->filter_width,
                             args->output_height,
                             args->output_width,
                             args->stride_y,
                             args->stride_x,
                             args->dilation_y,
                             args->dilation_x,
                             args->channel_multiplier};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (sizes[i] < 1)
            return CI_ERROR_ARGUMENT;
    }
    if (!args->input || !args->filter || !args->output || args->pad_y < 0 || args->pad_x < 0)
        return CI_ERROR_ARGUMENT;
    if (args->filter_height > CI_DEPTHWISE_S8_TAPS / args->filter_width)
        return CI_ERROR_UNSUPPORTED;
    const int64_t limit = INT32_MAX / 4, channels = (int64_t)args->input_channels * args->channel_multiplier;
    const int64_t band = args->output_height < BAND ? args->output_height : BAND;
    const int64_t rows =
        (band - 1) * args->stride_y + (int64_t)(args->filter_height - 1) * args->dilation_y + 1;
    const int64_t width = (int64_t)(args->output_width - 1) * args->stride_x +
                          (int64_t)(args->filter_width - 1) * args->dilation_x + 1;
    if (channels > limit || width > limit / channels || rows > limit / (width * channels))
        return CI_ERROR_OVERFLOW;
    const int64_t input_row = (int64_t)args->input_width * args->input_channels;
    if (input_row > limit || (int64_t)args->output_width * channels > limit ||
        (int64_t)args->output_height * args->stride_y > limit)
        return CI_ERROR_OVERFLOW;
    *l = (layout){
        .shape = {choose_kernel(args), (int32_t)channels, args->filter_height, args->filter_width},
        .channels = (int32_t)channels,
        .band = (int32_t)band,
        .band_rows = (int32_t)rows,
        .band_width = (int32_t)width,
        .row_bytes = width * channels,
    };
    int64_t weight_bytes, total = 0;
    ci_status status = ci_check_quantisation_s8(&args->quantisation, l->channels);
    if (status == CI_OK)
        status = ci_depthwise_s8_measure(&l->shape, &l->padded_channels, &weight_bytes);
    if (status != CI_OK)
        return status;
    l->weights = take(&total, weight_bytes);
    l->bias = take(&total, 4 * (int64_t)l->padded_channels);
    l->multiplier = take(&total, 4 * (int64_t)l->padded_channels);
    l->shift = take(&total, 4 * (int64_t)l->padded_channels);
    l->a_row = take(&total, 4 * rows);
    l->rows = take(&total, rows * l->row_bytes + CI_DEPTHWISE_S8_SLACK);
    l->total = total + ALIGNMENT; /* the caller's scratch may begin anywhere */
    return CI_OK;
}

ci_status ci_depthwise_conv_s8_scratch_bytes(const ci_depthwise_conv_s8_args *args, int64_t *bytes) {
    layout l;
    ci_status status = lay_out(args, &l);
    if (status == CI_OK)
        *bytes = l.total;
    return status;
}

static void copy_pixel(uint8_t *to, const int8_t *from, int32_t channels, int32_t times) {
    if (times == 1) {
        for (int32_t c = 0; c < channels; c++)
            to[c] = (uint8_t)(from[c] ^ SIGN);
        return;
    }
    for (int32_t c = 0; c < channels; c++) {
        for (int32_t m = 0; m < times; m++)
            *to++ = (uint8_t)(from[c] ^ SIGN);
    }
}

/* Input row `y` (which may lie in the padding) as the kernel reads it. */
static void copy_row(const ci_depthwise_conv_s8_args *args, const layout *l, const int8_t *image, int32_t y,
                     uint8_t *to) {
    const int32_t zero = SIGN - args->quantisation.input_offset;
    const int8_t *row = image + (int64_t)y * args->input_width * args->input_channels;
    for (int32_t p = 0; p < l->band_width; p++, to += l->channels) {
        const int32_t x = p - args->pad_x;
        if (y >= 0 && y < args->input_height && x >= 0 && x < args->input_width)
            copy_pixel(to, row + (int64_t)x * args->input_channels, args->input_channels,
                       args->channel_multiplier);
        else
            memset(to, zero, (size_t)l->channels);
    }
}

static void run_image(const ci_depthwise_conv_s8_args *args, const layout *l, char *base, const int8_t *input,
                      int8_t *output) {
    const ci_quantisation_s8 *q = &args->quantisation;
    const int64_t out_row = (int64_t)args->output_width * l->channels;
    uint8_t *rows = (uint8_t *)base + l->rows;
    ci_depthwise_s8_args kernel = {
        .channels = l->channels,
        .width = args->output_width,
        .kernel_height = args->filter_height,
        .kernel_width = args->filter_width,
        .stride_y = args->stride_y,
        .stride_x = args->stride_x,
        .dilation_y = args->dilation_y,
        .dilation_x = args->dilation_x,
        .a = rows,
        .a_row = (const int32_t *)(base + l->a_row),
        .a_pixel_stride = l->channels,
        .b = base + l->weights,
        .bias = (const int32_t *)(base + l->bias),
        .c_row_stride = out_row,
        .c_pixel_stride = l->channels,
        .requantise = {.rule = CI_REQUANTISE_MULTIPLIER,
                       .multiplier = (const int32_t *)(base + l->multiplier),
                       .shift = (const int32_t *)(base + l->shift),
                       .zero_point = q->output_offset + SIGN,
                       .minimum = q->activation_min + SIGN,
                       .maximum = q->activation_max + SIGN,
                       .flip = SIGN},
    };
    for (int32_t y = 0; y < args->output_height; y += l->band) {
        kernel.height = args->output_height - y < l->band ? args->output_height - y : l->band;
        const int32_t used =
            (kernel.height - 1) * args->stride_y + (args->filter_height - 1) * args->dilation_y + 1;
        for (int32_t r = 0; r < used; r++)
            copy_row(args, l, input, y * args->stride_y - args->pad_y + r, rows + r * l->row_bytes);
        kernel.c = output + y * out_row;
        ((ci_depthwise_s8_fn *)l->shape.kernel->function)(&kernel);
    }
}

ci_status ci_depthwise_conv_s8(const ci_depthwise_conv_s8_args *args, void *scratch, int64_t scratch_bytes) {
    layout l;
    ci_status status = lay_out(args, &l);
    if (status != CI_OK)
        return status;
    if (!scratch || scratch_bytes < l.total)
        return CI_ERROR_SCRATCH;
    char *base = (char *)scratch + (ALIGNMENT - (uintptr_t)scratch % ALIGNMENT) % ALIGNMENT;
    const ci_quantisation_s8 *q = &args->quantisation;
    status = ci_depthwise_s8_weights(&l.shape, args->filter, 0, NULL, base + l.weights);
    if (status == CI_OK)
        status = ci_depthwise_s8_bias(&l.shape, args->filter, 0, NULL, SIGN - q->input_offset, args->bias,
                                      (int32_t *)(base + l.bias));
    if (status != CI_OK)
        return status;
    ci_depthwise_s8_columns(&l.shape, q->multiplier, base + l.multiplier);
    ci_depthwise_s8_columns(&l.shape, q->shift, base + l.shift);
    for (int32_t r = 0; r < l.band_rows; r++)
        ((int32_t *)(base + l.a_row))[r] = (int32_t)(r * l.row_bytes);
    const int64_t image = (int64_t)args->input_height * args->input_width * args->input_channels;
    const int64_t result = (int64_t)args->output_height * args->output_width * l.channels;
    for (int32_t n = 0; n < args->batch; n++)
        run_image(args, &l, base, args->input + n * image, args->output + n * result);
    return CI_OK;
}
