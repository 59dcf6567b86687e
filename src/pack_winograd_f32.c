/* Weights of float32 Winograd convolution: transformed and packed. */
#include <string.h>

#include "pack.h"

enum { POSITIONS = 16 };

/* G times the three values of a row or column. */
static inline void expand(double a, double b, double c, double *result) {
    result[0] = a;
    result[1] = 0.5 * (a + b + c);
    result[2] = 0.5 * (a - b + c);
    result[3] = c;
}

static inline void transform(const char *filter, int64_t row_bytes, int64_t tap_bytes, float *to,
                             int64_t position) {
    double rows[4][3], result[4];
    for (int x = 0; x < 3; x++) {
        float g[3];
        for (int y = 0; y < 3; y++)
            memcpy(&g[y], filter + y * row_bytes + x * tap_bytes, sizeof g[y]);
        expand(g[0], g[1], g[2], result);
        for (int i = 0; i < 4; i++)
            rows[i][x] = result[i];
    }
    for (int i = 0; i < 4; i++) {
        expand(rows[i][0], rows[i][1], rows[i][2], result);
        for (int j = 0; j < 4; j++)
            to[(4 * i + j) * position] = (float)result[j];
    }
}

void ci_pack_winograd_f32(const ci_kernel *kernel, const void *weights, const int64_t strides[4],
                          int32_t columns, int32_t depth, float *packed) {
    const int64_t bytes = (int64_t)sizeof(float);
    const int32_t nr = kernel->nr;
    const int64_t position = (int64_t)depth * nr;
    for (int32_t first = 0; first < columns; first += nr, packed += POSITIONS * position) {
        const int32_t here = columns - first < nr ? columns - first : nr;
        if (here < nr)
            memset(packed, 0, (size_t)(POSITIONS * position) * sizeof *packed);
        const char *panel = (const char *)weights + first * strides[0] * bytes;
        for (int32_t k = 0; k < depth; k++) {
            for (int32_t n = 0; n < here; n++)
                transform(panel + (n * strides[0] + k * strides[3]) * bytes, strides[1] * bytes,
                          strides[2] * bytes, packed + (int64_t)k * nr + n, position);
        }
    }
}
