/* float32 convolution by Winograd's F(2x2, 3x3), as a step. */
#include "steps/winograd.h"

#include <math.h>
#include <string.h>

#include "steps/late_activation.h"
#include "steps/winograd_tiles.h"

/* Between the rows and between the positions of a matrix in scratch: a cache line more than they take, so
 * that powers of two do not put them all into the same sets of the cache. */
enum { LINE = 16 };

/* Where things lie in a thread's scratch, in elements of four bytes from its start, and how far apart. */
typedef struct {
    int64_t products, zeros, tables, depths, stored, elems;
    int64_t patch_tile, patch_position, product_position;
} layout;

typedef struct {
    ci_winograd conv;
    ci_winograd_grid grid;
    layout scratch;
    int64_t tiles;
    int32_t panel_tasks, widest; /* nr of the widest panel */
} params;

/* What a task works on, all in its thread's scratch. */
typedef struct {
    float *patches, *products, *zeros;
    int32_t *input_tiles, *output_tiles, *residual_tiles, *patch_rows, *product_rows, *depths;
    uint8_t *stored;
} workspace;

enum { TABLES = 5 };

static int64_t whole_lines(int64_t elements) {
    return (elements + LINE - 1) / LINE * LINE;
}

/* CI_ERROR_OVERFLOW where offsets of tiles do not fit 31 bits. */
static ci_status lay_scratch(params *p) {
    const int64_t tiles = p->conv.tiles_per_task;
    layout *lay = &p->scratch;
    lay->patch_tile = whole_lines(p->conv.channels) + LINE;
    if (tiles > INT32_MAX / lay->patch_tile || tiles > INT32_MAX / p->widest)
        return CI_ERROR_OVERFLOW;
    lay->patch_position = tiles * lay->patch_tile + LINE;
    lay->product_position = whole_lines(tiles * p->widest) + LINE;
    lay->products = CI_WINOGRAD_POSITIONS * lay->patch_position;
    lay->zeros = lay->products + CI_WINOGRAD_POSITIONS * lay->product_position;
    lay->tables = lay->zeros + whole_lines(p->widest);
    lay->depths = lay->tables + TABLES * tiles;
    lay->stored = lay->depths + p->conv.depth;
    lay->elems = lay->stored + (tiles + 3) / 4;
    return CI_OK;
}

static workspace workspace_of(const params *p, char *scratch) {
    const layout *lay = &p->scratch;
    const int64_t tiles = p->conv.tiles_per_task;
    float *floats = (float *)scratch;
    int32_t *table = (int32_t *)scratch + lay->tables;
    const workspace work = {
        .patches = floats,
        .products = floats + lay->products,
        .zeros = floats + lay->zeros,
        .input_tiles = table,
        .output_tiles = table + tiles,
        .residual_tiles = table + 2 * tiles,
        .patch_rows = table + 3 * tiles,
        .product_rows = table + 4 * tiles,
        .depths = (int32_t *)scratch + lay->depths,
        .stored = (uint8_t *)((int32_t *)scratch + lay->stored),
    };
    return work;
}

static void transform_input(const params *p, const ci_run *run, const workspace *work, int64_t first,
                            int32_t tiles, int64_t first_channel, int64_t channels) {
    const ci_winograd *conv = &p->conv;
    const int64_t origin =
        ci_winograd_tile_offsets(work->input_tiles, &p->grid, first, tiles, conv->input_strides);
    const ci_winograd_input_f32_args args = {
        .tiles = tiles,
        .channels = (int32_t)channels,
        .input = (const float *)ci_address(run, conv->input) + origin + first_channel,
        .input_tile = work->input_tiles,
        .input_row = conv->input_strides.row,
        .input_pixel = conv->input_strides.pixel,
        .patches = work->patches + first_channel,
        .patch_tile = p->scratch.patch_tile,
        .patch_position = p->scratch.patch_position,
    };
    ((ci_winograd_input_f32_fn *)conv->input_kernel->function)(&args);
}

/* One panel's 16 products. */
static void multiply(const params *p, const workspace *work, const ci_winograd_panel *panel,
                     const float *weights, int32_t tiles) {
    const int64_t elems = (int64_t)p->conv.depth * panel->kernel->nr;
    ci_gemm_f32_args args = {
        .rows = tiles,
        .columns = panel->kernel->nr,
        .depth = p->conv.depth,
        .a_row = work->patch_rows,
        .a_depth = work->depths,
        .a_is_contiguous = 1,
        .bias = work->zeros,
        .c_row = work->product_rows,
        .activation = {CI_ACTIVATION_CLAMP, -INFINITY, INFINITY},
        .prefetch_bytes = elems * (int64_t)sizeof(float),
    };
    for (int position = 0; position < CI_WINOGRAD_POSITIONS; position++) {
        args.a = work->patches + position * p->scratch.patch_position + panel->input_offset;
        args.b = weights + position * elems;
        args.c = work->products + position * p->scratch.product_position;
        args.prefetch = p->conv.prefetch_distance ? (const char *)args.b + p->conv.prefetch_distance : NULL;
        ((ci_gemm_f32_fn *)panel->kernel->function)(&args);
    }
}

static void activate(const ci_winograd *conv, const workspace *work, int32_t tiles, int32_t columns,
                     float *output) {
    for (int32_t tile = 0; tile < tiles; tile++) {
        for (int y = 0; y < CI_WINOGRAD_TILE; y++) {
            const int stored = work->stored[tile] >> y * CI_WINOGRAD_TILE & 3;
            if (!stored)
                continue;
            float *first = output + work->output_tiles[tile] + y * conv->output_strides.row;
            if (!(stored & 1))
                first += conv->output_strides.pixel;
            ci_activate_pixels(conv->late_activation, &conv->activation, first, stored == 3 ? 2 : 1,
                               conv->output_strides.pixel, columns);
        }
    }
}

static void fill_tables(const params *p, const workspace *work, int64_t first, int32_t tiles) {
    memset(work->zeros, 0, (size_t)p->widest * sizeof(float));
    for (int32_t k = 0; k < p->conv.depth; k++)
        work->depths[k] = k;
    for (int32_t tile = 0; tile < tiles; tile++) {
        work->patch_rows[tile] = (int32_t)(tile * p->scratch.patch_tile);
        work->product_rows[tile] = tile * p->widest;
        work->stored[tile] = (uint8_t)ci_winograd_place_of(&p->grid, first + tile).stored;
    }
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_winograd *conv = &p->conv;
    const int64_t first = (int64_t)(task / p->panel_tasks) * conv->tiles_per_task;
    const int32_t tiles =
        (int32_t)(p->tiles - first < conv->tiles_per_task ? p->tiles - first : conv->tiles_per_task);
    const int32_t first_panel = task % p->panel_tasks * conv->panels_per_task;
    const int32_t left = conv->panels - first_panel;
    const ci_winograd_panel *panel = conv->panel + first_panel;
    const ci_winograd_panel *last = panel + (left < conv->panels_per_task ? left : conv->panels_per_task) - 1;

    const workspace work = workspace_of(p, run->scratch);
    fill_tables(p, &work, first, tiles);
    transform_input(p, run, &work, first, tiles, panel->input_offset,
                    last->input_offset + conv->depth - panel->input_offset);
    const float *weights = ci_address(run, conv->weights), *bias = ci_address(run, conv->bias);
    const float *residual = ci_address(run, conv->residual);
    float *output = ci_address(run, conv->output);
    output += ci_winograd_tile_offsets(work.output_tiles, &p->grid, first, tiles, conv->output_strides);
    if (residual)
        residual +=
            ci_winograd_tile_offsets(work.residual_tiles, &p->grid, first, tiles, conv->residual_strides);
    for (int32_t index = 0; index < first_panel; index++)
        bias += conv->panel[index].kernel->nr;
    const int32_t first_column = panel->first_column;
    ci_winograd_output_f32_args args = {
        .tiles = tiles,
        .products = work.products,
        .product_tile = p->widest,
        .product_position = p->scratch.product_position,
        .stored = work.stored,
        .output_tile = work.output_tiles,
        .output_row = conv->output_strides.row,
        .output_pixel = conv->output_strides.pixel,
        .residual_tile = work.residual_tiles,
        .residual_row = conv->residual_strides.row,
        .residual_pixel = conv->residual_strides.pixel,
        .activation = ci_early_activation(&conv->activation),
    };
    for (; panel <= last; panel++) {
        multiply(p, &work, panel, weights + panel->weights_offset, tiles);
        args.columns = panel->columns;
        args.bias = bias;
        args.output = output + panel->first_column;
        args.residual = residual ? residual + panel->first_column : NULL;
        ((ci_winograd_output_f32_fn *)conv->output_kernel->function)(&args);
        bias += panel->kernel->nr;
    }
    if (ci_is_late(&conv->activation))
        activate(conv, &work, tiles, last->first_column + last->columns - first_column,
                 output + first_column);
}

static ci_status check_image(const ci_program *program, const ci_winograd *conv, ci_ref ref,
                             ci_row_strides strides, int32_t more, int64_t channels) {
    const int64_t shape[4] = {conv->images, (int64_t)conv->height + more, (int64_t)conv->width + more,
                              channels};
    const int64_t along[4] = {strides.image, strides.row, strides.pixel, 1};
    return ci_program_check_view(program, ref, 4, shape, along, (int64_t)sizeof(float));
}

/* Checks the panels, that they cover the columns in order, and finds how many columns and biases there are.
 */
static ci_status check_panels(const ci_program *program, const ci_winograd *conv, int64_t *columns,
                              int64_t *biases, int32_t *widest) {
    *columns = *biases = *widest = 0;
    int64_t input_offset = 0;
    for (int32_t index = 0; index < conv->panels; index++) {
        const ci_winograd_panel *panel = &conv->panel[index];
        if (!panel->kernel || panel->kernel->operation != CI_OPERATION_gemm_f32 || panel->columns < 1 ||
            panel->columns > panel->kernel->nr || panel->first_column != *columns ||
            panel->input_offset < input_offset || panel->input_offset > conv->channels - conv->depth ||
            panel->weights_offset < 0)
            return CI_ERROR_ARGUMENT;
        const int64_t elems = CI_WINOGRAD_POSITIONS * (int64_t)conv->depth * panel->kernel->nr;
        if (panel->weights_offset > INT64_MAX / (int64_t)sizeof(float) - elems)
            return CI_ERROR_OVERFLOW;
        const ci_status status = ci_program_check(program, conv->weights,
                                                  (panel->weights_offset + elems) * (int64_t)sizeof(float));
        if (status != CI_OK)
            return status;
        input_offset = panel->input_offset;
        *columns += panel->columns;
        *biases += panel->kernel->nr;
        *widest = panel->kernel->nr > *widest ? panel->kernel->nr : *widest;
        if (*columns > INT32_MAX)
            return CI_ERROR_OVERFLOW;
    }
    return CI_OK;
}

static int is_legal(const ci_winograd *conv) {
    return conv->input_kernel && conv->input_kernel->operation == CI_OPERATION_winograd_input_f32 &&
           conv->output_kernel && conv->output_kernel->operation == CI_OPERATION_winograd_output_f32 &&
           conv->depth >= 1 && conv->channels >= conv->depth && conv->panels >= 1 &&
           conv->tiles_per_task >= 1 && conv->panels_per_task >= 1 && conv->prefetch_distance >= 0 &&
           ci_check_late_activation(&conv->activation, conv->late_activation) == CI_OK;
}

ci_status ci_add_winograd(ci_program *program, const ci_winograd *conv) {
    if (!is_legal(conv))
        return CI_ERROR_ARGUMENT;
    params p = {.conv = *conv};
    ci_status status = ci_winograd_lay_grid(&p.grid, conv->images, conv->height, conv->width);
    int64_t columns, biases;
    if (status == CI_OK)
        status = check_panels(program, conv, &columns, &biases, &p.widest);
    if (status == CI_OK)
        status = ci_program_check(program, conv->bias, biases * (int64_t)sizeof(float));
    if (status == CI_OK)
        status = check_image(program, conv, conv->input, conv->input_strides,
                             CI_WINOGRAD_PATCH - CI_WINOGRAD_TILE, conv->channels);
    if (status == CI_OK)
        status = check_image(program, conv, conv->output, conv->output_strides, 0, columns);
    if (status == CI_OK && conv->residual.slot != CI_SLOT_NONE)
        status = check_image(program, conv, conv->residual, conv->residual_strides, 0, columns);
    if (status != CI_OK)
        return status;
    p.tiles = ci_winograd_tiles(&p.grid);
    if (p.conv.tiles_per_task > p.tiles)
        p.conv.tiles_per_task = (int32_t)p.tiles;
    p.panel_tasks = (conv->panels - 1) / conv->panels_per_task + 1;
    const int64_t tile_tasks = (p.tiles - 1) / p.conv.tiles_per_task + 1;
    const int32_t tiles = p.conv.tiles_per_task;
    if (lay_scratch(&p) != CI_OK || tile_tasks > INT32_MAX / p.panel_tasks ||
        !ci_winograd_tiles_fit(&p.grid, tiles, conv->input_strides) ||
        !ci_winograd_tiles_fit(&p.grid, tiles, conv->output_strides) ||
        (conv->residual.slot != CI_SLOT_NONE &&
         !ci_winograd_tiles_fit(&p.grid, tiles, conv->residual_strides)))
        return CI_ERROR_OVERFLOW;
    p.conv.panel = ci_program_keep(program, conv->panel, sizeof *conv->panel * (size_t)conv->panels);
    if (!p.conv.panel)
        return CI_ERROR_MEMORY;
    return ci_program_add(program, task, &p, sizeof p, (int32_t)tile_tasks * p.panel_tasks,
                          p.scratch.elems * (int64_t)sizeof(float));
}
