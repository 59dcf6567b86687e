/* Depthwise convolution by 3x3 taps: a padded image in int16, two channels and two taps at a time. The same
 * for every form: it lowers nothing. */
#include "forms.h"
#include "widen.h"

enum { SIDE = 3, TAPS = SIDE * SIDE };

static int32_t padded_width(const ci_depthwise_conv_s8_args *conv) {
    return (conv->output_width - 1) * conv->stride_x + SIDE;
}

static int32_t padded_height(const ci_depthwise_conv_s8_args *conv) {
    return (conv->output_height - 1) * conv->stride_y + SIDE;
}

int64_t depthwise_buffer_elems(const ci_depthwise_conv_s8_args *conv) {
    return (int64_t)padded_width(conv) * padded_height(conv) * conv->input_channels;
}

int64_t depthwise_weight_bytes(const ci_depthwise_conv_s8_args *conv) {
    return (int64_t)TAPS * conv->input_channels * 2;
}

/* For every two channels four pairs of taps, [pair][channel][tap], then the last tap, [channel]. */
void depthwise_pack(const ci_depthwise_conv_s8_args *conv, int16_t *weights) {
    const int32_t channels = conv->input_channels;
    for (int32_t c = 0; c < channels; c += 2)
        for (int32_t element = 0; element < 2 * TAPS; element++) {
            const int32_t is_last = element / 4 * 2 == TAPS - 1;
            const int32_t tap = is_last ? TAPS - 1 : element / 4 * 2 + element % 2;
            const int32_t channel = is_last ? element % 4 : element / 2 % 2;
            *weights++ = conv->filter[tap * channels + c + channel];
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

/* Two channels of either tap become two taps of either channel. */
#define TWO_TAPS(first, second)                                                                              \
    "ldr r4, [%" first "]\n\t"                                                                               \
    "ldr r5, [%" second "]\n\t"                                                                              \
    "ldrd r6, r8, [%[w]], #8\n\t"                                                                            \
    "pkhbt r9, r4, r5, lsl #16\n\t"                                                                          \
    "pkhtb r5, r5, r4, asr #16\n\t"                                                                          \
    "smlad %[s0], r9, r6, %[s0]\n\t"                                                                         \
    "smlad %[s1], r5, r8, %[s1]\n\t"

/* Three rows of a window, `x1` bytes from column to column; the sums of two channels. Returns the weights
 * that come next. */
ALWAYS_INLINE const int16_t *tile(const int16_t *a0, const int16_t *a1, const int16_t *a2, int32_t x1,
                                  const int16_t *w, int32_t *sums) {
    int32_t s0 = sums[0], s1 = sums[1];
    __asm__ volatile(TWO_TAPS("[a0]", "[a0], %[x1]")                /* 0, 1 */
                     TWO_TAPS("[a0], %[x1], lsl #1", "[a1]")        /* 2, 3 */
                     TWO_TAPS("[a1], %[x1]", "[a1], %[x1], lsl #1") /* 4, 5 */
                     TWO_TAPS("[a2]", "[a2], %[x1]")                /* 6, 7 */
                     "ldr r4, [%[a2], %[x1], lsl #1]\n\t"
                     "ldr r6, [%[w]], #4\n\t"
                     "smlabb %[s0], r4, r6, %[s0]\n\t"
                     "smlatt %[s1], r4, r6, %[s1]\n\t"
                     : [s0] "+r"(s0), [s1] "+r"(s1), [w] "+r"(w)
                     : [a0] "r"(a0), [a1] "r"(a1), [a2] "r"(a2), [x1] "r"(x1)
                     : "r4", "r5", "r6", "r8", "r9", "memory");
    sums[0] = s0;
    sums[1] = s1;
    return w;
}

ALWAYS_INLINE void run(const ci_depthwise_conv_s8_args *conv, const int16_t *weights,
                       const output_rule *rules, const int16_t *image, int32_t takes_all) {
    const int32_t channels = conv->input_channels, row = padded_width(conv) * channels;
    const ci_quantisation_s8 q = conv->quantisation; /* which no store of a byte can change */
    int8_t *out = conv->output;
    for (int32_t y = 0; y < conv->output_height; y++)
        for (int32_t x = 0; x < conv->output_width; x++) {
            const int16_t *a0 = image + y * conv->stride_y * row + x * conv->stride_x * channels;
            const int16_t *a1 = a0 + row, *a2 = a1 + row, *w = weights;
            const output_rule *rule = rules;
            for (const int8_t *end = out + channels; out < end; a0 += 2, a1 += 2, a2 += 2, rule += 2) {
                int32_t sums[2] = {rule[0].bias, rule[1].bias};
                w = tile(a0, a1, a2, 2 * channels, w, sums);
                to_output(sums[0], rule, &q, takes_all, out++);
                to_output(sums[1], rule + 1, &q, takes_all, out++);
            }
        }
}

void depthwise_run(const ci_depthwise_conv_s8_args *conv, const int16_t *weights, const output_rule *rules,
                   int16_t *buffer) {
    pad_image(conv, buffer);
    if (takes_all(&conv->quantisation))
        run(conv, weights, rules, buffer, 1);
    else
        run(conv, weights, rules, buffer, 0);
}
