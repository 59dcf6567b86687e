/* The C library on machines that Python's tests do not reach: convolution by every form of lowering, float32
 * on three threads and int8, dense, in groups and depthwise, against plain sums; what the machine tells of
 * itself is printed. Fails where a case differs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "conv_infer/conv2d.h"
#include "conv_infer/cpu.h"

enum { HEIGHT = 9, WIDTH = 7, CHANNELS = 12, COLUMNS = 24, KERNEL = 3, MOST = HEIGHT * WIDTH * COLUMNS };

static float image[HEIGHT * WIDTH * CHANNELS], weights[COLUMNS * KERNEL * KERNEL * CHANNELS], bias[COLUMNS];
static int8_t image_s8[HEIGHT * WIDTH * CHANNELS], weights_s8[COLUMNS * KERNEL * KERNEL * CHANNELS];
static float output[MOST];
static int8_t output_s8[MOST];
static int32_t multiplier[COLUMNS], shift[COLUMNS];
static _Alignas(64) char scratch[1 << 20];

static uint32_t state = 1;

static int8_t any_number(void) {
    state = state * 1664525u + 1013904223u;
    return (int8_t)((int)(state >> 24) - 128);
}

/* The sum of products of one output, without bias; magnitude: of the products' sizes. */
static double sum_of(int y, int x, int column, int stride, int groups, int is_s8, double *magnitude) {
    const int per_group = CHANNELS / groups, first = column / (COLUMNS / groups) * per_group;
    double sum = 0;
    *magnitude = 0;
    for (int i = 0; i < KERNEL; i++) {
        for (int j = 0; j < KERNEL; j++) {
            const int row = y * stride + i - 1, pixel = x * stride + j - 1;
            if (row < 0 || row >= HEIGHT || pixel < 0 || pixel >= WIDTH)
                continue;
            for (int k = 0; k < per_group; k++) {
                const int a = (row * WIDTH + pixel) * CHANNELS + first + k;
                const int b = ((column * KERNEL + i) * KERNEL + j) * per_group + k;
                const double product =
                    is_s8 ? image_s8[a] * (double)weights_s8[b] : image[a] * (double)weights[b];
                sum += product;
                *magnitude += fabs(product);
            }
        }
    }
    return sum;
}

static int compare(const char *what, ci_lowering_form form, int stride, int groups, int is_s8) {
    const int height = (HEIGHT - 1) / stride + 1, width = (WIDTH - 1) / stride + 1;
    int differences = 0;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            for (int column = 0; column < COLUMNS; column++) {
                const int at = (y * width + x) * COLUMNS + column;
                double magnitude;
                const double sum = sum_of(y, x, column, stride, groups, is_s8, &magnitude);
                if (is_s8) { /* 2^-8 of it, rounded twice */
                    const double level = sum / 256, clamped = level < -128 ? -128 : level > 127 ? 127 : level;
                    differences += !(fabs(clamped - output_s8[at]) <= 0.75);
                } else {
                    differences += !(fabs(sum + bias[column] - output[at]) <= 1e-6 * (magnitude + 1));
                }
            }
        }
    }
    if (differences)
        printf("%s, %s, stride %d, %d groups: %d differences\n", what, ci_lowering_name(form), stride, groups,
               differences);
    return differences != 0;
}

static int try_form(ci_lowering_form form, int stride, int groups) {
    const int height = (HEIGHT - 1) / stride + 1, width = (WIDTH - 1) / stride + 1;
    ci_conv2d_args args = {.element = CI_ELEMENT_F32,
                           .input = image,
                           .images = 1,
                           .height = HEIGHT,
                           .width = WIDTH,
                           .channels = CHANNELS,
                           .weights = weights,
                           .columns = COLUMNS,
                           .bias = bias,
                           .output = output,
                           .window = {KERNEL, KERNEL, stride, stride, 1, 1, 1, 1, 1, 1},
                           .groups = groups,
                           .form = form,
                           .strip = 1,
                           .activation = {CI_ACTIVATION_CLAMP, -INFINITY, INFINITY},
                           .threads = 3};
    ci_conv2d_s8_args args_s8 = {.convolution = {.input = image_s8,
                                                 .batch = 1,
                                                 .input_height = HEIGHT,
                                                 .input_width = WIDTH,
                                                 .input_channels = CHANNELS,
                                                 .filter = weights_s8,
                                                 .output_channels = COLUMNS,
                                                 .filter_height = KERNEL,
                                                 .filter_width = KERNEL,
                                                 .output = output_s8,
                                                 .output_height = height,
                                                 .output_width = width,
                                                 .quantisation = {0, 0, multiplier, shift, -128, 127},
                                                 .stride_y = stride,
                                                 .stride_x = stride,
                                                 .pad_y = 1,
                                                 .pad_x = 1,
                                                 .dilation_y = 1,
                                                 .dilation_x = 1,
                                                 .groups = groups},
                                 .form = form,
                                 .strip = 1};
    memset(output, 0x5A, sizeof output);
    memset(output_s8, 0x5A, sizeof output_s8);
    if (ci_conv2d(&args, scratch, sizeof scratch) != CI_OK ||
        ci_conv2d_s8(&args_s8, scratch, sizeof scratch) != CI_OK) {
        printf("%s, stride %d, %d groups: refused\n", ci_lowering_name(form), stride, groups);
        return 1;
    }
    return compare("float32", form, stride, groups, 0) + compare("int8", form, stride, groups, 1);
}

int main(void) {
    for (size_t at = 0; at < sizeof image_s8; at++)
        image[at] = (float)(image_s8[at] = any_number()) / 32.0f;
    for (size_t at = 0; at < sizeof weights_s8; at++)
        weights[at] = (float)(weights_s8[at] = any_number()) / 64.0f;
    for (int column = 0; column < COLUMNS; column++) {
        bias[column] = (float)any_number();
        multiplier[column] = 1 << 30; /* a half */
        shift[column] = -7;
    }
    int failed = 0;
    static const int groups[] = {1, 3, CHANNELS};
    for (int form = 0; form < CI_LOWERING_COUNT; form++) {
        for (int stride = 1; stride <= 2; stride++) {
            for (int each = 0; each < 3; each++)
                failed += try_form((ci_lowering_form)form, stride, groups[each]);
        }
    }
    const ci_cache cache = ci_cache_sizes();
    printf("%d forms, %d cases differ; caches of %lld and %lld KiB, %d cores told; built and present:",
           CI_LOWERING_COUNT, failed, (long long)cache.l1_data_bytes >> 10, (long long)cache.l2_bytes >> 10,
           (int)ci_cores());
    for (int isa = 0; isa < CI_ISA_COUNT; isa++) {
        if (ci_isa_allowed(CI_ISA_COUNT) & CI_ISA_BIT(isa))
            printf(" %s", ci_isa_name((ci_isa)isa));
    }
    puts("");
    return failed != 0;
}
