/* int8 convolution 3x3 by Winograd's F(2x2, 3x3), portable C. Packed b: [panel of 8][position][channel
 * pair][8][2]. */
#include "conv_infer/microkernel.h"
#include "layout_winograd_s8.h"
#include "requantise.h"

enum { WIDTH = 8 };

typedef ci_winograd_layout_s8 layout;

static void transform_patch(const uint8_t *a, int64_t row, int64_t pixel, int16_t *to, int64_t position) {
    int32_t d[4][4];
    for (int x = 0; x < 4; x++) {
        const int32_t r0 = a[x * pixel], r1 = a[row + x * pixel];
        const int32_t r2 = a[2 * row + x * pixel], r3 = a[3 * row + x * pixel];
        d[0][x] = r0 - r2;
        d[1][x] = r1 + r2;
        d[2][x] = r2 - r1;
        d[3][x] = r1 - r3;
    }
    for (int y = 0; y < 4; y++) {
        to[(y * 4 + 0) * position] = (int16_t)(d[y][0] - d[y][2]);
        to[(y * 4 + 1) * position] = (int16_t)(d[y][1] + d[y][2]);
        to[(y * 4 + 2) * position] = (int16_t)(d[y][2] - d[y][1]);
        to[(y * 4 + 3) * position] = (int16_t)(d[y][1] - d[y][3]);
    }
}

/* The sum of one tile, position and column, which may wrap around. */
static uint32_t product(const int16_t *patch, const int16_t *b, int32_t pairs) {
    uint32_t sum = 0;
    for (int32_t pair = 0; pair < pairs; pair++, patch += 2, b += 2 * WIDTH)
        sum += (uint32_t)(patch[0] * b[0] + patch[1] * b[1]);
    return sum;
}

/* Four outputs of one tile and column, each four times its sum of products. */
static void transform_back(const uint32_t *m, uint32_t *outputs) {
    uint32_t rows[2][4];
    for (int x = 0; x < 4; x++) {
        rows[0][x] = m[x] + m[4 + x] + m[8 + x];
        rows[1][x] = m[4 + x] - m[8 + x] - m[12 + x];
    }
    for (int y = 0; y < 2; y++) {
        outputs[2 * y] = rows[y][0] + rows[y][1] + rows[y][2];
        outputs[2 * y + 1] = rows[y][1] - rows[y][2] - rows[y][3];
    }
}

static void finish(const ci_winograd_s8_args *args, int32_t tile, int32_t column, const uint32_t *outputs) {
    for (int32_t i = 0; i < 4; i++) {
        if (!(args->c_stored[tile] >> i & 1))
            continue;
        const int32_t sum = (int32_t)outputs[i] / 4 + args->bias[column];
        int32_t q = ci_requantise_sum(&args->requantise, column, sum);
        const ci_residual_s8 *residual = &args->requantise.residual;
        if (residual->data)
            q = ci_add_residual(residual, q,
                                residual->data[residual->row[tile] + i / 2 * args->residual_row_stride +
                                               i % 2 * args->residual_pixel_stride + column]);
        args->c[args->c_tile[tile] + i / 2 * args->c_row_stride + i % 2 * args->c_pixel_stride + column] =
            (uint8_t)(q ^ args->requantise.flip);
    }
}

void ci_winograd_s8_3x3_scalar(const ci_winograd_s8_args *args) {
    const layout l = ci_winograd_layout_s8_of(args->depth, WIDTH);
    const int32_t pairs = (args->depth + 1) / 2;
    int16_t *patches = args->scratch;
    for (int32_t tile = 0; tile < args->tiles; tile++) {
        for (int32_t c = 0; c < args->depth; c++)
            transform_patch(args->a + args->a_tile[tile] + c, args->a_row_stride, args->a_pixel_stride,
                            patches + tile * l.depth_elems + c, l.patch_position);
        for (int32_t position = 0; args->depth % 2 && position < CI_WINOGRAD_POSITIONS; position++)
            patches[position * l.patch_position + tile * l.depth_elems + args->depth] = 0;
    }
    for (int32_t column = 0; column < args->columns; column++) {
        const int16_t *b = (const int16_t *)args->b +
                           (int64_t)(column / WIDTH) * CI_WINOGRAD_POSITIONS * pairs * 2 * WIDTH +
                           column % WIDTH * 2;
        for (int32_t tile = 0; tile < args->tiles; tile++) {
            uint32_t m[CI_WINOGRAD_POSITIONS], outputs[4];
            for (int32_t position = 0; position < CI_WINOGRAD_POSITIONS; position++)
                m[position] = product(patches + position * l.patch_position + tile * l.depth_elems,
                                      b + (int64_t)position * pairs * 2 * WIDTH, pairs);
            transform_back(m, outputs);
            finish(args, tile, column, outputs);
        }
    }
}
