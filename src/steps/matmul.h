/* The batched matrix product step, float32, both operands computed: y[..., m, n] = alpha * sum over k of
 * a[..., m, k] * b[..., k, n]. Any strides, and so any transposes, of a and b; the columns of y are
 * neighbours. */
#ifndef CI_STEPS_MATMUL_H
#define CI_STEPS_MATMUL_H

#include "nest.h"

typedef struct {
    int32_t rank;               /* at least 2 */
    int64_t shape[CI_MAX_RANK]; /* of y: batch axes, rows, columns */
    int64_t depth;              /* at least 1 */
    ci_view y, a, b;            /* y is disjoint from both; strides of 0 where a batch axis is broadcast */
    float alpha;
    int32_t threads;
    uint32_t allowed; /* instruction sets */
} ci_matmul;

ci_status ci_add_matmul(ci_program *program, const ci_matmul *matmul);

#endif
