/* Loop nests: checking, simplifying, cutting into tasks, walking. */
#include "nest.h"

#include <string.h>

ci_status ci_nest_make(const ci_program *program, int32_t rank, const int64_t *shape, int32_t operands,
                       const ci_view *const *views, int32_t element_bytes, ci_nest *nest) {
    if (rank < 0 || rank > CI_MAX_RANK || operands < 1 || operands > CI_MAX_OPERANDS)
        return CI_ERROR_ARGUMENT;
    nest->rank = rank;
    nest->operands = operands;
    int64_t elements = 1;
    for (int32_t axis = 0; axis < rank; axis++) {
        const int64_t size = shape[axis];
        if (size < 0 || (size > 1 && views[0]->strides[axis] == 0))
            return CI_ERROR_ARGUMENT;
        if (size > 0 && elements > (INT64_MAX >> 8) / size)
            return CI_ERROR_OVERFLOW;
        elements *= size;
        nest->shape[axis] = size;
    }
    for (int32_t operand = 0; operand < operands; operand++) {
        const ci_view *view = views[operand];
        if (view->ref.offset % element_bytes)
            return CI_ERROR_ARGUMENT;
        ci_status status =
            ci_program_check_view(program, view->ref, rank, shape, view->strides, element_bytes);
        if (status != CI_OK)
            return status;
        for (int32_t axis = 0; axis < rank; axis++)
            nest->stride[operand][axis] = view->strides[axis];
    }
    return CI_OK;
}

int64_t ci_nest_elements(const ci_nest *nest) {
    int64_t elements = 1;
    for (int32_t axis = 0; axis < nest->rank; axis++)
        elements *= nest->shape[axis];
    return elements;
}

int ci_nest_is_empty(const ci_nest *nest) {
    return ci_nest_elements(nest) == 0;
}

static int64_t magnitude(int64_t stride) {
    return stride < 0 ? -stride : stride;
}

static void copy_axis(const ci_nest *from, int32_t source, ci_nest *to, int32_t target) {
    to->shape[target] = from->shape[source];
    for (int32_t operand = 0; operand < from->operands; operand++)
        to->stride[operand][target] = from->stride[operand][source];
}

static int is_outside(const ci_nest *nest, int32_t axis, int32_t other) {
    for (int32_t operand = 0; operand < nest->operands; operand++) {
        const int64_t mine = magnitude(nest->stride[operand][axis]),
                      its = magnitude(nest->stride[operand][other]);
        if (mine != its)
            return mine > its;
    }
    return 0;
}

static int can_merge(const ci_nest *nest, int32_t outer, int32_t inner) {
    for (int32_t operand = 0; operand < nest->operands; operand++) {
        if (nest->stride[operand][outer] != nest->stride[operand][inner] * nest->shape[inner])
            return 0;
    }
    return 1;
}

void ci_nest_simplify(ci_nest *nest) {
    ci_nest sorted = {.operands = nest->operands};
    for (int32_t axis = 0; axis < nest->rank; axis++) {
        if (nest->shape[axis] == 1)
            continue;
        int32_t place = sorted.rank++;
        copy_axis(nest, axis, &sorted, place);
        for (; place > 0 && is_outside(&sorted, place, place - 1); place--) {
            const ci_nest before = sorted;
            copy_axis(&before, place, &sorted, place - 1);
            copy_axis(&before, place - 1, &sorted, place);
        }
    }
    nest->rank = 0;
    for (int32_t axis = 0; axis < sorted.rank; axis++) {
        copy_axis(&sorted, axis, nest, nest->rank);
        if (nest->rank && can_merge(nest, nest->rank - 1, nest->rank)) {
            const int64_t outer = nest->shape[nest->rank - 1];
            copy_axis(&sorted, axis, nest, nest->rank - 1);
            nest->shape[nest->rank - 1] *= outer;
        } else {
            nest->rank++;
        }
    }
    if (nest->rank == 0) {
        nest->rank = 1;
        nest->shape[0] = 1;
        for (int32_t operand = 0; operand < nest->operands; operand++)
            nest->stride[operand][0] = 1;
    }
}

int32_t ci_task_count(int32_t threads, int64_t bytes, int64_t most) {
    enum { BYTES_PER_TASK = 64 << 10, TASKS_PER_THREAD = 4 };
    int64_t tasks = bytes / BYTES_PER_TASK;
    if (threads <= 1 || tasks <= 1 || most <= 1)
        return 1;
    tasks = tasks < TASKS_PER_THREAD * (int64_t)threads ? tasks : TASKS_PER_THREAD * (int64_t)threads;
    tasks = tasks < most ? tasks : most;
    return tasks < INT32_MAX ? (int32_t)tasks : INT32_MAX;
}

ci_split ci_nest_split(const ci_nest *nest, int32_t threads, int64_t bytes) {
    ci_split split = {0, 1, nest->shape[0]};
    const int64_t wanted = ci_task_count(threads, bytes, INT32_MAX);
    if (wanted == 1)
        return split;
    /* The outermost axis that is long enough, else the longest. */
    for (int32_t axis = 0; axis < nest->rank && nest->shape[split.axis] < wanted; axis++) {
        if (nest->shape[axis] >= wanted || nest->shape[axis] > nest->shape[split.axis])
            split.axis = axis;
    }
    const int64_t size = nest->shape[split.axis];
    split.piece = (size + wanted - 1) / wanted;
    if (split.axis == nest->rank - 1)
        split.piece = (split.piece + 63) & ~(int64_t)63; /* whole cache lines, whole vectors */
    else if (split.piece > 16)
        split.piece = (split.piece + 7) & ~(int64_t)7; /* whole blocks of a transpose */
    split.tasks = (int32_t)((size + split.piece - 1) / split.piece);
    return split;
}

void ci_nest_part(const ci_nest *nest, const ci_split *split, int32_t task, ci_nest *part, int64_t *offset) {
    *part = *nest;
    const int64_t begin = task * split->piece, left = nest->shape[split->axis] - begin;
    part->shape[split->axis] = left < split->piece ? left : split->piece;
    for (int32_t operand = 0; operand < nest->operands; operand++)
        offset[operand] = begin * nest->stride[operand][split->axis];
}

int ci_nest_next(const ci_nest *nest, int32_t axes, int64_t *index, int64_t *offset) {
    for (int32_t axis = axes - 1; axis >= 0; axis--) {
        const int wraps = ++index[axis] == nest->shape[axis];
        const int64_t steps = wraps ? 1 - nest->shape[axis] : 1;
        for (int32_t operand = 0; operand < nest->operands; operand++)
            offset[operand] += steps * nest->stride[operand][axis];
        if (!wraps)
            return 1;
        index[axis] = 0;
    }
    return 0;
}
