/* Transposes of any element size, portable C. Blocks of 16 x 16 use whole cache lines of both sides. */
#include "conv_infer/microkernel.h"

enum { BLOCK = 16 };

#define TRANSPOSE(type, variant)                                                                             \
    void ci_transpose_##variant##_scalar(const ci_transpose_args *args) {                                    \
        const type *x = args->x;                                                                             \
        type *y = args->y;                                                                                   \
        for (int64_t row = 0; row < args->rows; row += BLOCK) {                                              \
            const int64_t last_row = row + BLOCK < args->rows ? row + BLOCK : args->rows;                    \
            for (int64_t column = 0; column < args->columns; column += BLOCK) {                              \
                const int64_t last = column + BLOCK < args->columns ? column + BLOCK : args->columns;        \
                for (int64_t r = row; r < last_row; r++) {                                                   \
                    for (int64_t c = column; c < last; c++)                                                  \
                        y[r * args->y_row_stride + c] = x[c * args->x_column_stride + r];                    \
                }                                                                                            \
            }                                                                                                \
        }                                                                                                    \
    }

TRANSPOSE(uint8_t, x8)
TRANSPOSE(uint16_t, x16)
TRANSPOSE(uint32_t, x32)
TRANSPOSE(uint64_t, x64)
