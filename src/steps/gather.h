/* The channel gather step: y[..., c] = x[..., channel[c]] along the last axis. */
#ifndef CI_STEPS_GATHER_H
#define CI_STEPS_GATHER_H

#include "nest.h"

typedef struct {
    int32_t element_bytes; /* 1, 2, 4 or 8 */
    int32_t rank;
    int64_t shape[CI_MAX_RANK]; /* of y */
    ci_view y, x;               /* disjoint; the last stride of both is 1 */
    int32_t x_channels;
    const int32_t *channel; /* [shape[rank - 1]], each below x_channels; copied */
    int32_t threads;
    uint32_t allowed; /* instruction sets */
} ci_gather;

ci_status ci_add_gather(ci_program *program, const ci_gather *gather);

#endif
