/* Steps that normalise a float32 tensor along some of its axes. */
#ifndef CI_STEPS_NORMALISE_H
#define CI_STEPS_NORMALISE_H

#include "nest.h"

typedef enum {
    CI_NORMALISE_SOFTMAX,
    CI_NORMALISE_LOG_SOFTMAX,
    CI_NORMALISE_LRN,   /* local response, along one axis */
    CI_NORMALISE_LAYER, /* mean 0 and variance 1, then scale and shift */
    CI_NORMALISE_COUNT,
} ci_normalise_form;

typedef struct {
    int32_t form; /* ci_normalise_form */
    int32_t rank;
    int64_t shape[CI_MAX_RANK];
    uint32_t axes; /* bit a: axis a belongs to the row that is normalised as a whole */
    ci_view y, x;  /* y may be x */
    int32_t size;  /* LRN: of the window, at least 1 */
    float alpha, beta, bias;
    ci_ref scale, shift; /* layer: one float32 for each element of a row, or CI_SLOT_NONE */
    float epsilon;
    int32_t threads;
    uint32_t allowed; /* instruction sets */
} ci_normalise;

ci_status ci_add_normalise(ci_program *program, const ci_normalise *normalise);

/* Instance and group normalisation: mean 0 and variance 1 over the spatial axes and the channels of each
 * group of each image, then scale and shift per channel. Shapes are [images, spatial..., channels]; channels
 * are neighbours in x and y. */
typedef struct {
    int32_t rank; /* at least 2 */
    int64_t shape[CI_MAX_RANK];
    ci_view y, x;        /* y may be x */
    int64_t groups;      /* of equally many channels; as many as channels: instance normalisation */
    ci_ref scale, shift; /* [channels] */
    float epsilon;
    int32_t threads;
    uint32_t allowed;
} ci_instance_norm;

ci_status ci_add_instance_norm(ci_program *program, const ci_instance_norm *norm);

#endif
