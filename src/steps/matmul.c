/* Matrix products panel by panel: a task packs some columns of b into scratch, then runs the GEMM kernel over
 * all rows of a. */
#include "matmul.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conv_infer/microkernel.h"

enum { ROWS = 240 }; /* of one kernel call, whose offsets are tabled: a multiple of the kernels' mr */

typedef struct {
    ci_nest batch; /* y, a, b */
    int64_t units; /* matrices times panels */
    int64_t units_per_task;
    int32_t panels, rows, columns, depth, nr;
    int64_t y_row, a_row, b_depth, b_column;
    int32_t a_is_contiguous;
    const int32_t *a_offsets, *y_offsets; /* [ROWS] */
    const int32_t *a_depth;               /* [depth] */
    ci_ref y, a, b;
    float alpha;
    ci_gemm_f32_fn *kernel;
} matmul;

static void pack_panel(const matmul *step, const float *b, int32_t columns, float *packed) {
    const int32_t nr = step->nr;
    for (int64_t k = 0; k < step->depth; k++) {
        const float *from = b + k * step->b_depth;
        float *to = packed + k * nr;
        for (int32_t n = 0; n < columns; n++)
            to[n] = step->alpha * from[n * step->b_column];
        for (int32_t n = columns; n < nr; n++)
            to[n] = 0.0f;
    }
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const matmul *step = params;
    const ci_nest *batch = &step->batch;
    const int32_t nr = step->nr;
    float *bias = (float *)run->scratch, *packed = bias + ((nr + 15) & ~15);
    memset(bias, 0, (size_t)nr * sizeof *bias);
    const int64_t begin = task * step->units_per_task;
    const int64_t end =
        begin + step->units_per_task < step->units ? begin + step->units_per_task : step->units;
    for (int64_t unit = begin; unit < end; unit++) {
        int64_t matrix = unit / step->panels, offset[3] = {0};
        const int32_t first = (int32_t)(unit % step->panels) * nr;
        for (int32_t axis = batch->rank - 1; axis >= 0; axis--) {
            for (int32_t operand = 0; operand < 3; operand++)
                offset[operand] += matrix % batch->shape[axis] * batch->stride[operand][axis];
            matrix /= batch->shape[axis];
        }
        const int32_t columns = step->columns - first < nr ? step->columns - first : nr;
        float *y = (float *)ci_address(run, step->y) + offset[0] + first;
        const float *a = (const float *)ci_address(run, step->a) + offset[1];
        const float *b = (const float *)ci_address(run, step->b) + offset[2] + first * step->b_column;
        pack_panel(step, b, columns, packed);
        for (int32_t row = 0; row < step->rows; row += ROWS) {
            const ci_gemm_f32_args args = {
                .rows = step->rows - row < ROWS ? step->rows - row : ROWS,
                .columns = columns,
                .depth = step->depth,
                .a = a + row * step->a_row,
                .a_row = step->a_offsets,
                .a_depth = step->a_depth,
                .a_is_contiguous = step->a_is_contiguous,
                .b = packed,
                .bias = bias,
                .c = y + row * step->y_row,
                .c_row = step->y_offsets,
                .activation = {CI_ACTIVATION_CLAMP, -INFINITY, INFINITY},
            };
            step->kernel(&args);
        }
    }
}

/* The kernel of the best instruction set that covers the columns in the least time: multiply-adds of a tile,
 * or loads where these are more, per row. */
static const ci_kernel *choose_kernel(int64_t columns, uint32_t allowed) {
    int32_t count, lanes = INT32_MAX;
    const ci_kernel *kernels = ci_kernels(&count), *best = NULL;
    double best_cost = 0.0;
    ci_isa isa = CI_ISA_SCALAR;
    for (int32_t index = 0; index < count; index++) {
        const ci_kernel *kernel = &kernels[index];
        if (kernel->operation != CI_OPERATION_gemm_f32 || !(allowed & CI_ISA_BIT(kernel->isa)))
            continue;
        if (kernel->isa > isa)
            lanes = INT32_MAX;
        isa = kernel->isa > isa ? kernel->isa : isa;
        lanes = kernel->isa == isa && kernel->nr < lanes ? kernel->nr : lanes;
    }
    for (int32_t index = 0; index < count; index++) {
        const ci_kernel *kernel = &kernels[index];
        if (kernel->operation != CI_OPERATION_gemm_f32 || !(allowed & CI_ISA_BIT(kernel->isa)) ||
            kernel->isa != isa)
            continue;
        const int64_t vectors = kernel->nr / lanes, multiply_adds = kernel->mr * vectors;
        const int64_t loads = vectors + kernel->mr + 1, panels = (columns + kernel->nr - 1) / kernel->nr;
        const double cost = (double)(panels * (loads > multiply_adds ? loads : multiply_adds)) / kernel->mr;
        if (!best || cost < best_cost) {
            best = kernel;
            best_cost = cost;
        }
    }
    return best;
}

/* i * stride for i < count; NULL where memory is refused. */
static const int32_t *keep_offsets(ci_program *program, int64_t stride, int64_t count) {
    int32_t *offsets = malloc((size_t)count * sizeof *offsets);
    if (!offsets)
        return NULL;
    for (int64_t index = 0; index < count; index++)
        offsets[index] = (int32_t)(index * stride);
    const int32_t *kept = ci_program_keep(program, offsets, (size_t)count * sizeof *offsets);
    free(offsets);
    return kept;
}

static int fits_int32(int64_t count, int64_t stride) {
    const int64_t limit = INT32_MAX / (count > 1 ? count - 1 : 1);
    return stride >= -limit && stride <= limit;
}

ci_status ci_add_matmul(ci_program *program, const ci_matmul *given) {
    const int32_t last = given->rank - 1, row_axis = given->rank - 2;
    if (row_axis < 0 || last >= CI_MAX_RANK || given->depth < 1 || given->depth > INT32_MAX / 128)
        return CI_ERROR_ARGUMENT;
    const int64_t rows = given->shape[row_axis], columns = given->shape[last];
    if ((columns > 1 && given->y.strides[last] != 1) || rows > INT32_MAX - ROWS || columns > INT32_MAX - ROWS)
        return CI_ERROR_ARGUMENT;
    matmul step = {.y = given->y.ref, .a = given->a.ref, .b = given->b.ref, .alpha = given->alpha};
    ci_nest whole;
    int64_t shape[CI_MAX_RANK];
    const ci_view *const y[] = {&given->y}, *const all[] = {&given->y, &given->a, &given->b};
    ci_status status = ci_nest_make(program, given->rank, given->shape, 1, y, sizeof(float), &whole);
    memcpy(shape, given->shape, sizeof shape);
    shape[last] = given->depth;
    if (status == CI_OK)
        status =
            ci_program_check_view(program, given->a.ref, given->rank, shape, given->a.strides, sizeof(float));
    shape[last] = columns;
    shape[row_axis] = given->depth;
    if (status == CI_OK)
        status =
            ci_program_check_view(program, given->b.ref, given->rank, shape, given->b.strides, sizeof(float));
    if (status == CI_OK)
        status = ci_nest_make(program, row_axis, given->shape, 3, all, sizeof(float), &step.batch);
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&whole))
        return CI_OK;
    const int64_t tabled = rows < ROWS ? rows : ROWS;
    if (!fits_int32(tabled, given->a.strides[row_axis]) || !fits_int32(tabled, given->y.strides[row_axis]) ||
        !fits_int32(given->depth, given->a.strides[last]))
        return CI_ERROR_OVERFLOW;
    const ci_kernel *kernel = choose_kernel(columns, given->allowed);
    if (!kernel)
        return CI_ERROR_UNSUPPORTED;
    step.kernel = (ci_gemm_f32_fn *)kernel->function;
    step.nr = kernel->nr;
    step.rows = (int32_t)rows;
    step.columns = (int32_t)columns;
    step.depth = (int32_t)given->depth;
    step.y_row = given->y.strides[row_axis];
    step.a_row = given->a.strides[row_axis];
    step.b_depth = given->b.strides[row_axis];
    step.b_column = given->b.strides[last];
    step.a_is_contiguous = given->a.strides[last] == 1 || given->depth == 1;
    step.a_offsets = keep_offsets(program, step.a_row, tabled);
    step.y_offsets = keep_offsets(program, step.y_row, tabled);
    step.a_depth = keep_offsets(program, given->a.strides[last], given->depth);
    if (!step.a_offsets || !step.y_offsets || !step.a_depth)
        return CI_ERROR_MEMORY;
    step.panels = (int32_t)((columns + step.nr - 1) / step.nr);
    ci_nest_simplify(&step.batch);
    const int64_t matrices = ci_nest_elements(&step.batch);
    step.units = matrices * step.panels; /* at most the elements of y */
    const double work = (double)ci_nest_elements(&whole) * (double)given->depth / 4.0;
    const int32_t tasks =
        ci_task_count(given->threads, work < 1e15 ? (int64_t)work : (int64_t)1e15, step.units);
    step.units_per_task = (step.units + tasks - 1) / tasks;
    const int64_t scratch = ((step.nr + 15) & ~15) + given->depth * step.nr;
    return ci_program_add(program, run_task, &step, sizeof step,
                          (int32_t)((step.units + step.units_per_task - 1) / step.units_per_task),
                          scratch * (int64_t)sizeof(float));
}
