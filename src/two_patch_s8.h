/* The product of CMSIS-NN's lowering: two patches in int16, the input's offset added, times int8 weights as
 * the model has them. Without a packed kernel, but every weight that is loaded meets two rows. */
#ifndef CI_TWO_PATCH_S8_H
#define CI_TWO_PATCH_S8_H

#include "conv_infer/ops.h"
#include "requantise.h"

/* CI_ERROR_OVERFLOW where some image could bring a sum out of int32. `depth`: elements of a patch. */
ci_status ci_two_patch_check_sums(const ci_convolve_s8_args *args, int32_t depth);

/* `bytes` may be the second half of the memory at `to`: each is read before it is written over. */
void ci_two_patch_widen(int16_t *to, const int8_t *bytes, int64_t elems, int32_t offset);

/* One or two rows (`rows`) of `depth` elements, one after the other, times the weights of `columns` output
 * channels from `first` on. Row m goes to output + c_row[m]. */
void ci_two_patch_multiply(const ci_convolve_s8_args *args, const int16_t *a, int32_t depth,
                           const int32_t *c_row, int32_t rows, int32_t first, int32_t columns,
                           int8_t *output);

/* What a sum becomes. */
static inline int8_t ci_requantised_s8(const ci_quantisation_s8 *q, int32_t channel, int32_t sum) {
    const int64_t moved =
        (int64_t)ci_multiply_by_quantised(sum, q->multiplier[channel], q->shift[channel]) + q->output_offset;
    return (int8_t)(moved < q->activation_min   ? q->activation_min
                    : moved > q->activation_max ? q->activation_max
                                                : moved);
}

#endif
