/* Weights of convolutions in narrow groups, in the order in which the grouped_f32 kernels read them. */
#ifndef CI_PACK_GROUPED_H
#define CI_PACK_GROUPED_H

#include "conv_infer/types.h"

/* How many elements packed weights have. CI_ERROR_ARGUMENT where sizes are not positive or channels are not
 * whole groups, CI_ERROR_OVERFLOW where the product does not fit. */
ci_status ci_packed_grouped_f32_elems(int32_t channels, int32_t group, int32_t kernel_height,
                                      int32_t kernel_width, int64_t *elems);

/* OHWI weights [channels][taps][group] (at any address) -> [channels / 16, rounded up][taps][group][16]; see
 * ci_grouped_f32_args. */
void ci_pack_grouped_f32(int32_t channels, int32_t group, int64_t taps, const void *weights, float *packed);

#endif
