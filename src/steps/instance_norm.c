/* Instance and group normalisation: two passes for mean and variance, one to apply them, block after block of
 * channels. Sums are taken channel by channel, and those of a group are then added up. */
#include <math.h>

#include "conv_infer/microkernel.h"
#include "normalise.h"

enum { CHANNELS = 256 }; /* of a block, but for wider groups */

typedef struct {
    ci_nest plane;                                            /* y and x over the spatial axes of one image */
    int64_t images, channels, group, y_image, x_image, block; /* group: channels of one */
    int32_t blocks;
    ci_ref y, x, scale, shift;
    float epsilon;
    ci_reduce_f32_fn *reduce;
    ci_affine_f32_fn *affine;
} instance_norm;

static void accumulate(const instance_norm *step, int32_t accumulation, const float *x, int64_t channels,
                       const float *shift, float *total) {
    const ci_nest *plane = &step->plane;
    int64_t index[CI_MAX_RANK] = {0}, offset[CI_MAX_OPERANDS] = {0};
    for (int64_t c = 0; c < channels; c++)
        total[c] = 0.0f;
    do {
        const ci_reduce_f32_args args = {
            .accumulation = accumulation,
            .rows = plane->shape[plane->rank - 1],
            .columns = channels,
            .x = x + offset[1],
            .x_row_stride = plane->stride[1][plane->rank - 1],
            .shift = shift,
            .total = total,
        };
        step->reduce(&args);
    } while (ci_nest_next(plane, plane->rank - 1, index, offset));
}

/* Every channel's number becomes the sum of its group's. */
static void add_groups(float *values, int64_t channels, int64_t group) {
    for (int64_t first = 0; first < channels; first += group) {
        float sum = 0.0f;
        for (int64_t c = first; c < first + group; c++)
            sum += values[c];
        for (int64_t c = first; c < first + group; c++)
            values[c] = sum;
    }
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const instance_norm *step = params;
    const ci_nest *plane = &step->plane;
    const int64_t image = task / step->blocks, first = task % step->blocks * step->block;
    const int64_t channels = step->channels - first < step->block ? step->channels - first : step->block;
    const float *x = (const float *)ci_address(run, step->x) + image * step->x_image + first;
    float *y = (float *)ci_address(run, step->y) + image * step->y_image + first;
    const float *scale = (const float *)ci_address(run, step->scale) + first;
    const float *shift = (const float *)ci_address(run, step->shift) + first;
    const float count = (float)(ci_nest_elements(plane) * step->group);
    float *mean = (float *)run->scratch, *factor = mean + step->block;
    accumulate(step, CI_REDUCE_SUM, x, channels, NULL, mean);
    add_groups(mean, channels, step->group);
    for (int64_t c = 0; c < channels; c++)
        mean[c] /= count;
    accumulate(step, CI_REDUCE_SUM_SQUARE_SHIFTED, x, channels, mean, factor);
    add_groups(factor, channels, step->group);
    for (int64_t c = 0; c < channels; c++)
        factor[c] = scale[c] / sqrtf(factor[c] / count + step->epsilon);
    int64_t index[CI_MAX_RANK] = {0}, offset[CI_MAX_OPERANDS] = {0};
    do {
        const ci_affine_f32_args args = {
            .rows = plane->shape[plane->rank - 1],
            .columns = channels,
            .x = x + offset[1],
            .x_row_stride = plane->stride[1][plane->rank - 1],
            .centre = mean,
            .scale = factor,
            .shift = shift,
            .column_stride = 1,
            .y = y + offset[0],
            .y_row_stride = plane->stride[0][plane->rank - 1],
            .activation = {CI_ACTIVATION_CLAMP, -INFINITY, INFINITY},
        };
        step->affine(&args);
    } while (ci_nest_next(plane, plane->rank - 1, index, offset));
}

ci_status ci_add_instance_norm(ci_program *program, const ci_instance_norm *given) {
    const int32_t last = given->rank - 1;
    if (last < 1 || last >= CI_MAX_RANK ||
        (given->shape[last] > 1 && (given->y.strides[last] != 1 || given->x.strides[last] != 1)))
        return CI_ERROR_ARGUMENT;
    if (given->groups < 1 || given->shape[last] % given->groups)
        return CI_ERROR_ARGUMENT;
    instance_norm step = {
        .images = given->shape[0],
        .channels = given->shape[last],
        .group = given->shape[last] / given->groups,
        .y_image = given->y.strides[0],
        .x_image = given->x.strides[0],
        .y = given->y.ref,
        .x = given->x.ref,
        .scale = given->scale,
        .shift = given->shift,
        .epsilon = given->epsilon,
    };
    const ci_view *const views[] = {&given->y, &given->x};
    ci_nest whole;
    int64_t plane[CI_MAX_RANK];
    for (int32_t axis = 0; axis <= last; axis++)
        plane[axis] = axis == 0 || axis == last ? 1 : given->shape[axis];
    ci_status status = ci_nest_make(program, given->rank, given->shape, 2, views, sizeof(float), &whole);
    if (status == CI_OK)
        status = ci_nest_make(program, given->rank, plane, 2, views, sizeof(float), &step.plane);
    if (status == CI_OK)
        status = ci_program_check(program, given->scale, step.channels * (int64_t)sizeof(float));
    if (status == CI_OK)
        status = ci_program_check(program, given->shift, step.channels * (int64_t)sizeof(float));
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&whole))
        return CI_OK;
    const ci_kernel *reduce = ci_kernel_find(CI_OPERATION_reduce_f32, "any", given->allowed);
    const ci_kernel *affine = ci_kernel_find(CI_OPERATION_affine_f32, "any", given->allowed);
    if (!reduce || !affine)
        return CI_ERROR_UNSUPPORTED;
    step.reduce = (ci_reduce_f32_fn *)reduce->function;
    step.affine = (ci_affine_f32_fn *)affine->function;
    ci_nest_simplify(&step.plane);
    const int64_t wanted = given->threads > 1 && step.images < 2 * given->threads ? 2 * given->threads : 1;
    step.block = ((step.channels + wanted - 1) / wanted + 15) & ~(int64_t)15;
    step.block = step.block < CHANNELS ? step.block : CHANNELS;
    step.block = (step.block + step.group - 1) / step.group * step.group;
    const int64_t blocks = (step.channels + step.block - 1) / step.block;
    if (blocks > INT32_MAX / step.images)
        return CI_ERROR_OVERFLOW;
    step.blocks = (int32_t)blocks;
    return ci_program_add(program, run_task, &step, sizeof step, (int32_t)(blocks * step.images),
                          2 * step.block * (int64_t)sizeof(float));
}
