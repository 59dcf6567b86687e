/* Weights of depthwise convolutions, tap by tap. */
#include "pack_depthwise.h"

#include <string.h>

int64_t ci_depthwise_weights_row(int32_t channels) {
    /* Rows a large power of two apart would compete for the same few lines of the first-level cache. */
    const int64_t padded = ((int64_t)channels + 15) / 16 * 16;
    return padded % 256 == 0 ? padded + 16 : padded;
}

void ci_pack_depthwise_f32(int32_t channels, int32_t taps, const void *weights, float *packed) {
    const int64_t row = ci_depthwise_weights_row(channels);
    memset(packed, 0, (size_t)(taps * row) * sizeof *packed);
    for (int32_t c = 0; c < channels; c++) {
        for (int32_t tap = 0; tap < taps; tap++)
            memcpy(&packed[tap * row + c], (const char *)weights + ((int64_t)c * taps + tap) * 4, 4);
    }
}
