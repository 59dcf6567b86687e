/* Activations, binary operators, scale and shift over strided views. */
#include "elementwise.h"

#include "conv_infer/microkernel.h"

typedef struct {
    ci_nest nest;
    ci_split split;
    ci_ref ref[CI_MAX_OPERANDS];
    int32_t form, binary_kind;
    ci_activation activation;
    ci_any_fn *kernel;
} elementwise;

/* Rows and columns of every operand: the last two axes of a nest. */
typedef struct {
    int64_t rows, columns;
    float *data[CI_MAX_OPERANDS];
    int64_t row_stride[CI_MAX_OPERANDS], column_stride[CI_MAX_OPERANDS];
} block;

static void run_block(const elementwise *step, const block *b) {
    switch (step->form) {
    case CI_ELEMENTWISE_ACTIVATION: {
        const ci_activation_f32_args args = {
            .rows = b->rows,
            .columns = b->columns,
            .x = b->data[1],
            .x_row_stride = b->row_stride[1],
            .y = b->data[0],
            .y_row_stride = b->row_stride[0],
            .activation = step->activation,
        };
        ((ci_activation_f32_fn *)step->kernel)(&args);
        break;
    }
    case CI_ELEMENTWISE_BINARY: {
        const ci_binary_f32_args args = {
            .kind = step->binary_kind,
            .rows = b->rows,
            .columns = b->columns,
            .a = b->data[1],
            .b = b->data[2],
            .a_row_stride = b->row_stride[1],
            .b_row_stride = b->row_stride[2],
            .a_column_stride = b->column_stride[1],
            .b_column_stride = b->column_stride[2],
            .y = b->data[0],
            .y_row_stride = b->row_stride[0],
            .activation = step->activation,
        };
        ((ci_binary_f32_fn *)step->kernel)(&args);
        break;
    }
    default: {
        /* Scale and shift change from row to row only where they do not along the columns. */
        for (int64_t row = 0; row < b->rows; row++) {
            const ci_affine_f32_args args = {
                .rows = b->row_stride[2] || b->row_stride[3] ? 1 : b->rows,
                .columns = b->columns,
                .x = b->data[1] + row * b->row_stride[1],
                .x_row_stride = b->row_stride[1],
                .scale = b->data[2] + row * b->row_stride[2],
                .shift = b->data[3] + row * b->row_stride[3],
                .column_stride = b->column_stride[2],
                .y = b->data[0] + row * b->row_stride[0],
                .y_row_stride = b->row_stride[0],
                .activation = step->activation,
            };
            ((ci_affine_f32_fn *)step->kernel)(&args);
            row += args.rows - 1;
        }
    }
    }
}

/* The kernels want neighbouring elements. */
static int is_direct(const elementwise *step, const block *b) {
    const int64_t *stride = b->column_stride;
    if (stride[0] != 1)
        return 0;
    switch (step->form) {
    case CI_ELEMENTWISE_ACTIVATION:
        return stride[1] == 1;
    case CI_ELEMENTWISE_BINARY:
        return (stride[1] == 1 || stride[1] == 0) && (stride[2] == 1 || stride[2] == 0) &&
               (stride[1] || stride[2]);
    default:
        return stride[1] == 1 && stride[2] == stride[3] && (stride[2] == 1 || stride[2] == 0);
    }
}

/* Where they are not, pieces of each row pass through buffers. */
static void run_gathered(const elementwise *step, const block *b) {
    enum { PIECE = 256 };
    float buffer[CI_MAX_OPERANDS][PIECE];
    for (int64_t row = 0; row < b->rows; row++) {
        for (int64_t first = 0; first < b->columns; first += PIECE) {
            block piece = {.rows = 1, .columns = b->columns - first < PIECE ? b->columns - first : PIECE};
            for (int32_t operand = 0; operand < step->nest.operands; operand++) {
                const int64_t stride = b->column_stride[operand];
                piece.data[operand] = buffer[operand];
                piece.column_stride[operand] = 1;
                if (operand == 0)
                    continue;
                const float *from = b->data[operand] + row * b->row_stride[operand] + first * stride;
                for (int64_t i = 0; i < piece.columns; i++)
                    buffer[operand][i] = from[i * stride];
            }
            run_block(step, &piece);
            const int64_t stride = b->column_stride[0];
            float *to = b->data[0] + row * b->row_stride[0] + first * stride;
            for (int64_t i = 0; i < piece.columns; i++)
                to[i * stride] = buffer[0][i];
        }
    }
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const elementwise *step = params;
    ci_nest nest;
    int64_t offset[CI_MAX_OPERANDS], index[CI_MAX_RANK] = {0};
    ci_nest_part(&step->nest, &step->split, task, &nest, offset);
    const int32_t outer = nest.rank > 2 ? nest.rank - 2 : 0;
    block b = {.rows = nest.rank > 1 ? nest.shape[nest.rank - 2] : 1, .columns = nest.shape[nest.rank - 1]};
    for (int32_t operand = 0; operand < nest.operands; operand++) {
        b.row_stride[operand] = nest.rank > 1 ? nest.stride[operand][nest.rank - 2] : 0;
        b.column_stride[operand] = nest.stride[operand][nest.rank - 1];
    }
    const int direct = is_direct(step, &b);
    do {
        for (int32_t operand = 0; operand < nest.operands; operand++)
            b.data[operand] = (float *)ci_address(run, step->ref[operand]) + offset[operand];
        if (direct)
            run_block(step, &b);
        else
            run_gathered(step, &b);
    } while (ci_nest_next(&nest, outer, index, offset));
}

ci_status ci_add_elementwise(ci_program *program, const ci_elementwise *given) {
    static const ci_operation operations[] = {CI_OPERATION_activation_f32, CI_OPERATION_binary_f32,
                                              CI_OPERATION_affine_f32};
    if (given->form < CI_ELEMENTWISE_ACTIVATION || given->form > CI_ELEMENTWISE_AFFINE ||
        given->activation.kind < 0 || given->activation.kind >= CI_ACTIVATION_COUNT ||
        given->binary_kind < 0 || given->binary_kind >= CI_BINARY_COUNT)
        return CI_ERROR_ARGUMENT;
    elementwise step = {
        .form = given->form,
        .binary_kind = given->binary_kind,
        .activation = given->activation,
        .ref = {given->y.ref, given->in[0].ref, given->in[1].ref, given->in[2].ref},
    };
    const ci_view *const views[] = {&given->y, &given->in[0], &given->in[1], &given->in[2]};
    ci_status status =
        ci_nest_make(program, given->rank, given->shape, 2 + given->form, views, sizeof(float), &step.nest);
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&step.nest))
        return CI_OK;
    ci_nest_simplify(&step.nest);
    const ci_kernel *kernel = ci_kernel_find(operations[given->form], "any", given->allowed);
    if (!kernel)
        return CI_ERROR_UNSUPPORTED;
    step.kernel = kernel->function;
    const int64_t bytes = (int64_t)sizeof(float) * step.nest.operands * ci_nest_elements(&step.nest);
    step.split = ci_nest_split(&step.nest, given->threads, bytes);
    return ci_program_add(program, run_task, &step, sizeof step, step.split.tasks, 0);
}
