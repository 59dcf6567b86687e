/* Weights of convolutions in narrow groups, by diagonals. */
#include "pack_grouped.h"

#include <string.h>

enum { BLOCK = 16 };

ci_status ci_packed_grouped_f32_elems(int32_t channels, int32_t group, int32_t kernel_height,
                                      int32_t kernel_width, int64_t *elems) {
    if (channels < 1 || group < 1 || channels % group != 0 || kernel_height < 1 || kernel_width < 1)
        return CI_ERROR_ARGUMENT;
    const int64_t taps = (int64_t)kernel_height * kernel_width;
    const int64_t row = ((int64_t)channels + BLOCK - 1) / BLOCK * BLOCK * group; /* < 2^62 */
    if (row > INT64_MAX / 64 / taps)
        return CI_ERROR_OVERFLOW;
    *elems = row * taps;
    return CI_OK;
}

void ci_pack_grouped_f32(int32_t channels, int32_t group, int64_t taps, const void *weights, float *packed) {
    const int64_t row = (int64_t)group * BLOCK;
    const int64_t blocks = ((int64_t)channels + BLOCK - 1) / BLOCK;
    memset(packed, 0, (size_t)(blocks * taps * row) * sizeof *packed);
    for (int32_t c = 0; c < channels; c++) {
        const int32_t first = c / group * group;
        for (int64_t tap = 0; tap < taps; tap++) {
            for (int32_t d = 0; d < group; d++) {
                const int64_t output = first + (c % group + d) % group;
                memcpy(&packed[(c / BLOCK * taps + tap) * row + d * BLOCK + c % BLOCK],
                       (const char *)weights +
                           ((output * taps + tap) * group + c % group) * (int64_t)sizeof(float),
                       sizeof(float));
            }
        }
    }
}
