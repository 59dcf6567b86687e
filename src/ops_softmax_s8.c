/* Softmax in fixed point, as TensorFlow Lite and CMSIS-NN compute it. Qm.n: m bits before the point, n behind
 * it.
 *
 * Method: gemmlowp's fixed-point functions (exp by a Taylor polynomial around -1/8 and a product of
 * constants, the reciprocal by Newton-Raphson), whose roundings the results depend on. */
#include "conv_infer/ops.h"
#include "requantise.h"

enum { SUM_INTEGER_BITS = 12 /* sums of exponentials are Q12.19 */ };

/* x * y of two Q0.31, rounded to nearest; saturates at the one product that is 1. */
static int32_t multiply_q31(int32_t x, int32_t y) {
    if (x == INT32_MIN && y == INT32_MIN)
        return INT32_MAX;
    const int64_t product = (int64_t)x * y, half = product < 0 ? 1 - (1 << 30) : 1 << 30;
    return (int32_t)((product + half) / ((int64_t)1 << 31));
}

static int32_t shift_left_saturating(int32_t x, int32_t bits) {
    const int64_t shifted = (int64_t)x * ((int64_t)1 << bits);
    return shifted > INT32_MAX ? INT32_MAX : shifted < INT32_MIN ? INT32_MIN : (int32_t)shifted;
}

/* exp(x) in Q0.31 of x in [-1/4, 0), Q0.31: a polynomial of degree 4 around -1/8. */
static int32_t exp_of_quarter(int32_t x) {
    const int32_t exp_of_minus_eighth = 1895147668, third = 715827883;
    const int32_t y = x + (1 << 28); /* x + 1/8 */
    const int32_t y2 = multiply_q31(y, y), y3 = multiply_q31(y2, y), y4 = multiply_q31(y2, y2);
    const int32_t quarter_y4 = ci_divide_by_power_of_two(y4, 2);
    const int32_t tail = ci_divide_by_power_of_two(multiply_q31(quarter_y4 + y3, third) + y2, 1);
    return exp_of_minus_eighth + multiply_q31(exp_of_minus_eighth, y + tail);
}

/* exp(x) in Q0.31 of x <= 0 in Q5.26. */
static int32_t exp_of_negative(int32_t x) {
    /* exp(-1/4), exp(-1/2), exp(-1), ... exp(-16) in Q0.31 */
    static const int32_t factor[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t quarter = 1 << 24;
    if (x == 0)
        return INT32_MAX;
    const int32_t fraction = (int32_t)((uint32_t)x & (uint32_t)(quarter - 1)) - quarter; /* in [-1/4, 0) */
    const int32_t rest = fraction - x; /* a multiple of 1/4 */
    int32_t result = exp_of_quarter(fraction * 32);
    for (int32_t bit = 0; bit < 7; bit++) {
        if (rest & (quarter << bit))
            result = multiply_q31(result, factor[bit]);
    }
    return result;
}

/* 1 / (1 + x) in Q0.31 of x in [0, 1), Q0.31: three steps of Newton-Raphson from 48/17 - 32/17 d, d = (1 + x)
 * / 2. */
static int32_t reciprocal_of_one_plus(int32_t x) {
    const int32_t start = 1515870810, slope = -1010580540; /* Q2.29 */
    const int64_t sum = (int64_t)x + INT32_MAX;
    const int32_t d = (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
    int32_t guess = start + multiply_q31(d, slope);
    for (int32_t step = 0; step < 3; step++) {
        const int32_t error = (1 << 29) - multiply_q31(d, guess);
        guess += shift_left_saturating(multiply_q31(guess, error), 2);
    }
    return shift_left_saturating(guess, 1);
}

static int32_t leading_zeros(uint32_t x) {
    int32_t count = 0;
    for (; count < 32 && !(x & 0x80000000u); x <<= 1)
        count++;
    return count;
}

static void softmax_row(const int8_t *input, int32_t size, int32_t multiplier, int32_t shift,
                        int32_t diff_min, int8_t *output) {
    int32_t greatest = -128;
    for (int32_t i = 0; i < size; i++)
        greatest = input[i] > greatest ? input[i] : greatest;
    uint32_t sum = 0;
    for (int32_t i = 0; i < size; i++) {
        const int32_t diff = input[i] - greatest;
        if (diff >= diff_min)
            sum += (uint32_t)ci_divide_by_power_of_two(
                exp_of_negative(multiply_q31(shift_left_saturating(diff, shift), multiplier)),
                SUM_INTEGER_BITS);
    }
    const int32_t headroom = leading_zeros(sum);
    const int32_t fraction = (int32_t)((sum << headroom) - 0x80000000u);
    const int32_t scale = reciprocal_of_one_plus(fraction), bits = SUM_INTEGER_BITS - headroom + 23;
    for (int32_t i = 0; i < size; i++) {
        const int32_t diff = input[i] - greatest;
        int32_t value = -128;
        if (diff >= diff_min) {
            const int32_t e = exp_of_negative(multiply_q31(shift_left_saturating(diff, shift), multiplier));
            value += ci_divide_by_power_of_two(multiply_q31(scale, e), bits);
        }
        output[i] = (int8_t)ci_clamp_s32(value, -128, 127);
    }
}

ci_status ci_softmax_s8(const int8_t *input, int32_t rows, int32_t row_size, int32_t multiplier,
                        int32_t shift, int32_t diff_min, int8_t *output) {
    if (!input || !output || rows < 1 || row_size < 1 || multiplier < 0 || shift < 0 || shift > 30 ||
        diff_min > 0)
        return CI_ERROR_ARGUMENT;
    /* At most 2^19 a term: the sum of a row of 4096 at most fills 32 bits. */
    if (row_size > 4096)
        return CI_ERROR_OVERFLOW;
    for (int32_t row = 0; row < rows; row++)
        softmax_row(input + (int64_t)row * row_size, row_size, multiplier, shift, diff_min,
                    output + (int64_t)row * row_size);
    return CI_OK;
}
