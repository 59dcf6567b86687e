/* Elementwise float32 kernels: activations, binary operators, scale and shift per channel.
 *
 * One body for every instruction set: plain loops that the compiler turns into vector code with the flags of
 * the file that includes this one after defining CI_NAME(kernel), the function's full name. Outputs may be
 * one of the inputs.
 */
#include "conv_infer/microkernel.h"
#include "math_f32.h"

#define MAP(expression)                                                                                      \
    CI_INDEPENDENT                                                                                           \
    for (int64_t i = 0; i < columns; i++) {                                                                  \
        const float v = x[i];                                                                                \
        y[i] = (expression);                                                                                 \
    }                                                                                                        \
    break

static void activate_row(const float *x, float *y, int64_t columns, const ci_activation *activation) {
    const float alpha = activation->alpha, beta = activation->beta;
    switch (activation->kind) {
    case CI_ACTIVATION_CLAMP:
        MAP(ci_clamp(v, alpha, beta));
    case CI_ACTIVATION_LEAKY_RELU:
        MAP(v >= 0.0f ? v : alpha * v);
    case CI_ACTIVATION_HARD_SWISH:
        MAP(v * ci_clamp(alpha * v + beta, 0.0f, 1.0f));
    case CI_ACTIVATION_HARD_SIGMOID:
        MAP(ci_clamp(alpha * v + beta, 0.0f, 1.0f));
    case CI_ACTIVATION_SIGMOID:
        MAP(ci_sigmoid(v));
    case CI_ACTIVATION_SILU:
        MAP(v * ci_sigmoid(alpha * v));
    case CI_ACTIVATION_TANH:
        MAP(ci_tanh(v));
    case CI_ACTIVATION_ELU:
        MAP(v >= 0.0f ? v : alpha * ci_expm1(v));
    case CI_ACTIVATION_SELU:
        MAP(beta * (v >= 0.0f ? v : alpha * ci_expm1(v)));
    case CI_ACTIVATION_CELU:
        MAP(v >= 0.0f ? v : alpha * ci_expm1(v / alpha));
    case CI_ACTIVATION_MISH:
        MAP(ci_mish(v));
    case CI_ACTIVATION_GELU:
        MAP(0.5f * v * (1.0f + ci_erf(v * 0.707106781f)));
    case CI_ACTIVATION_GELU_TANH: /* (1 + tanh(u)) / 2 is the sigmoid of 2u */
        MAP(v * ci_sigmoid(1.59576912f * (v + 0.044715f * (v * v * v))));
    case CI_ACTIVATION_SOFTPLUS:
        MAP(ci_softplus(v));
    case CI_ACTIVATION_SOFTSIGN:
        MAP(v / (1.0f + fabsf(v)));
    case CI_ACTIVATION_EXP:
        MAP(ci_exp(v));
    case CI_ACTIVATION_LOG:
        MAP(ci_log(v));
    case CI_ACTIVATION_SQRT:
        MAP(sqrtf(v));
    case CI_ACTIVATION_ABS:
        MAP(fabsf(v));
    case CI_ACTIVATION_NEG:
        MAP(-v);
    case CI_ACTIVATION_RECIPROCAL:
        MAP(1.0f / v);
    case CI_ACTIVATION_FLOOR:
        MAP(floorf(v));
    case CI_ACTIVATION_CEIL:
        MAP(ceilf(v));
    case CI_ACTIVATION_ROUND:
        MAP(rintf(v));
    case CI_ACTIVATION_ERF:
        MAP(ci_erf(v));
    case CI_ACTIVATION_SIN:
        MAP(sinf(v));
    default:
        MAP(cosf(v));
    }
}
#undef MAP

void CI_NAME(activation_f32_any)(const ci_activation_f32_args *args) {
    for (int64_t row = 0; row < args->rows; row++)
        activate_row(args->x + row * args->x_row_stride, args->y + row * args->y_row_stride, args->columns,
                     &args->activation);
}

#define LOOP(p, q, expression)                                                                               \
    CI_INDEPENDENT                                                                                           \
    for (int64_t i = 0; i < columns; i++) {                                                                  \
        const float u = p, v = q;                                                                            \
        y[i] = ci_clamp((expression), low, high);                                                            \
    }                                                                                                        \
    break

#define ZIP(expression)                                                                                      \
    if (a_step && b_step) {                                                                                  \
        LOOP(a[i], b[i], expression);                                                                        \
    } else if (a_step) {                                                                                     \
        LOOP(a[i], b_first, expression);                                                                     \
    } else {                                                                                                 \
        LOOP(a_first, b[i], expression);                                                                     \
    }                                                                                                        \
    break

static void zip_row(int32_t kind, const float *a, int64_t a_step, const float *b, int64_t b_step, float *y,
                    int64_t columns, float low, float high) {
    const float a_first = *a, b_first = *b;
    switch (kind) {
    case CI_BINARY_ADD:
        ZIP(u + v);
    case CI_BINARY_SUB:
        ZIP(u - v);
    case CI_BINARY_MUL:
        ZIP(u * v);
    case CI_BINARY_DIV:
        ZIP(u / v);
    case CI_BINARY_MIN:
        ZIP(ci_min(u, v));
    case CI_BINARY_MAX:
        ZIP(ci_max(u, v));
    case CI_BINARY_POW:
        ZIP(powf(u, v));
    case CI_BINARY_PRELU:
        ZIP(u >= 0.0f ? u : u * v);
    default:
        ZIP(fmodf(u, v));
    }
}
#undef ZIP
#undef LOOP

/* Activations other than a clamp run over blocks that are still in the first-level cache. */
enum { BLOCK = 2048 };

void CI_NAME(binary_f32_any)(const ci_binary_f32_args *args) {
    const int is_clamp = args->activation.kind == CI_ACTIVATION_CLAMP;
    const float low = is_clamp ? args->activation.alpha : -INFINITY;
    const float high = is_clamp ? args->activation.beta : INFINITY;
    const int64_t a_step = args->a_column_stride, b_step = args->b_column_stride;
    for (int64_t row = 0; row < args->rows; row++) {
        const float *a = args->a + row * args->a_row_stride, *b = args->b + row * args->b_row_stride;
        float *y = args->y + row * args->y_row_stride;
        const int64_t step = is_clamp ? args->columns : BLOCK;
        for (int64_t first = 0; first < args->columns; first += step) {
            const int64_t columns = args->columns - first < step ? args->columns - first : step;
            zip_row(args->kind, a + first * a_step, a_step, b + first * b_step, b_step, y + first, columns,
                    low, high);
            if (!is_clamp)
                activate_row(y + first, y + first, columns, &args->activation);
        }
    }
}

void CI_NAME(affine_f32_any)(const ci_affine_f32_args *args) {
    const int64_t columns = args->columns;
    const float *centre = args->centre, *scale = args->scale, *shift = args->shift;
    for (int64_t row = 0; row < args->rows; row++) {
        const float *x = args->x + row * args->x_row_stride;
        float *y = args->y + row * args->y_row_stride;
        if (!args->column_stride) {
            const float m = centre ? *centre : 0.0f, s = *scale, t = *shift;
            CI_INDEPENDENT
            for (int64_t i = 0; i < columns; i++)
                y[i] = CI_FMA(x[i] - m, s, t);
        } else if (centre) {
            CI_INDEPENDENT
            for (int64_t i = 0; i < columns; i++)
                y[i] = CI_FMA(x[i] - centre[i], scale[i], shift[i]);
        } else {
            CI_INDEPENDENT
            for (int64_t i = 0; i < columns; i++)
                y[i] = CI_FMA(x[i], scale[i], shift[i]);
        }
        activate_row(y, y, columns, &args->activation);
    }
}
