/* What the steps that slide a window share: checks of the geometry, and how output rows are dealt out. */
#ifndef CI_STEPS_WINDOWS_H
#define CI_STEPS_WINDOWS_H

#include "conv_infer/program.h"

/* Sizes, strides and dilations of at least 1, and pads of at least 0. */
int ci_window_is_legal(const ci_window *window);

/* Whether the window at the last of `outputs` positions ends within `inputs` elements, without padding. */
int ci_window_fits(int32_t inputs, int32_t outputs, int32_t kernel, int32_t stride, int32_t dilation);

/* As ci_program_check_view(), for float32 (or other) images of at least one element. */
ci_status ci_check_image(const ci_program *program, ci_ref ref, const ci_image *image, int32_t element_bytes);

/* How the rows of every image are cut into tasks. */
typedef struct {
    int32_t rows;   /* of a task, but the last of an image */
    int32_t pieces; /* of an image */
    int32_t tasks;
} ci_row_split;

/* About four tasks for each thread, as long as each has some microseconds of work; `multiple` divides the
 * rows of a task. `row_bytes` and `row_operations` (multiply-adds or comparisons) are those of one output
 * row. */
ci_row_split ci_split_rows(int32_t images, int32_t height, int32_t multiple, int32_t threads,
                           double row_bytes, double row_operations);

#endif
