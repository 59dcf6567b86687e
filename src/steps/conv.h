/* Convolution as a GEMM over output pixels, float32: dense or grouped, any window, read in place or through
 * the reusable im2row buffer. */
#ifndef CI_STEPS_CONV_H
#define CI_STEPS_CONV_H

#include "conv_infer/lowering.h"
#include "conv_infer/microkernel.h"
#include "conv_infer/program.h"
#include "rows.h"
#include "steps/late_activation.h"
#include "steps/pool.h"

/* One panel of output channels. All offsets in elements. */
typedef struct {
    const ci_kernel *kernel; /* gemm_f32 or gemm_dot_f32 */
    int32_t first_column;    /* of the output's channels */
    int32_t columns;
    int32_t depth_table;  /* which table of depth offsets */
    int64_t input_offset; /* of the panel's group in the input's channels */
    int64_t weights_offset;
    int32_t reads_runs; /* set by ci_add_conv: the table is 0, 1, 2, ... */
} ci_conv_panel;

/* A run of the depth. */
typedef struct {
    int32_t first, count;
} ci_depth_part;

typedef struct {
    ci_ref input;   /* of the first element of the first window (which may lie in the padding) */
    ci_ref weights; /* packed panels */
    ci_ref bias;    /* of the panels, nr of each in turn */
    ci_ref output;
    ci_ref residual;               /* CI_SLOT_NONE: none */
    int32_t images, height, width; /* of the output */
    ci_row_strides input_strides;  /* from one window to the next */
    ci_row_strides output_strides, residual_strides;
    int32_t depth;
    int32_t depth_tables;
    const int32_t *depth_offsets; /* [depth_tables][depth] */
    int32_t depth_parts;          /* 0: all of the depth is summed up */
    const ci_depth_part *depth_part;
    int32_t panels;
    const ci_conv_panel *panel;
    ci_activation activation;
    const ci_kernel *late_activation; /* NULL where the panels' kernels apply it: see late_activation.h */
    int32_t rows_per_task;
    int32_t panels_per_task;
    int32_t depth_block; /* depth is cut into blocks of at most so much, summed up in scratch */
    int32_t
        prefetch_distance; /* bytes by which weights are drawn into L2 ahead of their use; 0: not at all */
} ci_conv;

/* Runs some of the panels over `args->rows` output pixels; `args` holds the row tables and the rest that
 * panels share. */
void ci_conv_run_panels(const ci_conv *conv, const ci_run *run, ci_gemm_f32_args *args, int32_t first_panel,
                        int32_t panels, const float *input, float *output, const float *residual,
                        float *sums);

/* Scratch for the row tables of a task, and for its sums where depth is cut. */
typedef struct {
    int32_t *input_rows, *output_rows, *residual_rows;
    float *sums;
    char *rest; /* what follows, aligned to 64 bytes */
} ci_conv_scratch;
ci_conv_scratch ci_conv_lay_scratch(const ci_conv *conv, char *scratch, int64_t rows);
int64_t ci_conv_scratch_bytes(const ci_conv *conv, int64_t rows); /* up to `rest` */

/* What every form does first: checks sizes, panels, weights and biases, and has the program keep copies of
 * the tables; `conv` is changed to point to them. */
ci_status ci_conv_prepare(ci_program *program, ci_conv *conv);

/* Once prepared: that every output pixel and residual, or everything that windows read, lies in its buffer.
 */
ci_status ci_conv_check_output(const ci_program *program, const ci_conv *conv);
ci_status ci_conv_check_input(const ci_program *program, const ci_conv *conv);

/* The lowest and highest offset from a window's first element that a panel reads. */
void ci_conv_panel_reach(const ci_conv *conv, const ci_conv_panel *panel, int64_t *lowest, int64_t *highest);

/* Whether the offsets within one block of so many output pixels fit the kernels' 31 bits. */
int ci_conv_rows_fit(const ci_conv *conv, ci_row_strides strides, int64_t rows_per_task);

/* Checks that every element that a window, a panel or an output pixel touches lies in its buffer, and appends
 * the step. Answers CI_ERROR_ARGUMENT, CI_ERROR_BOUNDS, CI_ERROR_OVERFLOW or CI_ERROR_MEMORY otherwise. */
ci_status ci_add_conv(ci_program *program, const ci_conv *conv);

/* The same through a reusable buffer in the thread's scratch. `conv->input` is the first element of the first
 * image and `conv->input_strides` are the strides of its images, rows and pixels; depth offsets are those of
 * the buffer. A task takes `strips_per_task` strips of one image and all panels (`rows_per_task` and
 * `panels_per_task` are not used). */
ci_status ci_add_conv_reusable(ci_program *program, const ci_conv *conv, const ci_reusable *layout,
                               int32_t strips_per_task);

/* How the padded input is copied, band by band, into the thread's scratch. */
typedef struct {
    ci_image image; /* as it lies there, without padding; planar: pixels of a plane lie on end (stride 1) */
    int64_t channel_stride; /* planar: from one plane to the next */
    int32_t is_planar; /* the band is [channels][rows][padded_width], else [rows][padded_width][channels] */
    int32_t padded_width; /* pixels of a row of the band */
    ci_window window;
    int32_t rows;          /* output rows of a band */
    int32_t rows_per_task; /* output rows of one image; with a pool, of what that writes */
    /* A maximum over windows of the output, at once, while it is in cache; `kernel` NULL: there is none. The
     * output is then no image in memory: neither `conv->output` nor `pool.input` is read, nor is
     * `pool.input_image`. */
    ci_pool pool;
    int32_t pooled_rows; /* output rows of the pool that are worked on at once */
} ci_conv_bands;

/* The same over such bands. `conv->input` is the first element of the first image, its strides are not read;
 * depth offsets are those of the band. All panels in one task. */
ci_status ci_add_conv_bands(ci_program *program, const ci_conv *conv, const ci_conv_bands *bands);

#endif
