/* Means of quantised tensors: column by column where what is kept lies side by side, element by element
 * elsewhere. */
#include "conv_infer/microkernel.h"
#include "requantise.h"
#include "steps/quantised_reduce.h"

enum { COLUMNS = 512, MOST_SUMMED = 1 << 23 };

typedef struct {
    ci_nest kept;    /* y and x, over the axes that stay */
    ci_nest reduced; /* x, over the others */
    ci_split split;
    ci_ref y, x;
    float scale;
    int32_t x_zero_point, y_zero_point;
    int32_t by_columns, count;
    ci_sum_u8_fn *kernel;
} mean;

static uint8_t finish(const mean *step, uint32_t total) {
    const int32_t sum = (int32_t)total - step->count * step->x_zero_point;
    return (uint8_t)ci_clamp_s32(ci_round_half_even((float)sum * step->scale) + step->y_zero_point, 0, 255);
}

static void sum_columns(const mean *step, const uint8_t *x, int64_t columns, uint32_t *total) {
    const ci_nest *nest = &step->reduced;
    int64_t index[CI_MAX_RANK] = {0}, offset[CI_MAX_OPERANDS] = {0};
    for (int64_t column = 0; column < columns; column++)
        total[column] = 0;
    do {
        const ci_sum_u8_args args = {
            .rows = nest->shape[nest->rank - 1],
            .columns = columns,
            .x = x + offset[0],
            .x_row_stride = nest->stride[0][nest->rank - 1],
            .total = total,
        };
        step->kernel(&args);
    } while (ci_nest_next(nest, nest->rank - 1, index, offset));
}

static uint32_t sum_of_one(const mean *step, const uint8_t *x) {
    const ci_nest *nest = &step->reduced;
    const int64_t size = nest->shape[nest->rank - 1], stride = nest->stride[0][nest->rank - 1];
    int64_t index[CI_MAX_RANK] = {0}, offset[CI_MAX_OPERANDS] = {0};
    uint32_t total = 0;
    do {
        const uint8_t *from = x + offset[0];
        for (int64_t i = 0; i < size; i++)
            total += from[i * stride];
    } while (ci_nest_next(nest, nest->rank - 1, index, offset));
    return total;
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const mean *step = params;
    ci_nest nest;
    int64_t offset[CI_MAX_OPERANDS], index[CI_MAX_RANK] = {0};
    ci_nest_part(&step->kept, &step->split, task, &nest, offset);
    const int32_t last = nest.rank - 1;
    const int64_t count = nest.shape[last], y_stride = nest.stride[0][last], x_stride = nest.stride[1][last];
    uint32_t total[COLUMNS];
    do {
        uint8_t *y = (uint8_t *)ci_address(run, step->y) + offset[0];
        const uint8_t *x = (const uint8_t *)ci_address(run, step->x) + offset[1];
        for (int64_t first = 0; first < count; first += COLUMNS) {
            const int64_t columns = count - first < COLUMNS ? count - first : COLUMNS;
            if (step->by_columns)
                sum_columns(step, x + first, columns, total);
            for (int64_t i = 0; i < columns; i++)
                y[(first + i) * y_stride] =
                    finish(step, step->by_columns ? total[i] : sum_of_one(step, x + (first + i) * x_stride));
        }
    } while (ci_nest_next(&nest, last, index, offset));
}

ci_status ci_add_quantised_mean(ci_program *program, const ci_quantised_mean *given) {
    if (given->rank < 0 || given->rank > CI_MAX_RANK)
        return CI_ERROR_ARGUMENT;
    mean step = {
        .y = given->y.ref,
        .x = given->x.ref,
        .scale = given->scale,
        .x_zero_point = given->x_zero_point,
        .y_zero_point = given->y_zero_point,
    };
    int64_t kept[CI_MAX_RANK], reduced[CI_MAX_RANK];
    for (int32_t axis = 0; axis < given->rank; axis++) {
        const int is_reduced = given->axes >> axis & 1;
        kept[axis] = is_reduced ? 1 : given->shape[axis];
        reduced[axis] = is_reduced ? given->shape[axis] : 1;
    }
    ci_nest whole;
    const ci_view *const both[] = {&given->y, &given->x}, *const x[] = {&given->x};
    ci_status status = ci_nest_make(program, given->rank, given->shape, 1, x, 1, &whole);
    if (status == CI_OK)
        status = ci_nest_make(program, given->rank, kept, 2, both, 1, &step.kept);
    if (status == CI_OK)
        status = ci_nest_make(program, given->rank, reduced, 1, x, 1, &step.reduced);
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&step.kept))
        return CI_OK;
    if (ci_nest_is_empty(&step.reduced))
        return CI_ERROR_ARGUMENT;
    if (ci_nest_elements(&step.reduced) > MOST_SUMMED)
        return CI_ERROR_OVERFLOW;
    const ci_kernel *kernel = ci_kernel_find(CI_OPERATION_sum_u8, "any", given->allowed);
    if (!kernel)
        return CI_ERROR_UNSUPPORTED;
    step.kernel = (ci_sum_u8_fn *)kernel->function;
    step.count = (int32_t)ci_nest_elements(&step.reduced);
    ci_nest_simplify(&step.kept);
    ci_nest_simplify(&step.reduced);
    step.by_columns = step.kept.stride[1][step.kept.rank - 1] == 1 && step.kept.shape[step.kept.rank - 1] > 1;
    step.split = ci_nest_split(&step.kept, given->threads, ci_nest_elements(&whole));
    return ci_program_add(program, run_task, &step, sizeof step, step.split.tasks, 0);
}
