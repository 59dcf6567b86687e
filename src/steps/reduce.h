/* The reduce step: sums, means, extremes and norms over any axes of a float32 view. */
#ifndef CI_STEPS_REDUCE_H
#define CI_STEPS_REDUCE_H

#include "nest.h"

typedef enum {
    CI_REDUCTION_SUM,
    CI_REDUCTION_MEAN,
    CI_REDUCTION_MAX,
    CI_REDUCTION_MIN,
    CI_REDUCTION_PROD,
    CI_REDUCTION_L1,
    CI_REDUCTION_L2,
    CI_REDUCTION_SUM_SQUARE,
    CI_REDUCTION_LOG_SUM,
    CI_REDUCTION_LOG_SUM_EXP,
    CI_REDUCTION_COUNT,
} ci_reduction;

typedef struct {
    int32_t kind; /* ci_reduction */
    int32_t rank;
    int64_t shape[CI_MAX_RANK]; /* of x */
    uint32_t axes;              /* bit a: axis a is reduced; y has size 1 there */
    ci_view y, x;
    int32_t threads;
    uint32_t allowed; /* instruction sets */
} ci_reduce;

/* Sums run in an order that depends on the shape and strides only. Where there is nothing to reduce the
 * result is that of an empty sum (0, of a mean NaN), product (1), maximum (-infinity) or minimum (infinity).
 */
ci_status ci_add_reduce(ci_program *program, const ci_reduce *reduce);

#endif
