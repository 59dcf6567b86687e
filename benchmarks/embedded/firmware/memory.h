/* Memory for one layer at a time, numbers to fill it with, and the plainest convolution. */
#ifndef CI_EMBEDDED_MEMORY_H
#define CI_EMBEDDED_MEMORY_H

#include <string.h>

#include "conv_infer/ops.h"

typedef enum { LAYER_CONVOLUTION, LAYER_DEPTHWISE, LAYER_ADD, LAYER_AVERAGE } layer_kind;

typedef struct {
    int32_t channels, height, width, outputs, kernel_height, kernel_width, stride, pad_y, pad_x;
    int32_t output_height, output_width, groups;
    layer_kind kind;
} layer;

/* Aligned to 8 bytes, until everything is released; the program ends where there is no more. */
void *memory_take(int64_t bytes);
void memory_release(void);

/* The same bytes in every run. */
void memory_fill(int8_t *bytes, int64_t count);

/* A layer with numbers in it; outputs spread over all of int8. */
ci_convolve_s8_args memory_make_conv(const layer *layer);

void plain_convolve(const ci_convolve_s8_args *conv, int8_t *output);

#endif
