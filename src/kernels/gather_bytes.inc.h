/* Picks bytes of each row by a table, sixteen at a time: what some loads of sixteen neighbours hold is put in
 * order by byte shuffles. A few rows, which are not worth finding out how, are picked one by one. Included
 * with
 *
 *     GATHER_BYTES              the kernel's name
 *     bytes16                   a vector of 16 bytes
 *     bytes16_load, _store      unaligned
 *     bytes16_pick(x, places)   x[places[i]] in each lane, 0 where the place is NOWHERE
 *     bytes16_or(a, b)
 */
#include "compiler.h"
#include "conv_infer/microkernel.h"

enum { WIDTH = 16, NOWHERE = 0x80, FEW_ROWS = 8 };

typedef struct {
    int count;
    int32_t first[WIDTH];
    uint8_t places[WIDTH][WIDTH];
} cover;

/* Windows of the row that hold all bytes of a block, none beyond the greatest index. */
static void cover_of(const int32_t *index, int32_t greatest, cover *result) {
    int found[WIDTH] = {0};
    for (result->count = 0;; result->count++) {
        int32_t first = greatest + 1;
        for (int lane = 0; lane < WIDTH; lane++) {
            if (!found[lane] && index[lane] < first)
                first = index[lane];
        }
        if (first > greatest)
            return;
        if (first > greatest - WIDTH + 1)
            first = greatest - WIDTH + 1;
        uint8_t *places = result->places[result->count];
        for (int lane = 0; lane < WIDTH; lane++) {
            const int64_t place = (int64_t)index[lane] - first;
            const int inside = !found[lane] && place >= 0 && place < WIDTH;
            places[lane] = inside ? (uint8_t)place : NOWHERE;
            found[lane] |= inside;
        }
        result->first[result->count] = first;
    }
}

CI_INLINE void pick_block(const int count, const ci_gather_args *args, const cover *from, int64_t column) {
    bytes16 places[WIDTH];
    for (int window = 0; window < count; window++)
        places[window] = bytes16_load(from->places[window]);
    const uint8_t *x = args->x;
    uint8_t *y = (uint8_t *)args->y + column;
    for (int64_t row = 0; row < args->rows; row++) {
        bytes16 picked = bytes16_pick(bytes16_load(x + from->first[0]), places[0]);
        for (int window = 1; window < count; window++)
            picked = bytes16_or(picked, bytes16_pick(bytes16_load(x + from->first[window]), places[window]));
        bytes16_store(y, picked);
        x += args->x_row_stride;
        y += args->y_row_stride;
    }
}

static void pick_one_by_one(const ci_gather_args *args) {
    for (int64_t row = 0; row < args->rows; row++) {
        const uint8_t *x = (const uint8_t *)args->x + row * args->x_row_stride;
        uint8_t *y = (uint8_t *)args->y + row * args->y_row_stride;
        for (int64_t column = 0; column < args->columns; column++)
            y[column] = x[args->index[column]];
    }
}

void GATHER_BYTES(const ci_gather_args *args) {
    const int64_t columns = args->columns;
    int32_t greatest = 0;
    for (int64_t column = 0; column < columns; column++)
        greatest = args->index[column] > greatest ? args->index[column] : greatest;
    if (args->rows < FEW_ROWS || columns < WIDTH || greatest < WIDTH - 1) {
        pick_one_by_one(args);
        return;
    }
    for (int64_t column = 0; column < columns; column += WIDTH) {
        cover from;
        if (column > columns - WIDTH)
            column = columns - WIDTH; /* the last block writes some bytes once more */
        cover_of(args->index + column, greatest, &from);
        switch (from.count) {
        case 1:
            pick_block(1, args, &from, column);
            break;
        case 2:
            pick_block(2, args, &from, column);
            break;
        case 3:
            pick_block(3, args, &from, column);
            break;
        case 4:
            pick_block(4, args, &from, column);
            break;
        default:
            pick_block(from.count, args, &from, column);
        }
    }
}
