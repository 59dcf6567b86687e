/* Output pixels as the rows of a GEMM: where each row of A starts and where each row of C goes. */
#ifndef CI_STEPS_ROWS_H
#define CI_STEPS_ROWS_H

#include <stdint.h>

/* The output pixels (image, y, x), numbered row by row through all images, and how far each step along an
 * axis moves in some buffer (elements). */
typedef struct {
    int64_t image, row, pixel;
} ci_row_strides;

/* Writes, for `count` consecutive output pixels from number `first` on, the offset of each from the first of
 * them; returns that first one's own offset. The offsets within one block must fit 31 bits: the step's check
 * sees to it. */
static inline int64_t ci_row_offsets(int32_t *offsets, int64_t first, int32_t count, int32_t height,
                                     int32_t width, ci_row_strides strides) {
    int64_t image = first / ((int64_t)height * width);
    int32_t y = (int32_t)(first / width % height), x = (int32_t)(first % width);
    const int64_t origin = image * strides.image + y * strides.row + x * strides.pixel;
    int64_t row = origin - x * strides.pixel;
    for (int32_t index = 0; index < count;) {
        int32_t run = width - x < count - index ? width - x : count - index;
        int64_t offset = row + x * strides.pixel - origin;
        for (int32_t step = 0; step < run; step++)
            offsets[index + step] = (int32_t)(offset + step * strides.pixel);
        index += run;
        x = 0;
        row += strides.row;
        if (++y == height) {
            y = 0;
            row += strides.image - height * strides.row;
        }
    }
    return origin;
}

#endif
