/* The activations that epilogues apply in registers, written in the vector vocabulary. NaN stays NaN.
 *
 * A kernel calls vf_activation_of() once and vf_activate() on every vector; the branch on the kind is the
 * same every time and so is predicted. Where a fixed kind is wanted, call its own function.
 */
#ifndef CONV_INFER_KERNELS_ACTIVATION_F32_INC_H
#define CONV_INFER_KERNELS_ACTIVATION_F32_INC_H

#include <math.h>

/* Bounds that are numbers: where an instruction set has nothing better for those, as it is for any. */
#ifndef vf_at_least
#    define vf_at_least(x, bound) vf_max(x, bound)
#    define vf_at_most(x, bound) vf_min(x, bound)
#endif

typedef struct {
    int32_t kind;   /* at most CI_ACTIVATION_LAST_FUSED */
    vf alpha, beta; /* of a clamp: numbers; NaN bounds nothing */
} vf_activation;

CI_INLINE vf_activation vf_activation_of(const ci_activation *activation) {
    const int clamps = activation->kind == CI_ACTIVATION_CLAMP;
    const float lowest = clamps && isnan(activation->alpha) ? -INFINITY : activation->alpha;
    const float highest = clamps && isnan(activation->beta) ? INFINITY : activation->beta;
    const vf_activation result = {activation->kind, vf_set1(lowest), vf_set1(highest)};
    return result;
}

CI_INLINE vf vf_clamp(vf x, vf lowest, vf highest) {
    return vf_at_most(vf_at_least(x, lowest), highest);
}

CI_INLINE vf vf_leaky_relu(vf x, vf slope) {
    return vf_select(vf_lt(x, vf_zero()), vf_mul(x, slope), x);
}

/* Multiplied and added with two roundings, as ONNX spells it. */
CI_INLINE vf vf_hard_sigmoid(vf x, vf alpha, vf beta) {
    return vf_clamp(vf_add(vf_mul(x, alpha), beta), vf_zero(), vf_set1(1.0f));
}

CI_INLINE vf vf_hard_swish(vf x, vf alpha, vf beta) {
    return vf_mul(x, vf_hard_sigmoid(x, alpha, beta));
}

CI_INLINE vf vf_activate(vf x, const vf_activation *activation) {
    switch (activation->kind) {
    case CI_ACTIVATION_LEAKY_RELU:
        return vf_leaky_relu(x, activation->alpha);
    case CI_ACTIVATION_HARD_SWISH:
        return vf_hard_swish(x, activation->alpha, activation->beta);
    case CI_ACTIVATION_HARD_SIGMOID:
        return vf_hard_sigmoid(x, activation->alpha, activation->beta);
    default:
        return vf_clamp(x, activation->alpha, activation->beta);
    }
}

/* The same for `count` vectors (a compile-time number), with one branch for them all. */
CI_INLINE void vf_activate_all(vf x[], const int count, const vf_activation *activation) {
#define VF_ACTIVATE_EACH(expression)                                                                         \
    CI_UNROLL                                                                                                \
    for (int k = 0; k < count; k++)                                                                          \
    x[k] = (expression)

    switch (activation->kind) {
    case CI_ACTIVATION_LEAKY_RELU:
        VF_ACTIVATE_EACH(vf_leaky_relu(x[k], activation->alpha));
        break;
    case CI_ACTIVATION_HARD_SWISH:
        VF_ACTIVATE_EACH(vf_hard_swish(x[k], activation->alpha, activation->beta));
        break;
    case CI_ACTIVATION_HARD_SIGMOID:
        VF_ACTIVATE_EACH(vf_hard_sigmoid(x[k], activation->alpha, activation->beta));
        break;
    default:
        VF_ACTIVATE_EACH(vf_clamp(x[k], activation->alpha, activation->beta));
    }
#undef VF_ACTIVATE_EACH
}

#endif
