/* Softmax, local response and layer normalisation: rows of neighbours go to the kernels, others are gathered
 * first. */
#include "normalise.h"

#include "conv_infer/microkernel.h"

typedef struct {
    ci_nest outer, row; /* y and x */
    ci_split split;
    ci_ref y, x, scale, shift;
    int64_t columns;
    int32_t is_direct, form, size;
    float alpha, beta, bias, epsilon;
    ci_any_fn *kernel;
} normalise;

static void run_rows(const normalise *step, const ci_run *run, int64_t rows, const float *x, int64_t x_stride,
                     float *y, int64_t y_stride, float *scratch) {
    switch (step->form) {
    case CI_NORMALISE_SOFTMAX:
    case CI_NORMALISE_LOG_SOFTMAX: {
        const ci_softmax_f32_args args = {
            .rows = rows,
            .columns = step->columns,
            .x = x,
            .x_row_stride = x_stride,
            .y = y,
            .y_row_stride = y_stride,
            .is_log = step->form == CI_NORMALISE_LOG_SOFTMAX,
        };
        ((ci_softmax_f32_fn *)step->kernel)(&args);
        break;
    }
    case CI_NORMALISE_LRN: {
        const ci_lrn_f32_args args = {
            .rows = rows,
            .columns = step->columns,
            .x = x,
            .x_row_stride = x_stride,
            .y = y,
            .y_row_stride = y_stride,
            .size = step->size,
            .alpha = step->alpha,
            .beta = step->beta,
            .bias = step->bias,
            .scratch = scratch,
        };
        ((ci_lrn_f32_fn *)step->kernel)(&args);
        break;
    }
    default: {
        const ci_layer_norm_f32_args args = {
            .rows = rows,
            .columns = step->columns,
            .x = x,
            .x_row_stride = x_stride,
            .y = y,
            .y_row_stride = y_stride,
            .scale = ci_address(run, step->scale),
            .shift = ci_address(run, step->shift),
            .epsilon = step->epsilon,
        };
        ((ci_layer_norm_f32_fn *)step->kernel)(&args);
    }
    }
}

/* Moves one row between a view and neighbouring elements. */
static void move_row(const ci_nest *row, int32_t operand, float *view, float *buffer, int to_buffer) {
    int64_t index[CI_MAX_RANK] = {0}, offset[CI_MAX_OPERANDS] = {0};
    const int32_t last = row->rank - 1;
    const int64_t stride = row->stride[operand][last];
    do {
        float *from = view + offset[operand];
        for (int64_t i = 0; i < row->shape[last]; i++, buffer++) {
            if (to_buffer)
                *buffer = from[i * stride];
            else
                from[i * stride] = *buffer;
        }
    } while (ci_nest_next(row, last, index, offset));
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const normalise *step = params;
    ci_nest nest;
    int64_t offset[CI_MAX_OPERANDS], index[CI_MAX_RANK] = {0};
    ci_nest_part(&step->outer, &step->split, task, &nest, offset);
    const int32_t last = nest.rank - 1;
    const int64_t rows = nest.shape[last], y_stride = nest.stride[0][last], x_stride = nest.stride[1][last];
    float *buffer = (float *)run->scratch, *scratch = buffer + (step->is_direct ? 0 : step->columns);
    do {
        float *y = (float *)ci_address(run, step->y) + offset[0];
        float *x = (float *)ci_address(run, step->x) + offset[1];
        if (step->is_direct) {
            run_rows(step, run, rows, x, x_stride, y, y_stride, scratch);
            continue;
        }
        for (int64_t row = 0; row < rows; row++) {
            move_row(&step->row, 1, x + row * x_stride, buffer, 1);
            run_rows(step, run, 1, buffer, 0, buffer, 0, scratch);
            move_row(&step->row, 0, y + row * y_stride, buffer, 0);
        }
    } while (ci_nest_next(&nest, last, index, offset));
}

/* The axes of `row` in row-major order, merged where both operands allow: the order of scale and shift. */
static int is_one_run(const ci_nest *row) {
    ci_nest simple = *row;
    ci_nest_simplify(&simple);
    if (simple.rank != 1 || simple.stride[0][0] != 1 || simple.stride[1][0] != 1)
        return 0;
    int64_t expected = 1;
    for (int32_t axis = row->rank - 1; axis >= 0; axis--) {
        if (row->shape[axis] != 1 && row->stride[0][axis] != expected)
            return 0;
        expected *= row->shape[axis];
    }
    return 1;
}

ci_status ci_add_normalise(ci_program *program, const ci_normalise *given) {
    static const ci_operation operations[] = {CI_OPERATION_softmax_f32, CI_OPERATION_softmax_f32,
                                              CI_OPERATION_lrn_f32, CI_OPERATION_layer_norm_f32};
    if (given->form < 0 || given->form >= CI_NORMALISE_COUNT || given->rank < 1 || given->rank > CI_MAX_RANK)
        return CI_ERROR_ARGUMENT;
    normalise step = {
        .y = given->y.ref,
        .x = given->x.ref,
        .scale = given->scale,
        .shift = given->shift,
        .form = given->form,
        .size = given->size,
        .alpha = given->alpha,
        .beta = given->beta,
        .bias = given->bias,
        .epsilon = given->epsilon,
    };
    int64_t outer[CI_MAX_RANK], row[CI_MAX_RANK];
    for (int32_t axis = 0; axis < given->rank; axis++) {
        const int is_row = given->axes >> axis & 1;
        outer[axis] = is_row ? 1 : given->shape[axis];
        row[axis] = is_row ? given->shape[axis] : 1;
    }
    ci_nest whole;
    const ci_view *const views[] = {&given->y, &given->x};
    ci_status status = ci_nest_make(program, given->rank, given->shape, 2, views, sizeof(float), &whole);
    if (status == CI_OK)
        status = ci_nest_make(program, given->rank, outer, 2, views, sizeof(float), &step.outer);
    if (status == CI_OK)
        status = ci_nest_make(program, given->rank, row, 2, views, sizeof(float), &step.row);
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&whole))
        return CI_OK;
    step.columns = ci_nest_elements(&step.row);
    if (given->form == CI_NORMALISE_LRN && (given->size < 1 || given->size > 2 * step.columns + 1))
        return CI_ERROR_ARGUMENT;
    for (int operand = 0; given->form == CI_NORMALISE_LAYER && operand < 2; operand++) {
        const ci_ref ref = operand ? given->shift : given->scale;
        status = ref.slot == CI_SLOT_NONE
                     ? CI_OK
                     : ci_program_check(program, ref, step.columns * (int64_t)sizeof(float));
        if (status != CI_OK)
            return status;
    }
    const ci_kernel *kernel = ci_kernel_find(operations[given->form], "any", given->allowed);
    if (!kernel)
        return CI_ERROR_UNSUPPORTED;
    step.kernel = kernel->function;
    step.is_direct = is_one_run(&step.row);
    ci_nest_simplify(&step.outer);
    const int64_t bytes = 2 * (int64_t)sizeof(float) * ci_nest_elements(&whole);
    step.split = ci_nest_split(&step.outer, given->threads, 4 * bytes); /* exponentials and sums count */
    int64_t scratch = step.is_direct ? 0 : step.columns;
    if (given->form == CI_NORMALISE_LRN)
        scratch += 2 * step.columns + given->size;
    return ci_program_add(program, run_task, &step, sizeof step, step.split.tasks,
                          scratch * (int64_t)sizeof(float));
}
