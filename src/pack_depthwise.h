/* Weights of depthwise convolutions, in the order in which the depthwise_f32 kernels read them. */
#ifndef CI_PACK_DEPTHWISE_H
#define CI_PACK_DEPTHWISE_H

#include <stdint.h>

/* Elements from one tap's row of packed weights to the next: at least the channels, rounded up to 16. */
int64_t ci_depthwise_weights_row(int32_t channels);

/* OHWI weights [channels][taps][1] (at any address) -> [taps][weights_row], the rest zero. */
void ci_pack_depthwise_f32(int32_t channels, int32_t taps, const void *weights, float *packed);

#endif
