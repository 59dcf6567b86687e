/* Reductions: column by column where what is kept lies side by side, run by run where what is reduced does.
 */
#include "reduce.h"

#include <math.h>

#include "conv_infer/microkernel.h"

enum { COLUMNS = 512, LANES = 32, RUN = 1024 };

typedef struct {
    ci_nest kept;    /* y and x, over the axes that stay */
    ci_nest reduced; /* x, over the others */
    ci_split split;
    ci_ref y, x;
    int32_t kind;
    int32_t by_columns;
    double count;
    ci_reduce_f32_fn *kernel;
} reduce;

static int32_t accumulation_of(int32_t kind) {
    switch (kind) {
    case CI_REDUCTION_MAX:
        return CI_REDUCE_MAX;
    case CI_REDUCTION_MIN:
        return CI_REDUCE_MIN;
    case CI_REDUCTION_PROD:
        return CI_REDUCE_PROD;
    case CI_REDUCTION_L1:
        return CI_REDUCE_SUM_ABS;
    case CI_REDUCTION_L2:
    case CI_REDUCTION_SUM_SQUARE:
        return CI_REDUCE_SUM_SQUARE;
    case CI_REDUCTION_LOG_SUM_EXP:
        return CI_REDUCE_SUM_EXP_SHIFTED;
    default:
        return CI_REDUCE_SUM;
    }
}

static float neutral(int32_t accumulation) {
    return accumulation == CI_REDUCE_MAX    ? -INFINITY
           : accumulation == CI_REDUCE_MIN  ? INFINITY
           : accumulation == CI_REDUCE_PROD ? 1.0f
                                            : 0.0f;
}

static float finish(const reduce *step, float total, float shift) {
    switch (step->kind) {
    case CI_REDUCTION_MEAN:
        return (float)(total / step->count);
    case CI_REDUCTION_L2:
        return sqrtf(total);
    case CI_REDUCTION_LOG_SUM:
        return logf(total);
    case CI_REDUCTION_LOG_SUM_EXP:
        return shift + logf(total);
    default:
        return total;
    }
}

static float combine(int32_t accumulation, float a, float b) {
    switch (accumulation) {
    case CI_REDUCE_MAX:
        return a > b || a != a ? a : b;
    case CI_REDUCE_MIN:
        return a < b || a != a ? a : b;
    case CI_REDUCE_PROD:
        return a * b;
    default:
        return a + b;
    }
}

/* total[c] over everything that is reduced, for `columns` neighbours. */
static void reduce_columns(const reduce *step, int32_t accumulation, const float *x, int64_t columns,
                           const float *shift, float *total) {
    const ci_nest *nest = &step->reduced;
    int64_t index[CI_MAX_RANK] = {0}, offset[CI_MAX_OPERANDS] = {0};
    for (int64_t column = 0; column < columns; column++)
        total[column] = neutral(accumulation);
    if (step->count == 0)
        return;
    do {
        const ci_reduce_f32_args args = {
            .accumulation = accumulation,
            .rows = nest->shape[nest->rank - 1],
            .columns = columns,
            .x = x + offset[0],
            .x_row_stride = nest->stride[0][nest->rank - 1],
            .shift = shift,
            .total = total,
        };
        step->kernel(&args);
    } while (ci_nest_next(nest, nest->rank - 1, index, offset));
}

/* The same for one element: a run of neighbours counts as rows of LANES columns and a shorter one. Other runs
 * are gathered first. */
static float reduce_runs(const reduce *step, int32_t accumulation, const float *x, float shift) {
    const ci_nest *nest = &step->reduced;
    const int64_t size = nest->shape[nest->rank - 1], stride = nest->stride[0][nest->rank - 1];
    int64_t index[CI_MAX_RANK] = {0}, offset[CI_MAX_OPERANDS] = {0};
    float total[LANES], shifts[LANES], run[RUN];
    for (int lane = 0; lane < LANES; lane++) {
        total[lane] = neutral(accumulation);
        shifts[lane] = shift;
    }
    if (step->count == 0)
        return total[0];
    do {
        for (int64_t first = 0; first < size; first += stride == 1 ? size : RUN) {
            int64_t length = size;
            const float *from = x + offset[0];
            if (stride != 1) {
                length = size - first < RUN ? size - first : RUN;
                for (int64_t i = 0; i < length; i++)
                    run[i] = from[(first + i) * stride];
                from = run;
            }
            ci_reduce_f32_args args = {accumulation, length / LANES, LANES, from, LANES, shifts, total};
            step->kernel(&args);
            args.x += args.rows * LANES;
            args.rows = 1;
            args.columns = length % LANES;
            step->kernel(&args);
        }
    } while (ci_nest_next(nest, nest->rank - 1, index, offset));
    for (int half = LANES / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; lane++)
            total[lane] = combine(accumulation, total[lane], total[lane + half]);
    }
    return total[0];
}

static float finite_or_zero(float x) {
    return x - x == 0.0f ? x : 0.0f;
}

static void run_columns(const reduce *step, const float *x, int64_t columns, float *y, int64_t y_stride) {
    const int32_t accumulation = accumulation_of(step->kind);
    float total[COLUMNS], shift[COLUMNS] = {0};
    for (int64_t first = 0; first < columns; first += COLUMNS) {
        const int64_t count = columns - first < COLUMNS ? columns - first : COLUMNS;
        if (accumulation == CI_REDUCE_SUM_EXP_SHIFTED) {
            reduce_columns(step, CI_REDUCE_MAX, x + first, count, NULL, shift);
            for (int64_t i = 0; i < count; i++)
                shift[i] = finite_or_zero(shift[i]);
        }
        reduce_columns(step, accumulation, x + first, count, shift, total);
        for (int64_t i = 0; i < count; i++)
            y[(first + i) * y_stride] = finish(step, total[i], shift[i]);
    }
}

static void run_runs(const reduce *step, const float *x, int64_t x_stride, int64_t count, float *y,
                     int64_t y_stride) {
    const int32_t accumulation = accumulation_of(step->kind);
    for (int64_t i = 0; i < count; i++) {
        const float *from = x + i * x_stride;
        float shift = 0.0f;
        if (accumulation == CI_REDUCE_SUM_EXP_SHIFTED)
            shift = finite_or_zero(reduce_runs(step, CI_REDUCE_MAX, from, 0.0f));
        y[i * y_stride] = finish(step, reduce_runs(step, accumulation, from, shift), shift);
    }
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const reduce *step = params;
    ci_nest nest;
    int64_t offset[CI_MAX_OPERANDS], index[CI_MAX_RANK] = {0};
    ci_nest_part(&step->kept, &step->split, task, &nest, offset);
    const int32_t last = nest.rank - 1;
    const int64_t count = nest.shape[last], y_stride = nest.stride[0][last], x_stride = nest.stride[1][last];
    do {
        float *y = (float *)ci_address(run, step->y) + offset[0];
        const float *x = (const float *)ci_address(run, step->x) + offset[1];
        if (step->by_columns)
            run_columns(step, x, count, y, y_stride);
        else
            run_runs(step, x, x_stride, count, y, y_stride);
    } while (ci_nest_next(&nest, last, index, offset));
}

ci_status ci_add_reduce(ci_program *program, const ci_reduce *given) {
    if (given->kind < 0 || given->kind >= CI_REDUCTION_COUNT || given->rank < 0 || given->rank > CI_MAX_RANK)
        return CI_ERROR_ARGUMENT;
    reduce step = {.kind = given->kind, .y = given->y.ref, .x = given->x.ref};
    int64_t kept[CI_MAX_RANK], reduced[CI_MAX_RANK];
    for (int32_t axis = 0; axis < given->rank; axis++) {
        const int is_reduced = given->axes >> axis & 1;
        kept[axis] = is_reduced ? 1 : given->shape[axis];
        reduced[axis] = is_reduced ? given->shape[axis] : 1;
    }
    ci_nest whole;
    const ci_view *const both[] = {&given->y, &given->x}, *const x[] = {&given->x};
    ci_status status = ci_nest_make(program, given->rank, given->shape, 1, x, sizeof(float), &whole);
    if (status == CI_OK)
        status = ci_nest_make(program, given->rank, kept, 2, both, sizeof(float), &step.kept);
    if (status == CI_OK)
        status = ci_nest_make(program, given->rank, reduced, 1, x, sizeof(float), &step.reduced);
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&step.kept))
        return CI_OK;
    const ci_kernel *kernel = ci_kernel_find(CI_OPERATION_reduce_f32, "any", given->allowed);
    if (!kernel)
        return CI_ERROR_UNSUPPORTED;
    step.kernel = (ci_reduce_f32_fn *)kernel->function;
    step.count = (double)ci_nest_elements(&step.reduced);
    ci_nest_simplify(&step.kept);
    ci_nest_simplify(&step.reduced);
    step.by_columns = step.kept.stride[1][step.kept.rank - 1] == 1 && step.kept.shape[step.kept.rank - 1] > 1;
    step.split = ci_nest_split(&step.kept, given->threads, (int64_t)sizeof(float) * ci_nest_elements(&whole));
    return ci_program_add(program, run_task, &step, sizeof step, step.split.tasks, 0);
}
