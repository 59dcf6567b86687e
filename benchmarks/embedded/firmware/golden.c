/* Test vectors with known outputs: the library's operators, with the best kernels and with portable ones, and
 * the forms that layers.c counts. Prints one line for each case, 1 where every byte is right. */
#include "board.h"
#include "conv_infer/conv2d.h"
#include "forms.h"
#include "memory.h"

enum { CONVOLUTION, DEPTHWISE, FULLY_CONNECTED };

typedef struct {
    const char *name;
    int32_t kind, batch, input_height, input_width, input_channels;
    int32_t output_batch, output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width, groups;
    int32_t stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x;
    int32_t input_offset, output_offset, activation_min, activation_max, filter_offset;
    const int8_t *input, *weights;
    const int32_t *bias, *multiplier, *shift;
    const int8_t *output;
} golden;

#include "golden_cases.h"

static ci_quantisation_s8 quantisation_of(const golden *g) {
    return (ci_quantisation_s8){g->input_offset, g->output_offset,  g->multiplier,
                                g->shift,        g->activation_min, g->activation_max};
}

static ci_convolve_s8_args convolution_of(const golden *g) {
    return (ci_convolve_s8_args){
        .input = g->input,
        .batch = g->batch,
        .input_height = g->input_height,
        .input_width = g->input_width,
        .input_channels = g->input_channels,
        .filter = g->weights,
        .output_channels = g->output_channels,
        .filter_height = g->kernel_height,
        .filter_width = g->kernel_width,
        .bias = g->bias,
        .output_height = g->output_height,
        .output_width = g->output_width,
        .quantisation = quantisation_of(g),
        .stride_y = g->stride_y,
        .stride_x = g->stride_x,
        .pad_y = g->pad_y,
        .pad_x = g->pad_x,
        .dilation_y = g->dilation_y,
        .dilation_x = g->dilation_x,
        .groups = g->groups,
    };
}

static ci_status run_convolution(const golden *g, uint32_t allowed, int8_t *output) {
    ci_convolve_s8_args args = convolution_of(g);
    int64_t bytes;
    args.output = output;
    args.allowed = allowed;
    const ci_status status = ci_convolve_s8_scratch_bytes(&args, &bytes);
    return status == CI_OK ? ci_convolve_s8(&args, memory_take(bytes), bytes) : status;
}

static ci_status run_depthwise(const golden *g, uint32_t allowed, int8_t *output) {
    const ci_depthwise_conv_s8_args args = {
        .input = g->input,
        .batch = g->batch,
        .input_height = g->input_height,
        .input_width = g->input_width,
        .input_channels = g->input_channels,
        .filter = g->weights,
        .channel_multiplier = g->output_channels / g->input_channels,
        .filter_height = g->kernel_height,
        .filter_width = g->kernel_width,
        .bias = g->bias,
        .output = output,
        .output_height = g->output_height,
        .output_width = g->output_width,
        .quantisation = quantisation_of(g),
        .stride_y = g->stride_y,
        .stride_x = g->stride_x,
        .pad_y = g->pad_y,
        .pad_x = g->pad_x,
        .dilation_y = g->dilation_y,
        .dilation_x = g->dilation_x,
        .allowed = allowed,
    };
    int64_t bytes;
    const ci_status status = ci_depthwise_conv_s8_scratch_bytes(&args, &bytes);
    return status == CI_OK ? ci_depthwise_conv_s8(&args, memory_take(bytes), bytes) : status;
}

static ci_status run_fully_connected(const golden *g, uint32_t allowed, int8_t *output) {
    const ci_fully_connected_s8_args args = {
        .input = g->input,
        .batch = g->batch,
        .input_channels = g->input_channels,
        .filter = g->weights,
        .output_channels = g->output_channels,
        .bias = g->bias,
        .output = output,
        .quantisation = quantisation_of(g),
        .filter_offset = g->filter_offset,
        .allowed = allowed,
    };
    int64_t bytes;
    const ci_status status = ci_fully_connected_s8_scratch_bytes(&args, &bytes);
    return status == CI_OK ? ci_fully_connected_s8(&args, memory_take(bytes), bytes) : status;
}

/* By every form of lowering that the library has; the first one that fails or differs ends it. */
static ci_status run_every_form(const golden *g, int8_t *output, int64_t outputs) {
    ci_conv2d_s8_args args = {.convolution = convolution_of(g), .strip = 1};
    ci_status status = CI_OK;
    args.convolution.output = output;
    for (int32_t which = 0; which < CI_LOWERING_COUNT && status == CI_OK; which++) {
        int64_t bytes;
        args.form = (ci_lowering_form)which;
        memset(output, 0x55, (size_t)outputs);
        status = ci_conv2d_s8_scratch_bytes(&args, &bytes);
        if (status == CI_OK)
            status = ci_conv2d_s8(&args, memory_take(bytes), bytes);
        if (status == CI_OK && memcmp(output, g->output, (size_t)outputs) != 0)
            return CI_ERROR_ARGUMENT;
    }
    return status;
}

static void run_form(const golden *g, int32_t is_reusable, int32_t is_wide, int8_t *output) {
    ci_convolve_s8_args args = convolution_of(g);
    const int64_t image = (int64_t)args.input_height * args.input_width * args.input_channels;
    const int64_t result = (int64_t)args.output_height * args.output_width * args.output_channels;
    const int64_t elems = is_reusable ? reusable_buffer_elems(&args) : two_patch_buffer_elems(&args);
    output_rule *rules = memory_take((int64_t)args.output_channels * (int64_t)sizeof *rules);
    const int32_t depth = args.filter_height * args.filter_width * args.input_channels / args.groups;
    output_rules(&args.quantisation, args.bias, args.output_channels, args.filter, depth, depth, 1, rules);
    form form = {.conv = &args, .rules = rules, .multiplies_wide = is_wide, .buffer = memory_take(2 * elems)};
    if (is_wide) {
        int16_t *weights = memory_take(wide_weight_bytes(&args));
        wide_pack(&args, is_reusable ? reusable_along_x(&args) : 1, weights);
        form.weights = weights;
    } else {
        int8_t *weights = memory_take(two_patch_weight_bytes(&args));
        two_patch_pack(&args, weights);
        form.weights = weights;
    }
    for (args.output = output; args.output < output + args.batch * result; args.output += result) {
        if (is_reusable)
            reusable_run(&form);
        else
            two_patch_run(&form);
        args.input += image;
    }
}

static int32_t failures;

static void say(const golden *g, const char *way, const int8_t *output, int64_t bytes, ci_status status) {
    const int32_t equal = status == CI_OK && memcmp(output, g->output, (size_t)bytes) == 0;
    failures += !equal;
    board_write(" ");
    board_write(way);
    board_write(equal ? "=1" : "=0");
}

int main(void) {
    static ci_status (*const library[])(const golden *, uint32_t, int8_t *) = {run_convolution, run_depthwise,
                                                                               run_fully_connected};
    static const char *const forms[] = {"two_patch", "two_patch_wide", "reusable"};
    for (int32_t index = 0; index < (int32_t)(sizeof cases / sizeof *cases); index++) {
        const golden *g = &cases[index];
        memory_release();
        const int64_t bytes = (int64_t)g->batch * g->output_height * g->output_width * g->output_channels;
        int8_t *output = memory_take(bytes);
        board_write(g->name);
        memset(output, 0x55, (size_t)bytes);
        ci_status status = library[g->kind](g, 0, output);
        say(g, "library", output, bytes, status);
        memset(output, 0x55, (size_t)bytes);
        status = library[g->kind](g, CI_ISA_BIT(CI_ISA_SCALAR), output);
        say(g, "scalar", output, bytes, status);
        if (g->kind == CONVOLUTION) {
            status = run_every_form(g, output, bytes);
            say(g, "every_form", output, bytes, status);
        }
        if (g->kind == CONVOLUTION && g->dilation_y == 1 && g->dilation_x == 1) {
            for (int32_t which = 0; which < 3; which++) {
                memset(output, 0x55, (size_t)bytes);
                run_form(g, which == 2, which > 0, output);
                say(g, forms[which], output, bytes, CI_OK);
            }
        }
        board_write("\n");
    }
    return failures != 0;
}
