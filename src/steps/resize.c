/* Resizing row by row. */
#include "resize.h"

#include <stdlib.h>
#include <string.h>

#include "conv_infer/microkernel.h"
#include "nest.h"

typedef struct {
    ci_ref y_ref, x_ref;
    ci_image y, x;
    int64_t element_bytes;
    int64_t rows_per_task;
    const int32_t *first_row, *second_row;
    const float *first_row_weight, *second_row_weight;
    const int64_t *first_column, *second_column; /* elements */
    const float *first_column_weight, *second_column_weight;
    ci_bilinear_f32_fn *bilinear; /* NULL: nearest */
} resize;

static void nearest_row(const resize *step, const char *x, char *y) {
    const size_t bytes = (size_t)(step->y.channels * step->element_bytes);
    for (int32_t column = 0; column < step->y.width; column++)
        memcpy(y + column * step->y.pixel_stride * step->element_bytes,
               x + step->first_column[column] * step->element_bytes, bytes);
}

static void linear_row(const resize *step, const float *x, int32_t row, float *y) {
    const ci_bilinear_f32_args args = {
        .rows = step->y.width,
        .columns = step->y.channels,
        .upper = x + step->first_row[row] * step->x.row_stride,
        .lower = x + step->second_row[row] * step->x.row_stride,
        .left = step->first_column,
        .right = step->second_column,
        .upper_weight = step->first_row_weight[row],
        .lower_weight = step->second_row_weight[row],
        .left_weight = step->first_column_weight,
        .right_weight = step->second_column_weight,
        .y = y,
        .y_row_stride = step->y.pixel_stride,
    };
    step->bilinear(&args);
}

static void run_task(const void *params, const ci_run *run, int32_t task) {
    const resize *step = params;
    const int64_t rows = (int64_t)step->y.images * step->y.height, begin = task * step->rows_per_task;
    const int64_t end = begin + step->rows_per_task < rows ? begin + step->rows_per_task : rows;
    const int64_t element = step->element_bytes;
    for (int64_t index = begin; index < end; index++) {
        const int64_t image = index / step->y.height;
        const int32_t row = (int32_t)(index % step->y.height);
        const char *x = (const char *)ci_address(run, step->x_ref) + image * step->x.image_stride * element;
        char *y = (char *)ci_address(run, step->y_ref) +
                  (image * step->y.image_stride + row * step->y.row_stride) * element;
        if (step->bilinear)
            linear_row(step, (const float *)x, row, (float *)y);
        else if (index > begin && row && step->first_row[row] == step->first_row[row - 1] &&
                 step->y.pixel_stride == step->y.channels)
            memcpy(y, y - step->y.row_stride * element, (size_t)(step->y.width * step->y.channels * element));
        else
            nearest_row(step, x + step->first_row[row] * step->x.row_stride * element, y);
    }
}

static int is_inside(const int32_t *table, int32_t count, int32_t size) {
    for (int32_t index = 0; index < count; index++) {
        if (table[index] < 0 || table[index] >= size)
            return 0;
    }
    return 1;
}

/* A table of columns as offsets of their first elements; NULL where memory is refused. */
static const int64_t *keep_offsets(ci_program *program, const int32_t *table, int32_t count, int64_t stride) {
    int64_t *offsets = malloc((size_t)count * sizeof *offsets);
    if (!offsets)
        return NULL;
    for (int32_t index = 0; index < count; index++)
        offsets[index] = table[index] * stride;
    const int64_t *kept = ci_program_keep(program, offsets, (size_t)count * sizeof *offsets);
    free(offsets);
    return kept;
}

ci_status ci_add_resize(ci_program *program, const ci_resize *given) {
    const ci_image *y = &given->y, *x = &given->x;
    const int32_t bytes = given->element_bytes;
    if ((bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) || (given->is_linear && bytes != 4) ||
        y->images != x->images || y->channels != x->channels || given->y_ref.offset % bytes ||
        given->x_ref.offset % bytes)
        return CI_ERROR_ARGUMENT;
    ci_status status = ci_program_check_image(program, given->y_ref, y, bytes);
    if (status == CI_OK)
        status = ci_program_check_image(program, given->x_ref, x, bytes);
    if (status != CI_OK)
        return status;
    if (!y->images || !y->height || !y->width || !y->channels)
        return CI_OK;
    if (!is_inside(given->rows.first, y->height, x->height) ||
        !is_inside(given->columns.first, y->width, x->width) ||
        (given->is_linear && (!is_inside(given->rows.second, y->height, x->height) ||
                              !is_inside(given->columns.second, y->width, x->width))))
        return CI_ERROR_BOUNDS;
    resize step = {.y_ref = given->y_ref, .x_ref = given->x_ref, .y = *y, .x = *x, .element_bytes = bytes};
    step.first_row = ci_program_keep(program, given->rows.first, (size_t)y->height * sizeof *step.first_row);
    step.first_column = keep_offsets(program, given->columns.first, y->width, x->pixel_stride);
    if (!step.first_row || !step.first_column)
        return CI_ERROR_MEMORY;
    if (given->is_linear) {
        const ci_kernel *kernel = ci_kernel_find(CI_OPERATION_bilinear_f32, "any", given->allowed);
        if (!kernel)
            return CI_ERROR_UNSUPPORTED;
        step.bilinear = (ci_bilinear_f32_fn *)kernel->function;
        const ci_resize_table *rows = &given->rows, *columns = &given->columns;
        const size_t row_bytes = (size_t)y->height * sizeof(float),
                     column_bytes = (size_t)y->width * sizeof(float);
        step.second_row = ci_program_keep(program, rows->second, (size_t)y->height * sizeof *step.second_row);
        step.first_row_weight = ci_program_keep(program, rows->first_weight, row_bytes);
        step.second_row_weight = ci_program_keep(program, rows->second_weight, row_bytes);
        step.second_column = keep_offsets(program, columns->second, y->width, x->pixel_stride);
        step.first_column_weight = ci_program_keep(program, columns->first_weight, column_bytes);
        step.second_column_weight = ci_program_keep(program, columns->second_weight, column_bytes);
        if (!step.second_row || !step.first_row_weight || !step.second_row_weight || !step.second_column ||
            !step.first_column_weight || !step.second_column_weight)
            return CI_ERROR_MEMORY;
    }
    const int64_t rows = (int64_t)y->images * y->height;
    const int64_t row_bytes = (int64_t)bytes * y->channels * ((int64_t)x->width + y->width);
    const int64_t tasks =
        ci_task_count(given->threads, row_bytes > INT64_MAX / rows ? INT64_MAX : rows * row_bytes, rows);
    step.rows_per_task = (rows + tasks - 1) / tasks;
    return ci_program_add(program, run_task, &step, sizeof step,
                          (int32_t)((rows + step.rows_per_task - 1) / step.rows_per_task), 0);
}
