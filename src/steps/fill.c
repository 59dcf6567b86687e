/* Fills a strided view, or the frame around a box in it. */
#include "fill.h"

#include <string.h>

typedef struct {
    ci_nest nest;
    ci_split split;
    ci_ref y;
    int32_t element_bytes;
    uint64_t value;
} fill;

#define FILL(type)                                                                                           \
    if (stride == 1) {                                                                                       \
        for (int64_t i = 0; i < count; i++)                                                                  \
            ((type *)y)[i] = (type)value;                                                                    \
    } else {                                                                                                 \
        for (int64_t i = 0; i < count; i++)                                                                  \
            ((type *)y)[i * stride] = (type)value;                                                           \
    }                                                                                                        \
    break

static void fill_elements(int32_t element_bytes, uint64_t value, int64_t count, char *y, int64_t stride) {
    switch (element_bytes) {
    case 1:
        FILL(uint8_t);
    case 2:
        FILL(uint16_t);
    case 4:
        FILL(uint32_t);
    default:
        FILL(uint64_t);
    }
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const fill *step = params;
    ci_nest nest;
    int64_t offset[CI_MAX_OPERANDS], index[CI_MAX_RANK] = {0};
    ci_nest_part(&step->nest, &step->split, task, &nest, offset);
    const int32_t last = nest.rank - 1;
    char *const y = ci_address(run, step->y);
    do {
        fill_elements(step->element_bytes, step->value, nest.shape[last], y + offset[0] * step->element_bytes,
                      nest.stride[0][last]);
    } while (ci_nest_next(&nest, last, index, offset));
}

static ci_status add_box(ci_program *program, const ci_fill *given, const int64_t *begin, const int64_t *end,
                         int32_t *boxes) {
    fill step = {.y = given->y.ref, .element_bytes = given->element_bytes, .value = given->value};
    int64_t shape[CI_MAX_RANK];
    ci_view part = given->y;
    for (int32_t axis = 0; axis < given->rank; axis++) {
        shape[axis] = end[axis] - begin[axis];
        if (shape[axis] == 0)
            return CI_OK;
        part.ref.offset += begin[axis] * part.strides[axis] * given->element_bytes;
    }
    const ci_view *const views[] = {&part};
    step.y = part.ref;
    ci_status status = ci_nest_make(program, given->rank, shape, 1, views, given->element_bytes, &step.nest);
    if (status != CI_OK)
        return status;
    ci_nest_simplify(&step.nest);
    step.split =
        ci_nest_split(&step.nest, given->threads, given->element_bytes * ci_nest_elements(&step.nest));
    if ((*boxes)++)
        ci_program_no_barrier(program);
    return ci_program_add(program, run_task, &step, sizeof step, step.split.tasks, 0);
}

ci_status ci_add_fill(ci_program *program, const ci_fill *given) {
    const int32_t bytes = given->element_bytes;
    if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
        return CI_ERROR_ARGUMENT;
    /* The whole view is checked first: the boxes' corners are then sums that cannot overflow. */
    ci_nest whole;
    const ci_view *const views[] = {&given->y};
    ci_status status = ci_nest_make(program, given->rank, given->shape, 1, views, bytes, &whole);
    if (status != CI_OK)
        return status;
    int64_t begin[CI_MAX_RANK], end[CI_MAX_RANK];
    int32_t boxes = 0;
    int is_whole = given->rank == 0;
    for (int32_t axis = 0; axis < given->rank; axis++) {
        begin[axis] = 0;
        end[axis] = given->shape[axis];
        is_whole |= given->inner_begin[axis] >= given->inner_end[axis];
    }
    if (is_whole)
        return add_box(program, given, begin, end, &boxes);
    /* Before and after the box along each axis, over the box's range of the axes before, all of those behind.
     */
    for (int32_t axis = 0; axis < given->rank; axis++) {
        const int64_t first = given->inner_begin[axis], last = given->inner_end[axis];
        if (first < 0 || last > given->shape[axis])
            return CI_ERROR_ARGUMENT;
        end[axis] = first;
        status = add_box(program, given, begin, end, &boxes);
        if (status != CI_OK)
            return status;
        begin[axis] = last;
        end[axis] = given->shape[axis];
        status = add_box(program, given, begin, end, &boxes);
        if (status != CI_OK)
            return status;
        begin[axis] = first;
        end[axis] = last;
    }
    return CI_OK;
}
