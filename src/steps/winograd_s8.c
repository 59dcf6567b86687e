/* int8 convolution by Winograd's F(2x2, 3x3), as a step. */
#include "steps/winograd_s8.h"

#include "conv_infer/pack_s8.h"
#include "requantise.h"
#include "steps/winograd_tiles.h"

typedef struct {
    ci_winograd_s8 conv;
    ci_winograd_grid grid;
    int64_t tiles, panel_bytes;
    int32_t column_tasks;
} params;

typedef struct {
    int32_t a[CI_WINOGRAD_S8_TILES], c[CI_WINOGRAD_S8_TILES], residual[CI_WINOGRAD_S8_TILES];
    uint8_t stored[CI_WINOGRAD_S8_TILES];
} tile_tables;

static void fill_stored(const params *p, int64_t first, int32_t tiles, uint8_t *stored) {
    for (int32_t index = 0; index < tiles; index++)
        stored[index] = (uint8_t)ci_winograd_place_of(&p->grid, first + index).stored;
}

/* `columns` from `column` on, of up to CI_WINOGRAD_S8_TILES tiles. */
static void run_tiles(const params *p, const ci_run *run, int64_t first, int32_t tiles, int32_t column,
                      int32_t columns) {
    const ci_winograd_s8 *conv = &p->conv;
    tile_tables tables;
    fill_stored(p, first, tiles, tables.stored);
    const int64_t input = ci_winograd_tile_offsets(tables.a, &p->grid, first, tiles, conv->input_strides);
    const int64_t output = ci_winograd_tile_offsets(tables.c, &p->grid, first, tiles, conv->output_strides);
    const int64_t other =
        ci_winograd_tile_offsets(tables.residual, &p->grid, first, tiles, conv->residual_strides);
    const uint8_t *residual = ci_address(run, conv->residual);
    const int32_t *bias = ci_address(run, conv->bias);
    const float *scale = ci_address(run, conv->scale);
    ci_winograd_s8_args args = {
        .tiles = tiles,
        .depth = conv->depth,
        .columns = columns,
        .a = (const uint8_t *)ci_address(run, conv->input) + input,
        .a_tile = tables.a,
        .a_row_stride = conv->input_strides.row,
        .a_pixel_stride = conv->input_strides.pixel,
        .b = (const char *)ci_address(run, conv->weights) + column / conv->kernel->nr * p->panel_bytes,
        .bias = bias + column,
        .c = (uint8_t *)ci_address(run, conv->output) + output + column,
        .c_tile = tables.c,
        .c_stored = tables.stored,
        .c_row_stride = conv->output_strides.row,
        .c_pixel_stride = conv->output_strides.pixel,
        .requantise = conv->requantise,
        .residual_row_stride = conv->residual_strides.row,
        .residual_pixel_stride = conv->residual_strides.pixel,
        .scratch = run->scratch,
    };
    args.requantise.scale = scale + column;
    args.requantise.residual.row = tables.residual;
    args.requantise.residual.data = residual ? residual + other + column : NULL;
    ((ci_winograd_s8_fn *)conv->kernel->function)(&args);
}

static void task(const void *data, const ci_run *run, int32_t task) {
    const params *p = data;
    const ci_winograd_s8 *conv = &p->conv;
    const int32_t column = task % p->column_tasks * conv->columns_per_task;
    const int32_t columns =
        conv->columns - column < conv->columns_per_task ? conv->columns - column : conv->columns_per_task;
    const int64_t begin = (int64_t)(task / p->column_tasks) * conv->tiles_per_task;
    const int64_t end = p->tiles - begin < conv->tiles_per_task ? p->tiles : begin + conv->tiles_per_task;
    /* Calls of nearly equal size: a last one of few tiles would read the weights for little. */
    const int64_t calls = (end - begin + CI_WINOGRAD_S8_TILES - 1) / CI_WINOGRAD_S8_TILES;
    for (int64_t call = 0; call < calls; call++) {
        const int64_t first = begin + (end - begin) * call / calls;
        const int64_t next = begin + (end - begin) * (call + 1) / calls;
        run_tiles(p, run, first, (int32_t)(next - first), column, columns);
    }
}

static ci_status check_image(const ci_program *program, const ci_winograd_s8 *conv, ci_ref ref,
                             ci_row_strides strides, int32_t more, int64_t channels) {
    const int64_t shape[4] = {conv->images, (int64_t)conv->height + more, (int64_t)conv->width + more,
                              channels};
    const int64_t along[4] = {strides.image, strides.row, strides.pixel, 1};
    return ci_program_check_view(program, ref, 4, shape, along, 1);
}

static int is_legal(const ci_winograd_s8 *conv) {
    return conv->kernel && conv->kernel->operation == CI_OPERATION_winograd_s8 && conv->tiles_per_task >= 1 &&
           conv->columns_per_task >= 1 && conv->columns_per_task % conv->kernel->nr == 0 &&
           conv->requantise.rule == CI_REQUANTISE_SCALE && ci_requantise_is_legal(&conv->requantise);
}

ci_status ci_add_winograd_s8(ci_program *program, const ci_winograd_s8 *conv) {
    if (!is_legal(conv))
        return CI_ERROR_ARGUMENT;
    params p = {.conv = *conv};
    const ci_winograd_shape_s8 shape = {conv->kernel, conv->columns, conv->depth};
    int32_t padded_columns;
    int64_t weight_bytes, scratch_bytes;
    ci_status status = ci_winograd_lay_grid(&p.grid, conv->images, conv->height, conv->width);
    if (status == CI_OK)
        status = ci_winograd_s8_measure(&shape, &padded_columns, &weight_bytes, &scratch_bytes);
    if (status == CI_OK)
        status = ci_program_check(program, conv->weights, weight_bytes);
    if (status == CI_OK)
        status = ci_program_check(program, conv->bias, padded_columns * (int64_t)sizeof(int32_t));
    if (status == CI_OK)
        status = ci_program_check(program, conv->scale, padded_columns * (int64_t)sizeof(float));
    if (status == CI_OK)
        status =
            check_image(program, conv, conv->input, conv->input_strides, CI_WINOGRAD_PATCH - CI_WINOGRAD_TILE,
                        conv->depth + (int64_t)CI_DEPTHWISE_S8_SLACK);
    if (status == CI_OK)
        status = check_image(program, conv, conv->output, conv->output_strides, 0, conv->columns);
    if (status == CI_OK && conv->residual.slot != CI_SLOT_NONE)
        status = check_image(program, conv, conv->residual, conv->residual_strides, 0, conv->columns);
    if (status != CI_OK)
        return status;
    p.column_tasks = (conv->columns - 1) / conv->columns_per_task + 1;
    p.panel_bytes = weight_bytes / (padded_columns / conv->kernel->nr);
    if (!ci_winograd_tiles_fit(&p.grid, CI_WINOGRAD_S8_TILES, conv->input_strides) ||
        !ci_winograd_tiles_fit(&p.grid, CI_WINOGRAD_S8_TILES, conv->output_strides) ||
        (conv->residual.slot != CI_SLOT_NONE &&
         !ci_winograd_tiles_fit(&p.grid, CI_WINOGRAD_S8_TILES, conv->residual_strides)))
        return CI_ERROR_OVERFLOW;
    p.tiles = ci_winograd_tiles(&p.grid);
    const int64_t tile_tasks = (p.tiles - 1) / conv->tiles_per_task + 1;
    if (tile_tasks > INT32_MAX / p.column_tasks)
        return CI_ERROR_OVERFLOW;
    return ci_program_add(program, task, &p, sizeof p, (int32_t)tile_tasks * p.column_tasks, scratch_bytes);
}
