/* Quantisation, sums, products and tables over strided views. */
#include "steps/quantised.h"

#include <string.h>

#include "conv_infer/microkernel.h"

typedef struct {
    ci_nest nest;
    ci_split split;
    ci_ref ref[CI_MAX_OPERANDS], table;
    int32_t form;
    ci_binary_u8_args binary;
    ci_any_fn *kernel;
} quantised;

/* What a form's kernel is, and how many bytes an element of each operand has: the output, then the inputs. */
static const struct {
    ci_operation operation;
    int32_t operands, bytes[CI_MAX_OPERANDS];
} forms[CI_QUANTISED_COUNT] = {
    [CI_QUANTISED_QUANTISE] = {CI_OPERATION_quantise_u8, 4, {1, 4, 4, 4}},
    [CI_QUANTISED_DEQUANTISE_U8] = {CI_OPERATION_dequantise_u8, 4, {4, 1, 4, 4}},
    [CI_QUANTISED_DEQUANTISE_S32] = {CI_OPERATION_dequantise_s32, 4, {4, 4, 4, 4}},
    [CI_QUANTISED_ADD] = {CI_OPERATION_add_u8, 3, {1, 1, 1}},
    [CI_QUANTISED_MULTIPLY] = {CI_OPERATION_mul_u8, 3, {1, 1, 1}},
    [CI_QUANTISED_LOOKUP] = {CI_OPERATION_lookup_u8, 2, {1, 1}},
};

/* Rows and columns of every operand: the last two axes of a nest. */
typedef struct {
    int64_t rows, columns;
    char *data[CI_MAX_OPERANDS];
    int64_t row_stride[CI_MAX_OPERANDS], column_stride[CI_MAX_OPERANDS];
} block;

static void run_scaled(const quantised *step, const block *b) {
    /* The scale changes from row to row only where the columns share one. */
    const int64_t rows = b->row_stride[2] || b->row_stride[3] ? 1 : b->rows;
    const int32_t *bytes = forms[step->form].bytes;
    for (int64_t row = 0; row < b->rows; row += rows) {
        const ci_quantise_args args = {
            .rows = rows,
            .columns = b->columns,
            .x = b->data[1] + row * b->row_stride[1] * bytes[1],
            .x_row_stride = b->row_stride[1],
            .y = b->data[0] + row * b->row_stride[0] * bytes[0],
            .y_row_stride = b->row_stride[0],
            .scale = (const float *)b->data[2] + row * b->row_stride[2],
            .zero_point = (const int32_t *)b->data[3] + row * b->row_stride[3],
            .column_stride = b->column_stride[2],
        };
        ((ci_quantise_u8_fn *)step->kernel)(&args); /* all three have function types of one form */
    }
}

static void run_block(const quantised *step, const ci_run *run, const block *b) {
    if (step->form == CI_QUANTISED_LOOKUP) {
        const ci_lookup_u8_args args = {
            .rows = b->rows,
            .columns = b->columns,
            .x = (const uint8_t *)b->data[1],
            .x_row_stride = b->row_stride[1],
            .y = (uint8_t *)b->data[0],
            .y_row_stride = b->row_stride[0],
            .table = ci_address(run, step->table),
        };
        ((ci_lookup_u8_fn *)step->kernel)(&args);
    } else if (step->form == CI_QUANTISED_ADD || step->form == CI_QUANTISED_MULTIPLY) {
        ci_binary_u8_args args = step->binary;
        args.rows = b->rows;
        args.columns = b->columns;
        args.a = (const uint8_t *)b->data[1];
        args.b = (const uint8_t *)b->data[2];
        args.y = (uint8_t *)b->data[0];
        args.y_row_stride = b->row_stride[0];
        args.a_row_stride = b->row_stride[1];
        args.b_row_stride = b->row_stride[2];
        args.a_column_stride = b->column_stride[1];
        args.b_column_stride = b->column_stride[2];
        ((ci_add_u8_fn *)step->kernel)(&args);
    } else {
        run_scaled(step, b);
    }
}

/* The kernels want neighbouring elements. */
static int is_direct(const quantised *step, const block *b) {
    const int64_t *stride = b->column_stride;
    if (stride[0] != 1)
        return 0;
    switch (step->form) {
    case CI_QUANTISED_LOOKUP:
        return stride[1] == 1;
    case CI_QUANTISED_ADD:
    case CI_QUANTISED_MULTIPLY:
        return (stride[1] == 1 || stride[1] == 0) && (stride[2] == 1 || stride[2] == 0) &&
               (stride[1] || stride[2]);
    default:
        return stride[1] == 1 && stride[2] == stride[3] && (stride[2] == 1 || stride[2] == 0);
    }
}

static void copy_strided(char *to, int64_t to_stride, const char *from, int64_t from_stride, int64_t count,
                         int32_t bytes) {
    if (bytes == 1) {
        for (int64_t i = 0; i < count; i++)
            to[i * to_stride] = from[i * from_stride];
        return;
    }
    for (int64_t i = 0; i < count; i++)
        memcpy(to + i * to_stride * 4, from + i * from_stride * 4, 4);
}

/* Where they are not, pieces of each row pass through buffers. */
static void run_gathered(const quantised *step, const ci_run *run, const block *b) {
    enum { PIECE = 256 };
    int32_t buffer[CI_MAX_OPERANDS][PIECE];
    const int32_t *bytes = forms[step->form].bytes;
    for (int64_t row = 0; row < b->rows; row++) {
        for (int64_t first = 0; first < b->columns; first += PIECE) {
            block piece = {.rows = 1, .columns = b->columns - first < PIECE ? b->columns - first : PIECE};
            for (int32_t operand = 0; operand < step->nest.operands; operand++) {
                piece.data[operand] = (char *)buffer[operand];
                piece.column_stride[operand] = 1;
                const int64_t stride = b->column_stride[operand];
                const int64_t begin = row * b->row_stride[operand] + first * stride;
                if (operand > 0)
                    copy_strided(piece.data[operand], 1, b->data[operand] + begin * bytes[operand], stride,
                                 piece.columns, bytes[operand]);
            }
            run_block(step, run, &piece);
            const int64_t stride = b->column_stride[0], begin = row * b->row_stride[0] + first * stride;
            copy_strided(b->data[0] + begin * bytes[0], stride, piece.data[0], 1, piece.columns, bytes[0]);
        }
    }
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const quantised *step = params;
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
            b.data[operand] = (char *)ci_address(run, step->ref[operand]) +
                              offset[operand] * forms[step->form].bytes[operand];
        if (direct)
            run_block(step, run, &b);
        else
            run_gathered(step, run, &b);
    } while (ci_nest_next(&nest, outer, index, offset));
}

ci_status ci_add_quantised(ci_program *program, const ci_quantised *given) {
    if (given->form < 0 || given->form >= CI_QUANTISED_COUNT || given->binary.minimum < 0 ||
        given->binary.maximum > 255)
        return CI_ERROR_ARGUMENT;
    quantised step = {
        .form = given->form,
        .binary = given->binary,
        .ref = {given->y.ref, given->in[0].ref, given->in[1].ref, given->in[2].ref},
        .table = given->table,
    };
    const ci_view *const views[] = {&given->y, &given->in[0], &given->in[1], &given->in[2]};
    const int32_t operands = forms[given->form].operands;
    int64_t bytes = 0;
    for (int32_t operand = 0; operand < operands; operand++) {
        const int32_t size = forms[given->form].bytes[operand];
        const ci_status status = ci_program_check_view(program, views[operand]->ref, given->rank,
                                                       given->shape, views[operand]->strides, size);
        if (status != CI_OK)
            return status;
        if (views[operand]->ref.offset % size)
            return CI_ERROR_ARGUMENT;
        bytes += operand < 2 ? size : 1;
    }
    /* All are known to be in bounds: the smallest size serves to lay out the common nest. */
    ci_status status = ci_nest_make(program, given->rank, given->shape, operands, views, 1, &step.nest);
    if (status == CI_OK && given->form == CI_QUANTISED_LOOKUP)
        status = ci_program_check(program, given->table, 256);
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&step.nest))
        return CI_OK;
    ci_nest_simplify(&step.nest);
    const ci_kernel *kernel = ci_kernel_find(forms[given->form].operation, "any", given->allowed);
    if (!kernel)
        return CI_ERROR_UNSUPPORTED;
    step.kernel = kernel->function;
    step.split = ci_nest_split(&step.nest, given->threads, bytes * ci_nest_elements(&step.nest));
    return ci_program_add(program, run_task, &step, sizeof step, step.split.tasks, 0);
}
