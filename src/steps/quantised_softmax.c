/* Softmax of quantised tensors. */
#include "requantise.h"
#include "steps/quantised_reduce.h"

typedef struct {
    ci_nest nest; /* y and x, over the other axes */
    ci_split split;
    ci_ref y, x, table;
    int64_t size, y_stride, x_stride; /* along the axis */
    float factor;
    int32_t y_zero_point;
} softmax;

static void run_one(const softmax *step, const float *table, const uint8_t *x, uint8_t *y) {
    int32_t most = 0;
    for (int64_t i = 0; i < step->size; i++)
        most = x[i * step->x_stride] > most ? x[i * step->x_stride] : most;
    const float *term = table + 255 - most;
    float total = 0.0f;
    for (int64_t i = 0; i < step->size; i++)
        total += term[x[i * step->x_stride]];
    for (int64_t i = 0; i < step->size; i++) {
        const int32_t rounded = ci_round_half_even(term[x[i * step->x_stride]] * step->factor / total);
        y[i * step->y_stride] = (uint8_t)ci_clamp_s32(rounded + step->y_zero_point, 0, 255);
    }
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const softmax *step = params;
    ci_nest nest;
    int64_t offset[CI_MAX_OPERANDS], index[CI_MAX_RANK] = {0};
    ci_nest_part(&step->nest, &step->split, task, &nest, offset);
    const float *table = ci_address(run, step->table);
    do
        run_one(step, table, (const uint8_t *)ci_address(run, step->x) + offset[1],
                (uint8_t *)ci_address(run, step->y) + offset[0]);
    while (ci_nest_next(&nest, nest.rank, index, offset));
}

ci_status ci_add_quantised_softmax(ci_program *program, const ci_quantised_softmax *given) {
    if (given->rank < 1 || given->rank > CI_MAX_RANK || given->axis < 0 || given->axis >= given->rank)
        return CI_ERROR_ARGUMENT;
    softmax step = {
        .y = given->y.ref,
        .x = given->x.ref,
        .table = given->table,
        .size = given->shape[given->axis],
        .y_stride = given->y.strides[given->axis],
        .x_stride = given->x.strides[given->axis],
        .factor = given->factor,
        .y_zero_point = given->y_zero_point,
    };
    int64_t others[CI_MAX_RANK];
    for (int32_t axis = 0; axis < given->rank; axis++)
        others[axis] = axis == given->axis ? 1 : given->shape[axis];
    ci_nest whole;
    const ci_view *const both[] = {&given->y, &given->x};
    ci_status status = ci_nest_make(program, given->rank, given->shape, 2, both, 1, &whole);
    if (status == CI_OK)
        status = ci_nest_make(program, given->rank, others, 2, both, 1, &step.nest);
    if (status == CI_OK)
        status = ci_program_check(program, given->table, 256 * (int64_t)sizeof(float));
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&whole))
        return CI_OK;
    ci_nest_simplify(&step.nest);
    step.split = ci_nest_split(&step.nest, given->threads, 16 * ci_nest_elements(&whole));
    return ci_program_add(program, run_task, &step, sizeof step, step.split.tasks, 0);
}
