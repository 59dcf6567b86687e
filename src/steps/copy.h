/* The copy step: moves every element of one strided view to another. Transposes, slices, pieces of a
 * concatenation, broadcasts, tiles, changes of layout: all are choices of strides. */
#ifndef CI_STEPS_COPY_H
#define CI_STEPS_COPY_H

#include "nest.h"

typedef struct {
    int32_t element_bytes; /* 1, 2, 4 or 8 */
    int32_t rank;
    int64_t shape[CI_MAX_RANK];
    ci_view y, x; /* disjoint; x may have strides of 0 and below */
    int32_t threads;
    uint32_t allowed; /* instruction sets */
} ci_copy;

ci_status ci_add_copy(ci_program *program, const ci_copy *copy);

#endif
