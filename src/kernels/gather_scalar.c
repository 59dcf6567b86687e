/* Picks elements of each row by a table, any element size, portable C. */
#include "conv_infer/microkernel.h"

#define GATHER(type, variant)                                                                                \
    void ci_gather_##variant##_scalar(const ci_gather_args *args) {                                          \
        for (int64_t row = 0; row < args->rows; row++) {                                                     \
            const type *x = (const type *)args->x + row * args->x_row_stride;                                \
            type *y = (type *)args->y + row * args->y_row_stride;                                            \
            for (int64_t column = 0; column < args->columns; column++)                                       \
                y[column] = x[args->index[column]];                                                          \
        }                                                                                                    \
    }

GATHER(uint8_t, x8)
GATHER(uint16_t, x16)
GATHER(uint32_t, x32)
GATHER(uint64_t, x64)
