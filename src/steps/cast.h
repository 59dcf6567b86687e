/* The cast step: converts every element of a view to another type. */
#ifndef CI_STEPS_CAST_H
#define CI_STEPS_CAST_H

#include "nest.h"

typedef enum {
    CI_TYPE_FLOAT16,
    CI_TYPE_FLOAT32,
    CI_TYPE_FLOAT64,
    CI_TYPE_INT8,
    CI_TYPE_UINT8,
    CI_TYPE_INT16,
    CI_TYPE_UINT16,
    CI_TYPE_INT32,
    CI_TYPE_INT64,
    CI_TYPE_BOOL,
    CI_TYPE_COUNT,
} ci_type;

/* float64 becomes float16 by way of float32. Floating-point numbers lose their fraction on the way to an
 * integer; those that do not fit, and NaN, become the lowest int64 or int32, of which narrower types take the
 * low bits (so do integers that do not fit): what NumPy and onnxruntime do on x86, here on every machine. A
 * bool is x != 0. */
typedef struct {
    int32_t y_type, x_type; /* ci_type */
    int32_t rank;
    int64_t shape[CI_MAX_RANK];
    ci_view y, x; /* strides in elements of their own types; disjoint */
    int32_t threads;
} ci_cast;

ci_status ci_add_cast(ci_program *program, const ci_cast *cast);

#endif
