/* Products of lowered rows with weights in plain loops: float64 and 8-bit integers. */
#include "conv2d_exact.h"

static double clamp(double value, double low, double high) {
    value = value > low ? value : low;
    return value < high ? value : high;
}

static double activate_f64(ci_activation activation, double value) {
    const double alpha = activation.alpha, beta = activation.beta;
    switch (activation.kind) {
    case CI_ACTIVATION_LEAKY_RELU:
        return value >= 0 ? value : alpha * value;
    case CI_ACTIVATION_HARD_SWISH:
        return value * clamp(alpha * value + beta, 0.0, 1.0);
    case CI_ACTIVATION_HARD_SIGMOID:
        return clamp(alpha * value + beta, 0.0, 1.0);
    default:
        return value != value ? value : clamp(value, alpha, beta);
    }
}

/* Clamped as doubles, where every int32 is exact; bounds between integers go towards the inside. */
static int32_t activate_s32(ci_activation activation, int32_t value) {
    return (int32_t)clamp(value, activation.alpha, activation.beta);
}

#define MULTIPLY(name, a_type, w_type, sum_type, activate)                                                   \
    static void name(const ci_exact_product *p) {                                                            \
        const int32_t taps = p->taps ? p->taps : 1;                                                          \
        for (int32_t row = 0; row < p->rows; row++) {                                                        \
            sum_type *to = (sum_type *)p->output + p->output_row[row];                                       \
            const w_type *w = p->weights;                                                                    \
            for (int32_t column = 0; column < p->columns; column++) {                                        \
                sum_type sum = p->bias ? ((const sum_type *)p->bias)[column] : 0;                            \
                for (int32_t tap = 0; tap < taps; tap++, w += p->depth_elems) {                              \
                    const a_type *a = (const a_type *)p->a + p->row[(int64_t)tap * p->rows + row];           \
                    for (int32_t k = 0; k < p->depth_elems; k++)                                             \
                        sum += (sum_type)a[p->depth[k]] * (sum_type)w[k];                                    \
                }                                                                                            \
                to[column] = activate(p->activation, sum);                                                   \
            }                                                                                                \
        }                                                                                                    \
    }
MULTIPLY(multiply_f64, double, double, double, activate_f64)
MULTIPLY(multiply_s8, int8_t, int8_t, int32_t, activate_s32)
MULTIPLY(multiply_u8, uint8_t, uint8_t, int32_t, activate_s32)
MULTIPLY(multiply_s16_s8, int16_t, int8_t, int32_t, activate_s32)
MULTIPLY(multiply_s16_u8, int16_t, uint8_t, int32_t, activate_s32)

void ci_multiply_exact(ci_exact_kind kind, const ci_exact_product *product) {
    switch (kind) {
    case CI_A_F64:
        multiply_f64(product);
        break;
    case CI_A_S8:
        multiply_s8(product);
        break;
    case CI_A_U8:
        multiply_u8(product);
        break;
    case CI_A_S16_S8:
        multiply_s16_s8(product);
        break;
    case CI_A_S16_U8:
        multiply_s16_u8(product);
        break;
    }
}
