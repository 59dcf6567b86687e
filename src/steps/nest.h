/* Loop nests over strided views of one shape: what copies and elementwise steps run over. Operand 0 is the
 * output. */
#ifndef CI_NEST_H
#define CI_NEST_H

#include "conv_infer/program.h"

enum { CI_MAX_RANK = 12, CI_MAX_OPERANDS = 4 };

/* A strided array: where its first element lies, and the strides of its axes in elements (0 along axes that
 * are broadcast, negative for axes that run backwards). */
typedef struct {
    ci_ref ref;
    int64_t strides[CI_MAX_RANK];
} ci_view;

typedef struct {
    int32_t rank, operands;
    int64_t shape[CI_MAX_RANK];
    int64_t stride[CI_MAX_OPERANDS][CI_MAX_RANK];
} ci_nest;

/* Fills in `nest`, after checking every operand against its slot. CI_ERROR_ARGUMENT where the output has a
 * stride of 0 along an axis longer than 1. An axis of size 0 is legal: see ci_nest_is_empty. */
ci_status ci_nest_make(const ci_program *program, int32_t rank, const int64_t *shape, int32_t operands,
                       const ci_view *const *views, int32_t element_bytes, ci_nest *nest);

int ci_nest_is_empty(const ci_nest *nest);
int64_t ci_nest_elements(const ci_nest *nest);

/* Drops axes of size 1, orders the others by falling stride of the output, and merges those that every
 * operand walks through as one. The rank is at least 1 afterwards. */
void ci_nest_simplify(ci_nest *nest);

/* How a nest is cut into tasks: pieces of one axis. */
typedef struct {
    int32_t axis, tasks;
    int64_t piece;
} ci_split;

/* About four tasks per thread where `bytes` of traffic are worth it, one otherwise. */
ci_split ci_nest_split(const ci_nest *nest, int32_t threads, int64_t bytes);

/* How many tasks `bytes` of traffic over at most `most` units are worth. */
int32_t ci_task_count(int32_t threads, int64_t bytes, int64_t most);

/* One task's part of a nest: `part` is the nest with a shorter axis, offset[k] where operand k begins
 * (elements). */
void ci_nest_part(const ci_nest *nest, const ci_split *split, int32_t task, ci_nest *part, int64_t *offset);

/* Steps through the outermost `axes` axes: `index` (zero at first) moves on, and with it the offsets. 0 at
 * the end. */
int ci_nest_next(const ci_nest *nest, int32_t axes, int64_t *index, int64_t *offset);

#endif
