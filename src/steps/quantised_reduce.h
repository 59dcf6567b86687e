/* Steps on quantised tensors (unsigned bytes) that bring several elements together: means, average pools,
 * softmax. */
#ifndef CI_STEPS_QUANTISED_REDUCE_H
#define CI_STEPS_QUANTISED_REDUCE_H

#include "nest.h"
#include "steps/windows.h"

/* y = round(float32(sum of (x - x_zero_point)) * scale) + y_zero_point over the axes of `axes`, which y keeps
 * with size 1. */
typedef struct {
    int32_t rank;
    int64_t shape[CI_MAX_RANK]; /* of x */
    uint32_t axes;              /* bit a: axis a is reduced */
    ci_view y, x;
    float scale;
    int32_t x_zero_point, y_zero_point;
    int32_t threads;
    uint32_t allowed;
} ci_quantised_mean;

/* CI_ERROR_OVERFLOW where more elements are summed up than int32 holds. */
ci_status ci_add_quantised_mean(ci_program *program, const ci_quantised_mean *mean);

/* y = round(e * factor / sum of e) + y_zero_point along an axis, with e = table[255 - (maximum - x)], the
 * terms added from first to last in float32. */
typedef struct {
    int32_t rank, axis;
    int64_t shape[CI_MAX_RANK];
    ci_view y, x;
    ci_ref table; /* float32 [256] */
    float factor;
    int32_t y_zero_point;
    int32_t threads;
} ci_quantised_softmax;

ci_status ci_add_quantised_softmax(ci_program *program, const ci_quantised_softmax *softmax);

/* Average pool of NHWC images: see ci_average_u8_args. The count is that of a window's elements inside the
 * image, or with count_include_pad of all. */
typedef struct {
    ci_ref input, output;
    ci_image input_image, output_image;
    ci_window window; /* undilated; its pads are not in memory */
    int32_t count_include_pad;
    float x_scale, y_scale, y_zero_point;
    int32_t x_zero_point, y_origin;
    int32_t threads;
    uint32_t allowed;
} ci_quantised_pool;

ci_status ci_add_quantised_pool(ci_program *program, const ci_quantised_pool *pool);

#endif
