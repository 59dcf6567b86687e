/* Average and max pooling with CMSIS-NN's parameters. */
#include "conv_infer/ops.h"
#include "requantise.h"

enum { CHUNK = 64 /* channels at once */ };

typedef struct {
    int32_t first, end; /* of the input, clipped */
} span;

static span window(int32_t output, int32_t stride, int32_t pad, int32_t filter, int32_t input) {
    const int64_t start = (int64_t)output * stride - pad, end = start + filter;
    return (span){start < 0 ? 0 : (int32_t)start, end > input ? input : (int32_t)end};
}

/* Whether every window along an axis meets the input. */
static int windows_meet(int32_t outputs, int32_t stride, int32_t pad, int32_t filter, int32_t input) {
    return pad < filter && (int64_t)(outputs - 1) * stride - pad < input;
}

static ci_status check(const ci_pool_s8_args *a) {
    const int32_t sizes[] = {a->batch,         a->input_height, a->input_width,   a->channels,
                             a->output_height, a->output_width, a->filter_height, a->filter_width,
                             a->stride_y,      a->stride_x};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (sizes[i] < 1)
            return CI_ERROR_ARGUMENT;
    }
    if (!a->input || !a->output || a->pad_y < 0 || a->pad_x < 0 || a->activation_min < -128 ||
        a->activation_max > 127 || a->activation_min > a->activation_max ||
        !windows_meet(a->output_height, a->stride_y, a->pad_y, a->filter_height, a->input_height) ||
        !windows_meet(a->output_width, a->stride_x, a->pad_x, a->filter_width, a->input_width))
        return CI_ERROR_ARGUMENT;
    /* Sums of a window stay inside int32. */
    return a->filter_height > (INT32_MAX / 256) / a->filter_width ? CI_ERROR_OVERFLOW : CI_OK;
}

/* Nearest, ties away from zero. */
static int32_t divide(int32_t sum, int32_t count) {
    return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

static void pool_chunk(const ci_pool_s8_args *a, const int8_t *image, span ys, span xs, int32_t channels,
                       int32_t is_average, int8_t *output) {
    int32_t value[CHUNK];
    for (int32_t c = 0; c < channels; c++)
        value[c] = is_average ? 0 : -128;
    for (int32_t y = ys.first; y < ys.end; y++) {
        for (int32_t x = xs.first; x < xs.end; x++) {
            const int8_t *pixel = image + ((int64_t)y * a->input_width + x) * a->channels;
            if (is_average) {
                for (int32_t c = 0; c < channels; c++)
                    value[c] += pixel[c];
            } else {
                for (int32_t c = 0; c < channels; c++)
                    value[c] = pixel[c] > value[c] ? pixel[c] : value[c];
            }
        }
    }
    const int32_t count = (ys.end - ys.first) * (xs.end - xs.first);
    for (int32_t c = 0; c < channels; c++)
        output[c] = (int8_t)ci_clamp_s32(is_average ? divide(value[c], count) : value[c], a->activation_min,
                                         a->activation_max);
}

static ci_status pool(const ci_pool_s8_args *a, int32_t is_average) {
    ci_status status = check(a);
    if (status != CI_OK)
        return status;
    int8_t *output = a->output;
    for (int32_t n = 0; n < a->batch; n++) {
        const int8_t *image = a->input + (int64_t)n * a->input_height * a->input_width * a->channels;
        for (int32_t y = 0; y < a->output_height; y++) {
            const span ys = window(y, a->stride_y, a->pad_y, a->filter_height, a->input_height);
            for (int32_t x = 0; x < a->output_width; x++, output += a->channels) {
                const span xs = window(x, a->stride_x, a->pad_x, a->filter_width, a->input_width);
                for (int32_t c = 0; c < a->channels; c += CHUNK)
                    pool_chunk(a, image + c, ys, xs, a->channels - c < CHUNK ? a->channels - c : CHUNK,
                               is_average, output + c);
            }
        }
    }
    return CI_OK;
}

ci_status ci_avgpool_s8(const ci_pool_s8_args *args) {
    return pool(args, 1);
}

ci_status ci_max_pool_s8(const ci_pool_s8_args *args) {
    return pool(args, 0);
}
