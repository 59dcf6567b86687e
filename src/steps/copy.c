/* Copies between strided views: runs of neighbours, 2-D transposes, or element by element. */
#include "copy.h"

#include <string.h>

#include "conv_infer/microkernel.h"

typedef enum { RUNS, TRANSPOSES, ELEMENTS } method;

typedef struct {
    ci_nest nest; /* transposes: the last two axes are the rows and columns of y, the rows being neighbours in
                     x */
    ci_split split;
    ci_ref y, x;
    int32_t element_bytes;
    method method;
    ci_transpose_fn *transpose;
} copy;

#define COPY_ELEMENTS(type)                                                                                  \
    for (int64_t i = 0; i < count; i++)                                                                      \
        ((type *)y)[i * y_stride] = ((const type *)x)[i * x_stride];                                         \
    break

static void copy_elements(int32_t element_bytes, int64_t count, char *y, int64_t y_stride, const char *x,
                          int64_t x_stride) {
    switch (element_bytes) {
    case 1:
        COPY_ELEMENTS(uint8_t);
    case 2:
        COPY_ELEMENTS(uint16_t);
    case 4:
        COPY_ELEMENTS(uint32_t);
    default:
        COPY_ELEMENTS(uint64_t);
    }
}

/* Short runs, without a call of memcpy for each. */
static void copy_run(char *y, const char *x, int64_t bytes) {
    if (bytes >= 8 && bytes <= 32) {
        uint64_t first, last;
        if (bytes > 16) {
            uint64_t second, third;
            memcpy(&second, x + 8, 8);
            memcpy(&third, x + bytes - 16, 8);
            memcpy(&first, x, 8);
            memcpy(&last, x + bytes - 8, 8);
            memcpy(y + 8, &second, 8);
            memcpy(y + bytes - 16, &third, 8);
        } else {
            memcpy(&first, x, 8);
            memcpy(&last, x + bytes - 8, 8);
        }
        memcpy(y, &first, 8);
        memcpy(y + bytes - 8, &last, 8);
    } else {
        memcpy(y, x, (size_t)bytes);
    }
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const copy *step = params;
    ci_nest nest;
    int64_t offset[CI_MAX_OPERANDS], index[CI_MAX_RANK] = {0};
    ci_nest_part(&step->nest, &step->split, task, &nest, offset);
    const int32_t last = nest.rank - 1, outer = step->method == TRANSPOSES ? last - 1 : last;
    const int64_t count = nest.shape[last], y_stride = nest.stride[0][last], x_stride = nest.stride[1][last];
    const int64_t element = step->element_bytes;
    char *const y0 = ci_address(run, step->y);
    const char *const x0 = ci_address(run, step->x);
    do {
        char *y = y0 + offset[0] * element;
        const char *x = x0 + offset[1] * element;
        switch (step->method) {
        case RUNS:
            copy_run(y, x, count * element);
            break;
        case TRANSPOSES: {
            const ci_transpose_args args = {nest.shape[outer], count, x, x_stride, y, nest.stride[0][outer]};
            step->transpose(&args);
            break;
        }
        default:
            copy_elements(step->element_bytes, count, y, y_stride, x, x_stride);
        }
    } while (ci_nest_next(&nest, outer, index, offset));
}

/* Moves `axis` to the place before the last. */
static void move_before_last(ci_nest *nest, int32_t axis) {
    const ci_nest before = *nest;
    for (; axis < nest->rank - 2; axis++) {
        nest->shape[axis] = before.shape[axis + 1];
        nest->stride[0][axis] = before.stride[0][axis + 1];
        nest->stride[1][axis] = before.stride[1][axis + 1];
    }
}

/* Runs of two, four or eight elements that follow one another everywhere become elements of their own. */
static void widen_elements(copy *step) {
    ci_nest *nest = &step->nest;
    const int32_t last = nest->rank - 1;
    const int64_t size = nest->shape[last], bytes = size * step->element_bytes;
    if (last == 0 || nest->stride[0][last] != 1 || nest->stride[1][last] != 1 ||
        (size != 2 && size != 4 && size != 8) || bytes > 8 || step->y.offset % bytes ||
        step->x.offset % bytes)
        return;
    for (int32_t axis = 0; axis < last; axis++)
        if (nest->stride[0][axis] % size || nest->stride[1][axis] % size)
            return;
    for (int32_t axis = 0; axis < last; axis++) {
        nest->stride[0][axis] /= size;
        nest->stride[1][axis] /= size;
    }
    nest->rank = last;
    step->element_bytes = (int32_t)bytes;
}

static void choose_method(copy *step, uint32_t allowed) {
    ci_nest *nest = &step->nest;
    const int32_t last = nest->rank - 1;
    step->method = ELEMENTS;
    if (nest->stride[0][last] != 1)
        return;
    if (nest->stride[1][last] == 1) {
        step->method = RUNS;
        return;
    }
    for (int32_t axis = 0; axis < last; axis++) {
        if (nest->stride[1][axis] != 1)
            continue;
        const int64_t rows = nest->shape[axis], y_stride = nest->stride[0][axis];
        move_before_last(nest, axis);
        nest->shape[last - 1] = rows;
        nest->stride[0][last - 1] = y_stride;
        nest->stride[1][last - 1] = 1;
        static const char *const variants[] = {"x8", "x16", "x32", "x64"};
        const int32_t bytes = step->element_bytes;
        const char *variant = variants[bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3];
        step->method = TRANSPOSES;
        step->transpose =
            (ci_transpose_fn *)ci_kernel_find(CI_OPERATION_transpose, variant, allowed)->function;
        return;
    }
}

ci_status ci_add_copy(ci_program *program, const ci_copy *given) {
    const int32_t bytes = given->element_bytes;
    if ((bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) ||
        !(given->allowed & CI_ISA_BIT(CI_ISA_SCALAR)))
        return CI_ERROR_ARGUMENT;
    copy step = {.y = given->y.ref, .x = given->x.ref, .element_bytes = bytes};
    const ci_view *const views[] = {&given->y, &given->x};
    ci_status status = ci_nest_make(program, given->rank, given->shape, 2, views, bytes, &step.nest);
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&step.nest))
        return CI_OK;
    ci_nest_simplify(&step.nest);
    widen_elements(&step);
    choose_method(&step, given->allowed);
    step.split =
        ci_nest_split(&step.nest, given->threads, 2 * step.element_bytes * ci_nest_elements(&step.nest));
    return ci_program_add(program, run_task, &step, sizeof step, step.split.tasks, 0);
}
