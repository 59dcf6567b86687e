/* Two patches times two columns at a time. */
#include "two_patch_s8.h"

ci_status ci_two_patch_check_sums(const ci_convolve_s8_args *args, int32_t depth) {
    const int32_t least = args->quantisation.input_offset - 128, most = args->quantisation.input_offset + 127;
    for (int32_t channel = 0; channel < args->output_channels; channel++) {
        const int8_t *weights = args->filter + (int64_t)channel * depth;
        int64_t positive = 0, negative = 0;
        for (int32_t k = 0; k < depth; k++)
            *(weights[k] > 0 ? &positive : &negative) += weights[k];
        const int64_t bias = args->bias ? args->bias[channel] : 0;
        if (bias + positive * most + negative * least > INT32_MAX ||
            bias + positive * least + negative * most < INT32_MIN)
            return CI_ERROR_OVERFLOW;
    }
    return CI_OK;
}

void ci_two_patch_widen(int16_t *to, const int8_t *bytes, int64_t elems, int32_t offset) {
    for (int64_t index = 0; index < elems; index++)
        to[index] = (int16_t)(bytes[index] + offset);
}

void ci_two_patch_multiply(const ci_convolve_s8_args *args, const int16_t *a, int32_t depth,
                           const int32_t *c_row, int32_t rows, int32_t first, int32_t columns,
                           int8_t *output) {
    const int16_t *a0 = a, *a1 = rows > 1 ? a + depth : a;
    const int32_t *bias = args->bias;
    const ci_quantisation_s8 *q = &args->quantisation;
    int8_t *to0 = output + c_row[0], *to1 = output + c_row[rows > 1];
    for (int32_t column = first; column < first + columns; column += 2) {
        const int32_t next = column + 1 < first + columns ? column + 1 : column;
        const int8_t *w0 = args->filter + (int64_t)column * depth;
        const int8_t *w1 = args->filter + (int64_t)next * depth;
        int32_t sum00 = bias ? bias[column] : 0, sum01 = bias ? bias[next] : 0, sum10 = sum00, sum11 = sum01;
        for (int32_t k = 0; k < depth; k++) {
            sum00 += a0[k] * w0[k];
            sum01 += a0[k] * w1[k];
            sum10 += a1[k] * w0[k];
            sum11 += a1[k] * w1[k];
        }
        to0[column] = ci_requantised_s8(q, column, sum00);
        to0[next] = ci_requantised_s8(q, next, sum01);
        to1[column] = ci_requantised_s8(q, column, sum10);
        to1[next] = ci_requantised_s8(q, next, sum11);
    }
}
