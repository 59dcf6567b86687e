/* Depthwise convolution of even channels: a padded image in int16, taps in pairs. The same for every form: it
 * lowers nothing. */
#include "forms.h"
#include "output.h"
#include "widen.h"

static int32_t padded_width(const ci_depthwise_conv_s8_args *conv) {
    return (conv->output_width - 1) * conv->stride_x + conv->filter_width;
}

static int32_t padded_height(const ci_depthwise_conv_s8_args *conv) {
    return (conv->output_height - 1) * conv->stride_y + conv->filter_height;
}

int64_t depthwise_buffer_elems(const ci_depthwise_conv_s8_args *conv) {
    return (int64_t)padded_width(conv) * padded_height(conv) * conv->input_channels;
}

static int32_t pairs_of(const ci_depthwise_conv_s8_args *conv) {
    return (conv->filter_height * conv->filter_width + 1) / 2;
}

int64_t depthwise_weight_bytes(const ci_depthwise_conv_s8_args *conv) {
    return (int64_t)pairs_of(conv) * conv->input_channels * 4;
}

/* [two channels][pair of taps][channel][tap]. */
void depthwise_pack(const ci_depthwise_conv_s8_args *conv, int16_t *weights) {
    const int32_t taps = conv->filter_height * conv->filter_width, channels = conv->input_channels;
    for (int32_t c = 0; c < channels; c += 2)
        for (int32_t pair = 0; pair < pairs_of(conv); pair++)
            for (int32_t element = 0; element < 4; element++) {
                const int32_t tap = 2 * pair + element % 2;
                *weights++ = tap < taps ? conv->filter[tap * channels + c + element / 2] : 0;
            }
}

static void pad_image(const ci_depthwise_conv_s8_args *conv, int16_t *to) {
    const int32_t channels = conv->input_channels, width = padded_width(conv);
    for (int32_t y = 0; y < padded_height(conv); y++, to += width * channels) {
        const int32_t row = y - conv->pad_y, end = conv->input_width + conv->pad_x;
        const int32_t inside = end < width ? end : width;
        memset(to, 0, (size_t)(width * channels) * sizeof *to);
        if (row >= 0 && row < conv->input_height)
            widen(to + conv->pad_x * channels, conv->input + (int64_t)row * conv->input_width * channels,
                  (inside - conv->pad_x) * channels, conv->quantisation.input_offset);
    }
}

void depthwise_run(const ci_depthwise_conv_s8_args *conv, const int16_t *weights, int16_t *buffer) {
    const ci_quantisation_s8 *q = &conv->quantisation;
    const int32_t channels = conv->input_channels, pairs = pairs_of(conv);
    const int32_t taps = conv->filter_height * conv->filter_width, row = padded_width(conv) * channels;
    int32_t at[2 * CI_EMBEDDED_DEPTHWISE_PAIRS];
    for (int32_t tap = 0; tap < 2 * pairs; tap++) { /* one tap too many meets a weight of 0 */
        const int32_t real = tap < taps ? tap : 0;
        at[tap] = real / conv->filter_width * row + real % conv->filter_width * channels;
    }
    pad_image(conv, buffer);
    for (int32_t y = 0; y < conv->output_height; y++)
        for (int32_t x = 0; x < conv->output_width; x++) {
            const int16_t *window = buffer + y * conv->stride_y * row + x * conv->stride_x * channels;
            int8_t *out = conv->output + ((int64_t)y * conv->output_width + x) * channels;
            const int16_t *w = weights;
            for (int32_t c = 0; c < channels; c += 2) {
                int32_t sum0 = conv->bias ? conv->bias[c] : 0, sum1 = conv->bias ? conv->bias[c + 1] : 0;
                for (int32_t pair = 0; pair < pairs; pair++, w += 4) {
                    const uint32_t first = load_word(window + c + at[2 * pair]);
                    const uint32_t second = load_word(window + c + at[2 * pair + 1]);
                    sum0 = multiply_pairs(sum0, lower_halves(first, second), load_word(w));
                    sum1 = multiply_pairs(sum1, upper_halves(first, second), load_word(w + 2));
                }
                out[c] = to_output(sum0, q->multiplier[c], q->shift[c], q);
                out[c + 1] = to_output(sum1, q->multiplier[c + 1], q->shift[c + 1], q);
            }
        }
}
