/* The fill step: one value for every element of a strided view, or for its frame: what lies outside an inner
 * box, as the padding of an image around the image. */
#ifndef CI_STEPS_FILL_H
#define CI_STEPS_FILL_H

#include "nest.h"

typedef struct {
    int32_t element_bytes; /* 1, 2, 4 or 8 */
    uint64_t value;        /* the element's bits, in the low bytes */
    int32_t rank;
    int64_t shape[CI_MAX_RANK];
    int64_t inner_begin[CI_MAX_RANK],
        inner_end[CI_MAX_RANK]; /* left alone; empty along any axis: fill everything */
    ci_view y;
    int32_t threads;
} ci_fill;

/* Adds one step for each side of the frame, with no barrier between them. */
ci_status ci_add_fill(ci_program *program, const ci_fill *fill);

#endif
