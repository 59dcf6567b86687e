/* The resize step: NHWC images to another height and width, nearest neighbour or linear. Which source rows
 * and columns an output row or column is made of is said by tables. */
#ifndef CI_STEPS_RESIZE_H
#define CI_STEPS_RESIZE_H

#include "conv_infer/program.h"

/* Along one axis: output position i takes first_weight[i] of source position first[i] and second_weight[i] of
 * second[i]. Nearest: `first` alone is read. */
typedef struct {
    const int32_t *first, *second;
    const float *first_weight, *second_weight;
} ci_resize_table;

typedef struct {
    int32_t is_linear;     /* linear: float32 only */
    int32_t element_bytes; /* 1, 2, 4 or 8 */
    ci_ref y_ref, x_ref;   /* disjoint */
    ci_image y, x;
    ci_resize_table rows, columns; /* of y.height and y.width entries; copied */
    int32_t threads;
    uint32_t allowed; /* instruction sets */
} ci_resize;

ci_status ci_add_resize(ci_program *program, const ci_resize *resize);

#endif
