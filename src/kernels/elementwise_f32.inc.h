/* Elementwise float32 kernels: activations, binary operators, scale and shift per channel.
 *
 * One body for every instruction set: the including file defines CI_NAME(kernel), the function's full name,
 * and includes its vocabulary of vectors. What is simple enough is a plain loop that the compiler turns into
 * vector code. Outputs may be one of the inputs.
 */
#include <math.h>

#include "conv_infer/microkernel.h"
#include "math_f32.h"

/* The compiler makes vectors only of numbers that are not part of one already. */
#if VF_LANES == 1
#    define CI_IF_SINGLE CI_INDEPENDENT
#else
#    define CI_IF_SINGLE
#endif

/* The expression, of the vector v, over a row. */
#define MAP(expression)                                                                                      \
    do {                                                                                                     \
        int64_t i = 0;                                                                                       \
        CI_IF_SINGLE                                                                                         \
        for (; i + VF_LANES <= columns; i += VF_LANES) {                                                     \
            const vf v = vf_load(x + i);                                                                     \
            vf_store(y + i, expression);                                                                     \
        }                                                                                                    \
        if (i < columns) {                                                                                   \
            const int32_t left = (int32_t)(columns - i);                                                     \
            const vf v = vf_load_n(x + i, left);                                                             \
            vf_store_n(y + i, expression, left);                                                             \
        }                                                                                                    \
        return;                                                                                              \
    } while (0)

/* The expression, of the number v, over a row. */
#define MAP_EACH(expression)                                                                                 \
    CI_INDEPENDENT                                                                                           \
    for (int64_t i = 0; i < columns; i++) {                                                                  \
        const float v = x[i];                                                                                \
        y[i] = (expression);                                                                                 \
    }                                                                                                        \
    return

/* The comparisons are written so that a NaN in x stays. */
static inline float clamped(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

static inline float lesser(float a, float b) {
    return a < b || a != a ? a : b;
}
static inline float greater(float a, float b) {
    return a > b || a != a ? a : b;
}

/* alpha * (exp(exponent) - 1) where v is negative. */
CI_INLINE vf elu(vf v, vf alpha, vf exponent) {
    return vf_select(vf_lt(v, vf_zero()), vf_mul(alpha, vf_expm1(exponent)), v);
}

CI_INLINE vf gelu(vf v) {
    const vf half = vf_mul(vf_set1(0.5f), v);
    return vf_fma(half, vf_erf(vf_mul(v, vf_set1(0.707106781f))), half);
}

/* (1 + tanh(u)) / 2 is the sigmoid of 2u */
CI_INLINE vf gelu_tanh(vf v) {
    const vf cubic = vf_fma(vf_mul(vf_set1(0.044715f), v), vf_mul(v, v), v);
    return vf_mul(v, vf_sigmoid(vf_mul(vf_set1(1.59576912f), cubic)));
}

static void activate_row(const float *x, float *y, int64_t columns, const ci_activation *activation) {
    const vf alpha = vf_set1(activation->alpha), beta = vf_set1(activation->beta), one = vf_set1(1.0f);
    switch (activation->kind) {
    case CI_ACTIVATION_CLAMP:
        MAP(vf_clamp(v, alpha, beta));
    case CI_ACTIVATION_LEAKY_RELU:
        MAP(vf_leaky_relu(v, alpha));
    case CI_ACTIVATION_HARD_SWISH:
        MAP(vf_hard_swish(v, alpha, beta));
    case CI_ACTIVATION_HARD_SIGMOID:
        MAP(vf_hard_sigmoid(v, alpha, beta));
    case CI_ACTIVATION_SIGMOID:
        MAP(vf_sigmoid(v));
    case CI_ACTIVATION_SILU:
        MAP(vf_mul(v, vf_sigmoid(vf_mul(alpha, v))));
    case CI_ACTIVATION_TANH:
        MAP(vf_tanh(v));
    case CI_ACTIVATION_ELU:
        MAP(elu(v, alpha, v));
    case CI_ACTIVATION_SELU:
        MAP(vf_mul(beta, elu(v, alpha, v)));
    case CI_ACTIVATION_CELU:
        MAP(elu(v, alpha, vf_div(v, alpha)));
    case CI_ACTIVATION_MISH:
        MAP(vf_mish(v));
    case CI_ACTIVATION_GELU:
        MAP(gelu(v));
    case CI_ACTIVATION_GELU_TANH:
        MAP(gelu_tanh(v));
    case CI_ACTIVATION_SOFTPLUS:
        MAP(vf_softplus(v));
    case CI_ACTIVATION_SOFTSIGN:
        MAP(vf_div(v, vf_add(one, vf_abs(v))));
    case CI_ACTIVATION_EXP:
        MAP(vf_exp(v));
    case CI_ACTIVATION_LOG:
        MAP(vf_log(v));
    case CI_ACTIVATION_SQRT:
        MAP(vf_sqrt(v));
    case CI_ACTIVATION_ABS:
        MAP(vf_abs(v));
    case CI_ACTIVATION_NEG:
        MAP(vf_neg(v));
    case CI_ACTIVATION_RECIPROCAL:
        MAP(vf_div(one, v));
    case CI_ACTIVATION_FLOOR:
        MAP(vf_floor(v));
    case CI_ACTIVATION_CEIL:
        MAP(vf_ceil(v));
    case CI_ACTIVATION_ROUND:
        MAP(vf_round(v));
    case CI_ACTIVATION_ERF:
        MAP(vf_erf(v));
    case CI_ACTIVATION_SIN:
        MAP_EACH(sinf(v));
    default:
        MAP_EACH(cosf(v));
    }
}
#undef MAP_EACH
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
        y[i] = clamped((expression), low, high);                                                             \
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
        ZIP(lesser(u, v));
    case CI_BINARY_MAX:
        ZIP(greater(u, v));
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

CI_INLINE vf affine(const ci_affine_f32_args *args, const float *x, int64_t i, const int whole,
                    int32_t lanes) {
#define AT(from) (whole ? vf_load((from) + i) : vf_load_n((from) + i, lanes))
    const int varies = args->column_stride != 0;
    vf v = AT(x);
    if (args->centre)
        v = vf_sub(v, varies ? AT(args->centre) : vf_set1(*args->centre));
    return vf_fma(v, varies ? AT(args->scale) : vf_set1(*args->scale),
                  varies ? AT(args->shift) : vf_set1(*args->shift));
#undef AT
}

void CI_NAME(affine_f32_any)(const ci_affine_f32_args *args) {
    const ci_affine_f32_args copy = *args; /* which no store can change */
    const int64_t columns = copy.columns;
    const int is_clamp = copy.activation.kind == CI_ACTIVATION_CLAMP;
    const vf low = vf_set1(is_clamp ? copy.activation.alpha : -INFINITY);
    const vf high = vf_set1(is_clamp ? copy.activation.beta : INFINITY);
    const float *x = copy.x;
    float *y = copy.y;
    for (int64_t row = 0; row < copy.rows; row++, x += copy.x_row_stride, y += copy.y_row_stride) {
        int64_t i = 0;
        CI_IF_SINGLE
        for (; i + VF_LANES <= columns; i += VF_LANES)
            vf_store(y + i, vf_clamp(affine(&copy, x, i, 1, 0), low, high));
        if (i < columns) {
            const int32_t left = (int32_t)(columns - i);
            vf_store_n(y + i, vf_clamp(affine(&copy, x, i, 0, left), low, high), left);
        }
        if (!is_clamp)
            activate_row(y, y, columns, &copy.activation);
    }
}
