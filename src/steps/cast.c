/* Conversions, piece by piece through float64 or int64, which hold every value of the types they stand for.
 */
#include "cast.h"

#include <string.h>

enum { PIECE = 256 };

typedef struct {
    ci_nest nest;
    ci_split split;
    ci_ref y, x;
    int32_t y_type, x_type;
} cast;

static const int32_t type_bytes[CI_TYPE_COUNT] = {2, 4, 8, 1, 1, 2, 2, 4, 8, 1};

static float float_of_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = (uint32_t)(half & 0x7FFF) << 13;
    float value;
    memcpy(&value, &magnitude, sizeof value);
    value *=
        5.192296858534828e33f; /* 2^112: the difference of the exponents' biases; makes subnormals normal */
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = magnitude >= 0x0F800000u ? magnitude | 0x7F800000u : bits; /* infinity, NaN */
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Rounds half to even; free of branches. */
static uint16_t half_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    float small; /* below 2^-14, adding 0.5 rounds to a multiple of 2^-24 */
    memcpy(&small, &magnitude, sizeof small);
    small += 0.5f;
    uint32_t subnormal;
    memcpy(&subnormal, &small, sizeof subnormal);
    uint32_t half = (magnitude - 0x38000000u + 0xFFF + (magnitude >> 13 & 1)) >> 13;
    half = magnitude < 0x38800000u ? subnormal - 0x3F000000u : half;
    half = magnitude >= 0x477FF000u ? 0x7C00 : half; /* 65520 and above */
    half = magnitude > 0x7F800000u ? 0x7E00 : half;
    return (uint16_t)(sign | half);
}

static int64_t int64_of(double value) {
    return value >= -9223372036854775808.0 && value < 9223372036854775808.0 ? (int64_t)value : INT64_MIN;
}

static int32_t int32_of(double value) {
    return value > -2147483649.0 && value < 2147483648.0 ? (int32_t)value : INT32_MIN;
}

static int64_t is_set(int64_t value) {
    return value != 0;
}
static int is_not_zero(double value) {
    return value != 0.0;
}

#define LOAD(member, type, convert)                                                                          \
    for (int64_t i = 0; i < count; i++)                                                                      \
        piece->member[i] = convert(((const type *)x)[i * stride]);                                           \
    break

#define STORE(member, type, convert)                                                                         \
    for (int64_t i = 0; i < count; i++)                                                                      \
        ((type *)y)[i * stride] = (type)convert(piece->member[i]);                                           \
    break

typedef union {
    double real[PIECE];
    int64_t integer[PIECE];
} values;

static int is_real(int32_t type) {
    return type <= CI_TYPE_FLOAT64;
}

static void load(int32_t type, const void *x, int64_t stride, int64_t count, values *piece) {
    switch (type) {
    case CI_TYPE_FLOAT16:
        LOAD(real, uint16_t, float_of_half);
    case CI_TYPE_FLOAT32:
        LOAD(real, float, (double));
    case CI_TYPE_FLOAT64:
        LOAD(real, double, (double));
    case CI_TYPE_INT8:
        LOAD(integer, int8_t, (int64_t));
    case CI_TYPE_UINT8:
        LOAD(integer, uint8_t, (int64_t));
    case CI_TYPE_INT16:
        LOAD(integer, int16_t, (int64_t));
    case CI_TYPE_UINT16:
        LOAD(integer, uint16_t, (int64_t));
    case CI_TYPE_INT32:
        LOAD(integer, int32_t, (int64_t));
    case CI_TYPE_INT64:
        LOAD(integer, int64_t, (int64_t));
    default:
        LOAD(integer, uint8_t, is_set);
    }
}

static uint16_t half_of_double(double value) {
    return half_of_float((float)value);
}
static uint16_t half_of_int64(int64_t value) {
    return half_of_float((float)value);
}

static void store_real(int32_t type, const values *piece, int64_t count, void *y, int64_t stride) {
    switch (type) {
    case CI_TYPE_FLOAT16:
        STORE(real, uint16_t, half_of_double);
    case CI_TYPE_FLOAT32:
        STORE(real, float, (float));
    case CI_TYPE_FLOAT64:
        STORE(real, double, (double));
    case CI_TYPE_INT8:
        STORE(real, int8_t, int32_of);
    case CI_TYPE_UINT8:
        STORE(real, uint8_t, int32_of);
    case CI_TYPE_INT16:
        STORE(real, int16_t, int32_of);
    case CI_TYPE_UINT16:
        STORE(real, uint16_t, int32_of);
    case CI_TYPE_INT32:
        STORE(real, int32_t, int32_of);
    case CI_TYPE_INT64:
        STORE(real, int64_t, int64_of);
    default:
        STORE(real, uint8_t, is_not_zero);
    }
}

static void store_integer(int32_t type, const values *piece, int64_t count, void *y, int64_t stride) {
    switch (type) {
    case CI_TYPE_FLOAT16:
        STORE(integer, uint16_t, half_of_int64);
    case CI_TYPE_FLOAT32:
        STORE(integer, float, (float));
    case CI_TYPE_FLOAT64:
        STORE(integer, double, (double));
    case CI_TYPE_INT8:
    case CI_TYPE_UINT8:
        STORE(integer, uint8_t, (uint64_t));
    case CI_TYPE_INT16:
    case CI_TYPE_UINT16:
        STORE(integer, uint16_t, (uint64_t));
    case CI_TYPE_INT32:
        STORE(integer, uint32_t, (uint64_t));
    case CI_TYPE_INT64:
        STORE(integer, int64_t, (int64_t));
    default:
        STORE(integer, uint8_t, is_set);
    }
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const cast *step = params;
    ci_nest nest;
    int64_t offset[CI_MAX_OPERANDS], index[CI_MAX_RANK] = {0};
    ci_nest_part(&step->nest, &step->split, task, &nest, offset);
    const int32_t last = nest.rank - 1;
    const int64_t size = nest.shape[last], y_stride = nest.stride[0][last], x_stride = nest.stride[1][last];
    const int64_t y_bytes = type_bytes[step->y_type], x_bytes = type_bytes[step->x_type];
    values piece;
    do {
        char *y = (char *)ci_address(run, step->y) + offset[0] * y_bytes;
        const char *x = (const char *)ci_address(run, step->x) + offset[1] * x_bytes;
        for (int64_t first = 0; first < size; first += PIECE) {
            const int64_t count = size - first < PIECE ? size - first : PIECE;
            load(step->x_type, x + first * x_stride * x_bytes, x_stride, count, &piece);
            if (is_real(step->x_type))
                store_real(step->y_type, &piece, count, y + first * y_stride * y_bytes, y_stride);
            else
                store_integer(step->y_type, &piece, count, y + first * y_stride * y_bytes, y_stride);
        }
    } while (ci_nest_next(&nest, last, index, offset));
}

ci_status ci_add_cast(ci_program *program, const ci_cast *given) {
    if (given->y_type < 0 || given->y_type >= CI_TYPE_COUNT || given->x_type < 0 ||
        given->x_type >= CI_TYPE_COUNT)
        return CI_ERROR_ARGUMENT;
    cast step = {.y = given->y.ref, .x = given->x.ref, .y_type = given->y_type, .x_type = given->x_type};
    const ci_view *const y[] = {&given->y}, *const both[] = {&given->y, &given->x};
    const int32_t y_bytes = type_bytes[given->y_type], x_bytes = type_bytes[given->x_type];
    ci_status status = ci_nest_make(program, given->rank, given->shape, 1, y, y_bytes, &step.nest);
    if (status == CI_OK)
        status = ci_program_check_view(program, given->x.ref, given->rank, given->shape, given->x.strides,
                                       x_bytes);
    if (status == CI_OK && given->x.ref.offset % x_bytes)
        status = CI_ERROR_ARGUMENT;
    /* Both are known to be in bounds: the smaller type's size serves to lay out the common nest. */
    if (status == CI_OK)
        status = ci_nest_make(program, given->rank, given->shape, 2, both, 1, &step.nest);
    if (status != CI_OK)
        return status;
    if (ci_nest_is_empty(&step.nest))
        return CI_OK;
    ci_nest_simplify(&step.nest);
    step.split =
        ci_nest_split(&step.nest, given->threads, (y_bytes + x_bytes) * ci_nest_elements(&step.nest));
    return ci_program_add(program, run_task, &step, sizeof step, step.split.tasks, 0);
}
