/* See memory.h. */
#include "memory.h"

#include "board.h"

enum { BYTES = 3 << 20 };

static int8_t pool[BYTES] __attribute__((aligned(8)));
static int64_t taken;
static uint32_t state = 1;

void *memory_take(int64_t bytes) {
    int8_t *at = pool + taken;
    taken += (bytes + 7) / 8 * 8;
    if (taken > BYTES) {
        board_write("out of memory\n");
        board_exit(71);
    }
    return at;
}

void memory_release(void) {
    taken = 0;
    state = 1;
}

static uint32_t next_number(void) {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

void memory_fill(int8_t *bytes, int64_t count) {
    for (int64_t index = 0; index < count; index++)
        bytes[index] = (int8_t)(next_number() & 0xff);
}

ci_convolve_s8_args memory_make_conv(const layer *layer) {
    const int32_t depth = layer->kernel_height * layer->kernel_width * layer->channels / layer->groups;
    int8_t *input = memory_take((int64_t)layer->height * layer->width * layer->channels);
    int8_t *filter = memory_take((int64_t)layer->outputs * depth);
    int8_t *output = memory_take((int64_t)layer->output_height * layer->output_width * layer->outputs);
    int32_t *bias = memory_take(4 * layer->outputs), *multiplier = memory_take(4 * layer->outputs);
    int32_t *shift = memory_take(4 * layer->outputs);
    memory_fill(input, (int64_t)layer->height * layer->width * layer->channels);
    memory_fill(filter, (int64_t)layer->outputs * depth);
    int32_t halvings = 5; /* a sum is about 74 * 74 * sqrt(depth) */
    for (int32_t d = depth; d > 1; d /= 4)
        halvings++;
    for (int32_t n = 0; n < layer->outputs; n++) {
        bias[n] = (int32_t)(next_number() % 20001) - 10000;
        multiplier[n] = (int32_t)(1 << 30) + (int32_t)(next_number() % (1 << 24)) * 63;
        shift[n] = -halvings;
    }
    return (ci_convolve_s8_args){
        .input = input,
        .batch = 1,
        .input_height = layer->height,
        .input_width = layer->width,
        .input_channels = layer->channels,
        .filter = filter,
        .output_channels = layer->outputs,
        .filter_height = layer->kernel_height,
        .filter_width = layer->kernel_width,
        .bias = bias,
        .output = output,
        .output_height = layer->output_height,
        .output_width = layer->output_width,
        .quantisation = {.input_offset = 17,
                         .output_offset = -5,
                         .multiplier = multiplier,
                         .shift = shift,
                         .activation_min = -128,
                         .activation_max = 127},
        .stride_y = layer->stride,
        .stride_x = layer->stride,
        .pad_y = layer->pad_y,
        .pad_x = layer->pad_x,
        .dilation_y = 1,
        .dilation_x = 1,
        .groups = layer->groups,
    };
}

/* The roundings one after the other, as the definition has them. */
static int8_t plain_output(int32_t sum, int32_t multiplier, int32_t shift, const ci_quantisation_s8 *q) {
    const uint32_t left = shift > 0 ? (uint32_t)shift : 0;
    int64_t product = (int64_t)(int32_t)((uint32_t)sum << left) * multiplier + (1 << 30);
    int32_t x = (int32_t)(product >> 31);
    if (shift < 0) { /* ties away from zero: the last bit shifted out is the rounding */
        x += x >> 31;
        x = (x >> -shift) + ((x >> (-shift - 1)) & 1);
    }
    x += q->output_offset;
    x = x < q->activation_min ? q->activation_min : x;
    return (int8_t)(x > q->activation_max ? q->activation_max : x);
}

void plain_convolve(const ci_convolve_s8_args *conv, int8_t *output) {
    const ci_quantisation_s8 *q = &conv->quantisation;
    const int32_t channels = conv->input_channels / conv->groups,
                  columns = conv->output_channels / conv->groups;
    for (int32_t y = 0; y < conv->output_height; y++)
        for (int32_t x = 0; x < conv->output_width; x++)
            for (int32_t n = 0; n < conv->output_channels; n++) {
                const int8_t *weights =
                    conv->filter + (int64_t)n * conv->filter_height * conv->filter_width * channels;
                int32_t sum = conv->bias ? conv->bias[n] : 0;
                for (int32_t ky = 0; ky < conv->filter_height; ky++)
                    for (int32_t kx = 0; kx < conv->filter_width; kx++, weights += channels) {
                        const int32_t row = y * conv->stride_y - conv->pad_y + ky * conv->dilation_y;
                        const int32_t column = x * conv->stride_x - conv->pad_x + kx * conv->dilation_x;
                        if (row < 0 || row >= conv->input_height || column < 0 || column >= conv->input_width)
                            continue;
                        const int8_t *from =
                            conv->input + ((int64_t)row * conv->input_width + column) * conv->input_channels +
                            n / columns * channels;
                        for (int32_t c = 0; c < channels; c++)
                            sum += (from[c] + q->input_offset) * weights[c];
                    }
                *output++ = plain_output(sum, q->multiplier[n], q->shift[n], q);
            }
}
