/* Steps that compute each element of the output from the one at the same place in each input, on quantised
 * tensors (unsigned bytes). */
#ifndef CI_STEPS_QUANTISED_H
#define CI_STEPS_QUANTISED_H

#include "conv_infer/elementwise_u8.h"
#include "nest.h"

typedef enum {
    CI_QUANTISED_QUANTISE,       /* in: x float32, scale float32, zero point int32; y bytes */
    CI_QUANTISED_DEQUANTISE_U8,  /* in: x bytes, scale, zero point; y float32 */
    CI_QUANTISED_DEQUANTISE_S32, /* in: x int32, scale, zero point; y float32 */
    CI_QUANTISED_ADD,            /* in: a, b; y */
    CI_QUANTISED_MULTIPLY,
    CI_QUANTISED_LOOKUP, /* in: x; y */
    CI_QUANTISED_COUNT,
} ci_quantised_form;

/* Views of one shape, strides in elements of their own types: what is broadcast has a stride of 0. The output
 * may be one of the inputs of its own element size, element for element. */
typedef struct {
    int32_t form; /* ci_quantised_form */
    int32_t rank;
    int64_t shape[CI_MAX_RANK];
    ci_view y, in[3];
    ci_binary_u8_args binary; /* of a sum or product: the scales, origins and limits; nothing else is read */
    ci_ref table;             /* of a lookup: 256 bytes */
    int32_t threads;
    uint32_t allowed; /* instruction sets */
} ci_quantised;

ci_status ci_add_quantised(ci_program *program, const ci_quantised *quantised);

#endif
