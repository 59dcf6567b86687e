/* Pooling in plain C, a block of channels at a time in loops that the compiler can turn into vectors.
 *
 * The including file names POOL_FUNCTION, the type POOL_ELEMENT of an element, POOL_JOIN(so_far, tap),
 * POOL_FINISH(result, scale) and POOL_EMPTY, the result of no taps. They are undefined at the end, so that a
 * file can make several kernels.
 */
#include "pool_taps.h"

#ifndef POOL_CHANNELS
#    define POOL_CHANNELS 64
#endif

#define POOL_NAME_2(function, part) function##_##part
#define POOL_NAME_1(function, part) POOL_NAME_2(function, part)
#define POOL_NAME(part) POOL_NAME_1(POOL_FUNCTION, part)

/* The taps rows x columns, `row` and `column` elements apart, of `channels` channels: at most POOL_CHANNELS.
 */
CI_INLINE void POOL_NAME(block)(const POOL_ELEMENT *input, POOL_ELEMENT *output, int32_t rows,
                                int32_t columns, int64_t row, int64_t column, float scale,
                                const int32_t channels) {
    POOL_ELEMENT result[POOL_CHANNELS];
    (void)scale; /* a maximum has none */
    for (int32_t c = 0; c < channels; c++)
        result[c] = input[c];
    for (int32_t i = 0; i < rows; i++, input += row) {
        for (int32_t j = i == 0; j < columns; j++) {
            const POOL_ELEMENT *tap = input + j * column;
            for (int32_t c = 0; c < channels; c++)
                result[c] = POOL_JOIN(result[c], tap[c]);
        }
    }
    for (int32_t c = 0; c < channels; c++)
        output[c] = POOL_FINISH(result[c], scale);
}

/* Channels of a window of the compile-time size kernel x kernel: the result never leaves a register. */
CI_INLINE void POOL_NAME(some)(const POOL_ELEMENT *input, POOL_ELEMENT *output, int64_t row, int64_t column,
                               float scale, const int kernel, const int32_t channels) {
    (void)scale;
    CI_INDEPENDENT
    for (int32_t c = 0; c < channels; c++) {
        POOL_ELEMENT result = input[c];
        CI_UNROLL
        for (int tap = 1; tap < kernel * kernel; tap++)
            result = POOL_JOIN(result, input[tap / kernel * row + tap % kernel * column + c]);
        output[c] = POOL_FINISH(result, scale);
    }
}

/* All channels, in pieces of compile-time size; the last may compute again what the one before has. */
CI_INLINE void POOL_NAME(whole)(const POOL_ELEMENT *input, POOL_ELEMENT *output, int64_t row, int64_t column,
                                float scale, int32_t channels, const int kernel) {
    int32_t c = 0;
    for (; c + 32 <= channels; c += 32)
        POOL_NAME(some)(input + c, output + c, row, column, scale, kernel, 32);
    if (c + 16 <= channels) {
        POOL_NAME(some)(input + c, output + c, row, column, scale, kernel, 16);
        c += 16;
    }
    if (c == channels)
        return;
    if (channels < 8) {
        POOL_NAME(some)(input, output, row, column, scale, kernel, channels);
        return;
    }
    if (c + 8 < channels)
        POOL_NAME(some)(input + c, output + c, row, column, scale, kernel, 8);
    c = channels - 8;
    POOL_NAME(some)(input + c, output + c, row, column, scale, kernel, 8);
}

void POOL_FUNCTION(const ci_pool_args *args) {
    const ci_window *window = &args->window;
    const int64_t row_step = window->dilation_y * args->input_row,
                  column_step = window->dilation_x * args->input_pixel;
    for (int32_t y = 0; y < args->rows; y++) {
        const pool_taps rows = pool_rows_of(args, y);
        POOL_ELEMENT *output = (POOL_ELEMENT *)args->output + y * args->output_row;
        for (int32_t x = 0; x < args->width; x++, output += args->output_pixel) {
            const pool_taps columns = pool_columns_of(args, x);
            const POOL_ELEMENT *input = (const POOL_ELEMENT *)args->input + rows.position * args->input_row +
                                        columns.position * args->input_pixel;
            const int32_t row_taps = rows.end - rows.first, column_taps = columns.end - columns.first;
            const float scale = pool_scale(rows, columns);
            if (row_taps < 1 || column_taps < 1) {
                for (int32_t c = 0; c < args->channels; c++)
                    output[c] = POOL_EMPTY;
                continue;
            }
            if (row_taps == 3 && column_taps == 3) {
                POOL_NAME(whole)(input, output, row_step, column_step, scale, args->channels, 3);
                continue;
            }
            if (row_taps == 2 && column_taps == 2) {
                POOL_NAME(whole)(input, output, row_step, column_step, scale, args->channels, 2);
                continue;
            }
            for (int32_t c = 0; c < args->channels; c += POOL_CHANNELS) {
                const int32_t left = args->channels - c;
                if (left >= POOL_CHANNELS)
                    POOL_NAME(block)(input + c, output + c, row_taps, column_taps, row_step, column_step,
                                     scale, POOL_CHANNELS);
                else
                    POOL_NAME(block)(input + c, output + c, row_taps, column_taps, row_step, column_step,
                                     scale, left);
            }
        }
    }
}

#undef POOL_NAME
#undef POOL_NAME_1
#undef POOL_NAME_2
#undef POOL_FUNCTION
#undef POOL_ELEMENT
#undef POOL_JOIN
#undef POOL_FINISH
#undef POOL_EMPTY
