/* Convolution, transposed convolution and fully connected layers with CMSIS-NN's parameters. */
#include "conv_infer/ops.h"
#include "lowered_conv_s8.h"

enum { SIZE_LIMIT = INT32_MAX / 4 };

/* Elements of [count][a][b][c], which must be addressable; -1 where they are not, or where a size is below 1.
 */
static int64_t elems(int32_t count, int32_t a, int32_t b, int32_t c) {
    if (count < 1 || a < 1 || b < 1 || c < 1)
        return -1;
    const int64_t plane = (int64_t)a * b;
    if (plane > INT64_MAX / 4 / c || plane * c > INT64_MAX / 4 / count)
        return -1;
    return plane * c * count;
}

static ci_quantisation_s8 quantisation_from(ci_quantisation_s8 q, int32_t channel) {
    q.multiplier += channel;
    q.shift += channel;
    return q;
}

/* GEMM rows run along the output's longer side: fewer, larger products. */
static void set_axes(ci_lowered_conv_s8 *conv, ci_axis_s8 y, ci_axis_s8 x) {
    const int32_t by_rows = x.outputs > y.outputs;
    conv->major = by_rows ? x : y;
    conv->minor = by_rows ? y : x;
}

static ci_lowered_conv_s8 convolution_of_group(const ci_convolve_s8_args *args, int32_t group) {
    const int32_t channels = args->input_channels / args->groups,
                  columns = args->output_channels / args->groups;
    const int64_t filter = (int64_t)args->filter_height * args->filter_width * channels;
    ci_lowered_conv_s8 conv = {
        .channels = channels,
        .columns = columns,
        .weights = args->filter + group * columns * filter,
        .weight_column_step = filter,
        .bias = args->bias ? args->bias + group * columns : NULL,
        .quantisation = quantisation_from(args->quantisation, group * columns),
        .allowed = args->allowed,
    };
    const ci_axis_s8 y = {
        .inputs = args->input_height,
        .outputs = args->output_height,
        .taps = args->filter_height,
        .stride = args->stride_y,
        .dilation = args->dilation_y,
        .first = -args->pad_y,
        .input_step = (int64_t)args->input_width * args->input_channels,
        .output_step = (int64_t)args->output_width * args->output_channels,
        .weight_step = (int64_t)args->filter_width * channels,
    };
    const ci_axis_s8 x = {
        .inputs = args->input_width,
        .outputs = args->output_width,
        .taps = args->filter_width,
        .stride = args->stride_x,
        .dilation = args->dilation_x,
        .first = -args->pad_x,
        .input_step = args->input_channels,
        .output_step = args->output_channels,
        .weight_step = channels,
    };
    set_axes(&conv, y, x);
    return conv;
}

ci_status ci_check_convolve_s8(const ci_convolve_s8_args *args) {
    if (!args->input || !args->filter || !args->output || args->groups < 1 ||
        args->input_channels % args->groups || args->output_channels % args->groups || args->pad_y < 0 ||
        args->pad_x < 0 || !args->quantisation.multiplier || !args->quantisation.shift)
        return CI_ERROR_ARGUMENT;
    if (elems(args->batch, args->input_height, args->input_width, args->input_channels) < 0 ||
        elems(args->batch, args->output_height, args->output_width, args->output_channels) < 0)
        return CI_ERROR_ARGUMENT;
    const int64_t filter =
        elems(1, args->filter_height, args->filter_width, args->input_channels / args->groups);
    if (filter < 0)
        return CI_ERROR_ARGUMENT;
    if (filter > SIZE_LIMIT)
        return CI_ERROR_OVERFLOW;
    return ci_check_quantisation_s8(&args->quantisation, args->output_channels);
}

ci_status ci_convolve_s8_scratch_bytes(const ci_convolve_s8_args *args, int64_t *bytes) {
    ci_status status = ci_check_convolve_s8(args);
    if (status != CI_OK)
        return status;
    const ci_lowered_conv_s8 conv = convolution_of_group(args, 0);
    return ci_lowered_conv_s8_scratch_bytes(&conv, bytes);
}

ci_status ci_convolve_s8(const ci_convolve_s8_args *args, void *scratch, int64_t scratch_bytes) {
    int64_t needed;
    ci_status status = ci_convolve_s8_scratch_bytes(args, &needed);
    if (status != CI_OK)
        return status;
    if (!scratch || scratch_bytes < needed)
        return CI_ERROR_SCRATCH;
    const int64_t image = (int64_t)args->input_height * args->input_width * args->input_channels;
    const int64_t result = (int64_t)args->output_height * args->output_width * args->output_channels;
    for (int32_t group = 0; group < args->groups && status == CI_OK; group++) {
        const ci_lowered_conv_s8 conv = convolution_of_group(args, group);
        status = ci_lowered_conv_s8_pack(&conv, scratch);
        for (int32_t n = 0; n < args->batch && status == CI_OK; n++)
            status = ci_lowered_conv_s8_run(&conv, scratch, args->input + n * image + group * conv.channels,
                                            args->output + n * result + group * conv.columns);
    }
    return status;
}

/* The outputs y0, y0 + stride, ... of one phase of a transposed convolution meet the filter's elements tap,
 * tap + stride, ...: an ordinary convolution, the filter turned round. */
static ci_axis_s8 phase_axis(int32_t inputs, int32_t outputs, int32_t filter, int32_t stride, int32_t pad,
                             int32_t y0, int64_t weight_step, int32_t *last_tap) {
    const int32_t tap = (int32_t)(((int64_t)y0 + pad) % stride), at = (int32_t)(((int64_t)y0 + pad) / stride);
    const int32_t taps = tap < filter ? (filter - 1 - tap) / stride + 1 : 0;
    *last_tap = taps ? tap + (taps - 1) * stride : -1;
    return (ci_axis_s8){
        .inputs = inputs,
        .outputs = (outputs - 1 - y0) / stride + 1,
        .taps = taps ? taps : 1,
        .stride = 1,
        .dilation = 1,
        .first = at - (taps ? taps - 1 : 0),
        .weight_step = -(int64_t)stride * weight_step,
    };
}

static ci_lowered_conv_s8 convolution_of_phase(const ci_transpose_conv_s8_args *args, int32_t y0,
                                               int32_t x0) {
    const int64_t column = args->input_channels, row = args->filter_width * column;
    int32_t last_y, last_x;
    ci_axis_s8 y = phase_axis(args->input_height, args->output_height, args->filter_height, args->stride_y,
                              args->pad_y, y0, row, &last_y);
    ci_axis_s8 x = phase_axis(args->input_width, args->output_width, args->filter_width, args->stride_x,
                              args->pad_x, x0, column, &last_x);
    y.input_step = (int64_t)args->input_width * args->input_channels;
    x.input_step = args->input_channels;
    y.output_step = (int64_t)args->stride_y * args->output_width * args->output_channels;
    x.output_step = (int64_t)args->stride_x * args->output_channels;
    ci_lowered_conv_s8 conv = {
        .channels = args->input_channels,
        .columns = args->output_channels,
        .weights = last_y < 0 || last_x < 0 ? NULL : args->filter + last_y * row + last_x * column,
        .weight_column_step = args->filter_height * row,
        .bias = args->bias,
        .quantisation = args->quantisation,
        .allowed = args->allowed,
    };
    set_axes(&conv, y, x);
    return conv;
}

ci_status ci_transpose_conv_s8_scratch_bytes(const ci_transpose_conv_s8_args *args, int64_t *bytes) {
    if (!args->input || !args->filter || !args->output || args->stride_y < 1 || args->stride_x < 1 ||
        args->pad_y < 0 || args->pad_x < 0)
        return CI_ERROR_ARGUMENT;
    const int64_t filter = elems(1, args->filter_height, args->filter_width, args->input_channels);
    if (elems(args->batch, args->input_height, args->input_width, args->input_channels) < 0 ||
        elems(args->batch, args->output_height, args->output_width, args->output_channels) < 0 || filter < 0)
        return CI_ERROR_ARGUMENT;
    if (filter > SIZE_LIMIT)
        return CI_ERROR_OVERFLOW;
    *bytes = 0;
    for (int32_t y = 0; y < args->stride_y && y < args->output_height; y++) {
        for (int32_t x = 0; x < args->stride_x && x < args->output_width; x++) {
            const ci_lowered_conv_s8 conv = convolution_of_phase(args, y, x);
            int64_t needed;
            ci_status status = ci_lowered_conv_s8_scratch_bytes(&conv, &needed);
            if (status != CI_OK)
                return status;
            *bytes = needed > *bytes ? needed : *bytes;
        }
    }
    return CI_OK;
}

ci_status ci_transpose_conv_s8(const ci_transpose_conv_s8_args *args, void *scratch, int64_t scratch_bytes) {
    int64_t needed;
    ci_status status = ci_transpose_conv_s8_scratch_bytes(args, &needed);
    if (status != CI_OK)
        return status;
    if (!scratch || scratch_bytes < needed)
        return CI_ERROR_SCRATCH;
    const int64_t image = (int64_t)args->input_height * args->input_width * args->input_channels;
    const int64_t row = (int64_t)args->output_width * args->output_channels;
    for (int32_t y = 0; y < args->stride_y && y < args->output_height; y++) {
        for (int32_t x = 0; x < args->stride_x && x < args->output_width; x++) {
            const ci_lowered_conv_s8 conv = convolution_of_phase(args, y, x);
            status = ci_lowered_conv_s8_pack(&conv, scratch);
            for (int32_t n = 0; n < args->batch && status == CI_OK; n++)
                status = ci_lowered_conv_s8_run(&conv, scratch, args->input + n * image,
                                                args->output + (n * args->output_height + y) * row +
                                                    x * args->output_channels);
            if (status != CI_OK)
                return status;
        }
    }
    return CI_OK;
}

/* A 1x1 convolution over an image as high as the batch. */
static ci_lowered_conv_s8 convolution_of_batch(const ci_fully_connected_s8_args *args) {
    const ci_axis_s8 alone = {.inputs = 1, .outputs = 1, .taps = 1, .stride = 1, .dilation = 1};
    ci_lowered_conv_s8 conv = {
        .major = alone,
        .minor = alone,
        .channels = args->input_channels,
        .columns = args->output_channels,
        .weights = args->filter,
        .weight_column_step = args->input_channels,
        .weight_offset = args->filter_offset,
        .bias = args->bias,
        .quantisation = args->quantisation,
        .allowed = args->allowed,
    };
    conv.major.inputs = conv.major.outputs = args->batch;
    conv.major.input_step = args->input_channels;
    conv.major.output_step = args->output_channels;
    return conv;
}

ci_status ci_fully_connected_s8_scratch_bytes(const ci_fully_connected_s8_args *args, int64_t *bytes) {
    if (!args->input || !args->filter || !args->output || args->batch < 1)
        return CI_ERROR_ARGUMENT;
    const ci_lowered_conv_s8 conv = convolution_of_batch(args);
    return ci_lowered_conv_s8_scratch_bytes(&conv, bytes);
}

ci_status ci_fully_connected_s8(const ci_fully_connected_s8_args *args, void *scratch,
                                int64_t scratch_bytes) {
    int64_t needed;
    ci_status status = ci_fully_connected_s8_scratch_bytes(args, &needed);
    if (status != CI_OK)
        return status;
    if (!scratch || scratch_bytes < needed)
        return CI_ERROR_SCRATCH;
    const ci_lowered_conv_s8 conv = convolution_of_batch(args);
    status = ci_lowered_conv_s8_pack(&conv, scratch);
    return status == CI_OK ? ci_lowered_conv_s8_run(&conv, scratch, args->input, args->output) : status;
}
