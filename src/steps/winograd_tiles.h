/* Tiles of 2x2 outputs, which Winograd's F(2x2, 3x3) computes from patches of 4x4 inputs.
 *
 * They are numbered row by row through all images. Where the height or width is odd, the last tiles begin one
 * pixel earlier, so that every patch lies in the padded image; what they compute for the second time is not
 * stored again: a residual may lie where the output goes. */
#ifndef CI_STEPS_WINOGRAD_TILES_H
#define CI_STEPS_WINOGRAD_TILES_H

#include <stdint.h>

#include "conv_infer/program.h"
#include "rows.h"

enum {
    CI_WINOGRAD_TILE = 2,
    CI_WINOGRAD_PATCH = 4,
    CI_WINOGRAD_POSITIONS = 16,
    /* Outputs that are stored, as bits. */
    CI_WINOGRAD_UPPER = 3,
    CI_WINOGRAD_LOWER = 12,
    CI_WINOGRAD_RIGHT = 10
};

typedef struct {
    int32_t images, height, width;   /* of the output; height and width at least 2 */
    int32_t tile_rows, tile_columns; /* of each image */
} ci_winograd_grid;

/* Where a tile's first output lies, and which of its outputs are stored. */
typedef struct {
    int64_t image;
    int32_t y, x, stored;
} ci_winograd_place;

/* CI_ERROR_ARGUMENT or CI_ERROR_OVERFLOW where the sizes are impossible. */
static inline ci_status ci_winograd_lay_grid(ci_winograd_grid *grid, int32_t images, int32_t height,
                                             int32_t width) {
    if (images < 1 || height < CI_WINOGRAD_TILE || width < CI_WINOGRAD_TILE)
        return CI_ERROR_ARGUMENT;
    *grid = (ci_winograd_grid){images, height, width, (height - 1) / CI_WINOGRAD_TILE + 1,
                               (width - 1) / CI_WINOGRAD_TILE + 1};
    return grid->tile_rows > INT32_MAX / grid->tile_columns / images ? CI_ERROR_OVERFLOW : CI_OK;
}

static inline int64_t ci_winograd_tiles(const ci_winograd_grid *grid) {
    return (int64_t)grid->images * grid->tile_rows * grid->tile_columns;
}

static inline ci_winograd_place ci_winograd_place_of(const ci_winograd_grid *grid, int64_t tile) {
    ci_winograd_place at = {.stored = CI_WINOGRAD_UPPER | CI_WINOGRAD_LOWER};
    at.x = (int32_t)(tile % grid->tile_columns) * CI_WINOGRAD_TILE;
    at.y = (int32_t)(tile / grid->tile_columns % grid->tile_rows) * CI_WINOGRAD_TILE;
    at.image = tile / grid->tile_columns / grid->tile_rows;
    if (at.x == grid->width - 1) {
        at.x--;
        at.stored &= CI_WINOGRAD_RIGHT;
    }
    if (at.y == grid->height - 1) {
        at.y--;
        at.stored &= CI_WINOGRAD_LOWER;
    }
    return at;
}

static inline int64_t ci_winograd_offset_of(const ci_winograd_place *at, ci_row_strides strides) {
    return at->image * strides.image + at->y * strides.row + at->x * strides.pixel;
}

/* Writes the offset of each of `tiles` tiles from the first of them; returns that one's own. */
static inline int64_t ci_winograd_tile_offsets(int32_t *offsets, const ci_winograd_grid *grid, int64_t first,
                                               int32_t tiles, ci_row_strides strides) {
    const ci_winograd_place start = ci_winograd_place_of(grid, first);
    const int64_t origin = ci_winograd_offset_of(&start, strides);
    for (int32_t index = 0; index < tiles; index++) {
        const ci_winograd_place at = ci_winograd_place_of(grid, first + index);
        offsets[index] = (int32_t)(ci_winograd_offset_of(&at, strides) - origin);
    }
    return origin;
}

static inline int64_t ci_winograd_magnitude(int64_t value) {
    return value < 0 ? -value : value;
}

/* Whether the offsets within `tiles` consecutive tiles fit 31 bits. */
static inline int ci_winograd_tiles_fit(const ci_winograd_grid *grid, int32_t tiles, ci_row_strides strides) {
    const int64_t limit = INT32_MAX / 8, height = grid->height, width = grid->width;
    const int64_t rows = ((int64_t)tiles / grid->tile_columns + 2) * CI_WINOGRAD_TILE;
    const int64_t images = grid->images < tiles ? grid->images : tiles;
    return ci_winograd_magnitude(strides.pixel) <= limit / width &&
           ci_winograd_magnitude(strides.row) <= limit / (rows < height ? rows : height) &&
           ci_winograd_magnitude(strides.image) <= limit / images;
}

#endif
