/* Steps that compute each float32 of the output from the one at the same place in each input. */
#ifndef CI_STEPS_ELEMENTWISE_H
#define CI_STEPS_ELEMENTWISE_H

#include "conv_infer/elementwise.h"
#include "nest.h"

typedef enum {
    CI_ELEMENTWISE_ACTIVATION, /* y = activation(in[0]) */
    CI_ELEMENTWISE_BINARY,     /* y = activation(in[0] op in[1]) */
    CI_ELEMENTWISE_AFFINE,     /* y = activation(in[0] * in[1] + in[2]) */
} ci_elementwise_form;

/* Views of one shape: what is broadcast has a stride of 0. The output may be one of the inputs, element for
 * element. */
typedef struct {
    int32_t form;        /* ci_elementwise_form */
    int32_t binary_kind; /* ci_binary_kind, of a binary step */
    ci_activation activation;
    int32_t rank;
    int64_t shape[CI_MAX_RANK];
    ci_view y, in[3];
    int32_t threads;
    uint32_t allowed; /* instruction sets */
} ci_elementwise;

ci_status ci_add_elementwise(ci_program *program, const ci_elementwise *elementwise);

#endif
