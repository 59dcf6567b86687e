/* Instructions of each layer of the table by each form, printed as lines of numbers for the program that runs
 * this one. What the forms yield is compared, and with sums computed in the plainest way. */
#include "board.h"
#include "conv_infer/conv2d.h"
#include "forms.h"
#include "memory.h"

#include "layers_table.h"

static void say(const char *name, int64_t number) {
    board_write(" ");
    board_write(name);
    board_write("=");
    board_write_number(number);
}

enum { FORM_TWO_PATCH, FORM_TWO_PATCH_WIDE, FORM_REUSABLE, FORM_COUNT };
static const char *const names[FORM_COUNT] = {"two_patch", "two_patch_wide", "reusable"};

/* Every byte as expected, and not because memory is missing or nothing was computed. */
static int32_t is_right(const int8_t *output, const int8_t *expected, int64_t outputs) {
    int32_t varies = 0;
    for (int64_t index = 1; index < outputs; index++)
        varies |= expected[index] != expected[0];
    return varies && memcmp(output, expected, (size_t)outputs) == 0;
}

static int64_t timed(form *form, int32_t which, int32_t lowers_only) {
    form->lowers_only = lowers_only;
    board_clock_start();
    if (which == FORM_REUSABLE)
        reusable_run(form);
    else
        two_patch_run(form);
    return board_clock_stop();
}

/* The library's own operator by the reusable buffer: in bytes, extended in the loop. */
static void run_library(const ci_convolve_s8_args *conv, const int8_t *expected, int64_t outputs) {
    ci_conv2d_s8_args args = {.convolution = *conv, .form = CI_LOWERING_REUSABLE, .strip = 1};
    int64_t bytes = 0;
    ci_status status = ci_conv2d_s8_scratch_bytes(&args, &bytes);
    void *scratch = memory_take(bytes);
    if (status == CI_OK)
        status = ci_conv2d_s8(&args, scratch, bytes);
    args.is_packed = 1;
    memset(conv->output, 0, (size_t)outputs);
    board_clock_start();
    if (status == CI_OK)
        status = ci_conv2d_s8(&args, scratch, bytes);
    const int64_t whole = board_clock_stop();
    board_write(" library");
    say("whole", whole);
    say("equal", status == CI_OK && is_right(conv->output, expected, outputs));
}

static void run_convolution(const layer *layer) {
    const ci_convolve_s8_args conv = memory_make_conv(layer);
    const int64_t outputs = (int64_t)conv.output_height * conv.output_width * conv.output_channels;
    int8_t *expected = memory_take(outputs);
    plain_convolve(&conv, expected);
    output_rule *rules = memory_take((int64_t)conv.output_channels * (int64_t)sizeof *rules);
    const int32_t depth = layer->kernel_height * layer->kernel_width * layer->channels / layer->groups;
    output_rules(&conv.quantisation, conv.bias, conv.output_channels, conv.filter, depth, depth, 1, rules);
    for (int32_t which = 0; which < FORM_COUNT; which++) {
        form form = {.conv = &conv, .rules = rules, .multiplies_wide = which == FORM_TWO_PATCH_WIDE};
        const int32_t along_x = which == FORM_REUSABLE ? reusable_along_x(&conv) : 1;
        const int64_t elems =
            which == FORM_REUSABLE ? reusable_buffer_elems(&conv) : two_patch_buffer_elems(&conv);
        form.buffer = memory_take(elems * 2);
        if (which == FORM_TWO_PATCH) {
            int8_t *weights = memory_take(two_patch_weight_bytes(&conv));
            two_patch_pack(&conv, weights);
            form.weights = weights;
        } else {
            int16_t *weights = memory_take(wide_weight_bytes(&conv));
            wide_pack(&conv, along_x, weights);
            form.weights = weights;
        }
        const int64_t lowering = timed(&form, which, 1);
        memset(conv.output, 0, (size_t)outputs);
        const int64_t whole = timed(&form, which, 0);
        board_write(" ");
        board_write(names[which]);
        say("buffer", elems);
        say("copied", form.copied_elems);
        say("lowering", lowering);
        say("whole", whole);
        say("equal", is_right(conv.output, expected, outputs));
    }
    run_library(&conv, expected, outputs);
}

static void say_other(int64_t whole, int32_t equal) {
    board_write(" other");
    say("whole", whole);
    say("equal", equal);
}

/* The weights, [channel][ky][kx], of what is as a convolution one of as many groups as channels. */
static void run_depthwise(const layer *layer) {
    const ci_convolve_s8_args conv = memory_make_conv(layer);
    const int32_t channels = conv.input_channels, taps = conv.filter_height * conv.filter_width;
    const int64_t outputs = (int64_t)conv.output_height * conv.output_width * channels;
    int8_t *expected = memory_take(outputs), *filter = memory_take((int64_t)taps * channels);
    plain_convolve(&conv, expected);
    for (int32_t tap = 0; tap < taps; tap++)
        for (int32_t c = 0; c < channels; c++)
            filter[tap * channels + c] = conv.filter[c * taps + tap];
    const ci_depthwise_conv_s8_args depthwise = {
        .input = conv.input,
        .batch = 1,
        .input_height = conv.input_height,
        .input_width = conv.input_width,
        .input_channels = channels,
        .filter = filter,
        .channel_multiplier = 1,
        .filter_height = conv.filter_height,
        .filter_width = conv.filter_width,
        .bias = conv.bias,
        .output = conv.output,
        .output_height = conv.output_height,
        .output_width = conv.output_width,
        .quantisation = conv.quantisation,
        .stride_y = conv.stride_y,
        .stride_x = conv.stride_x,
        .pad_y = conv.pad_y,
        .pad_x = conv.pad_x,
        .dilation_y = 1,
        .dilation_x = 1,
    };
    int16_t *weights = memory_take(depthwise_weight_bytes(&depthwise));
    int16_t *buffer = memory_take(2 * depthwise_buffer_elems(&depthwise));
    output_rule *rules = memory_take((int64_t)channels * (int64_t)sizeof *rules);
    output_rules(&conv.quantisation, conv.bias, channels, filter, 1, taps, channels, rules);
    depthwise_pack(&depthwise, weights);
    board_clock_start();
    depthwise_run(&depthwise, weights, rules, buffer);
    const int64_t whole = board_clock_stop();
    say_other(whole, is_right(conv.output, expected, outputs));
}

/* The library's own sum and mean. */
static void run_sum(const layer *layer) {
    const int32_t size = layer->height * layer->width * layer->channels;
    int8_t *one = memory_take(size), *two = memory_take(size), *output = memory_take(size);
    memory_fill(one, size);
    memory_fill(two, size);
    const ci_elementwise_add_s8_args args = {
        .input1 = one,
        .input2 = two,
        .size = size,
        .output = output,
        .input1_offset = 5,
        .input1_multiplier = 1 << 30,
        .input2_offset = -9,
        .input2_multiplier = 1 << 30,
        .left_shift = 20,
        .output_offset = -2,
        .output_multiplier = 1 << 30,
        .output_shift = -18,
        .activation_min = -128,
        .activation_max = 127,
    };
    board_clock_start();
    const ci_status status = ci_elementwise_add_s8(&args);
    const int64_t whole = board_clock_stop();
    say_other(whole, status == CI_OK);
}

static void run_average(const layer *layer) {
    const int32_t size = layer->height * layer->width * layer->channels;
    int8_t *input = memory_take(size), *output = memory_take(layer->channels);
    memory_fill(input, size);
    const ci_pool_s8_args args = {
        .input = input,
        .batch = 1,
        .input_height = layer->height,
        .input_width = layer->width,
        .channels = layer->channels,
        .output = output,
        .output_height = 1,
        .output_width = 1,
        .filter_height = layer->height,
        .filter_width = layer->width,
        .stride_y = 1,
        .stride_x = 1,
        .activation_min = -128,
        .activation_max = 127,
    };
    board_clock_start();
    const ci_status status = ci_avgpool_s8(&args);
    const int64_t whole = board_clock_stop();
    say_other(whole, status == CI_OK);
}

static void (*const run_kind[])(const layer *) = {
    [LAYER_CONVOLUTION] = run_convolution,
    [LAYER_DEPTHWISE] = run_depthwise,
    [LAYER_ADD] = run_sum,
    [LAYER_AVERAGE] = run_average,
};

int main(void) {
    for (int32_t index = 0; index < (int32_t)(sizeof layers / sizeof *layers); index++) {
        memory_release();
        board_write("layer");
        run_kind[layers[index].kind](&layers[index]);
        board_write("\n");
    }
    return 0;
}
