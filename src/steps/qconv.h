/* Convolution as a GEMM over output pixels, int8: dense or grouped, any window, read in place or through the
 * reusable im2row buffer. Activations are unsigned bytes (see the stored form in microkernel_s8.h). */
#ifndef CI_STEPS_QCONV_H
#define CI_STEPS_QCONV_H

#include "conv_infer/microkernel.h"
#include "conv_infer/program.h"
#include "rows.h"

/* One panel of output channels. Offsets in bytes of the input and of the weights, in elements otherwise. */
typedef struct {
    int32_t first_column; /* of the output's channels */
    int32_t columns;
    int32_t depth_first, k_blocks; /* its part of the depth offsets */
    int64_t input_offset;          /* of the panel's group in the input's channels */
    int64_t weights_offset;
    int64_t parameter; /* its first element of bias, scale and weight_zero */
    int32_t is_sums;   /* 1: no output, but the sums of A (a_sum) for the panels that follow */
} ci_qconv_panel;

typedef struct {
    const ci_kernel *kernel;       /* gemm_s8 */
    ci_ref input;                  /* of the first byte of the first window (which may lie in the padding) */
    ci_ref weights;                /* packed panels */
    ci_ref bias;                   /* int32, zero points folded in */
    ci_ref scale;                  /* float32; not read where sums are not requantised */
    ci_ref weight_zero;            /* int32, read by panels that follow one of sums; or CI_SLOT_NONE */
    ci_ref output;                 /* bytes, or int32 where sums are not requantised */
    ci_ref residual;               /* CI_SLOT_NONE: none */
    int32_t images, height, width; /* of the output */
    /* Windows computed in each row, at least `width`: those beyond are skipped. More than `width` where the
     * windows of all rows then follow one another at one distance. */
    int32_t row_windows;
    ci_row_strides input_strides; /* from one window to the next */
    ci_row_strides output_strides, residual_strides;
    int32_t depth_count;
    const int32_t *depth_offsets; /* [depth_count], of all panels */
    int32_t panels;
    const ci_qconv_panel *panel;
    int64_t parameters;       /* elements of bias, scale and weight_zero, at least */
    ci_requantise requantise; /* its rule: scale or none. Its pointers are not read. */
    int32_t rows_per_task;    /* a multiple of row_windows where that exceeds `width` */
    int32_t panels_per_task;  /* all of them where there are sums */
    /* 1: a task copies its windows together first, so that they lie at one distance, and all panels read the
     * copies. One table of depth offsets, from 0 on, and no input_offset. */
    int32_t gathers;
    /* Or byte by byte: which byte of a window each byte of its copy is; the depth offsets and input_offset
     * are then those of the copy. NULL: windows are not copied so. */
    const int32_t *picked; /* [picked_count] */
    int32_t picked_count;
    uint32_t allowed; /* instruction sets of the kernel that picks; the scalar one among them */
} ci_qconv;

/* Checks that every byte that a window, a panel or an output pixel touches lies in its buffer, and appends
 * the step. Answers CI_ERROR_ARGUMENT, CI_ERROR_BOUNDS, CI_ERROR_OVERFLOW or CI_ERROR_MEMORY otherwise. */
ci_status ci_add_qconv(ci_program *program, const ci_qconv *conv);

/* The parts that both forms share, as in conv.h. */
typedef struct {
    int32_t *input_rows, *output_rows, *residual_rows, *sum_rows, *sums;
    char *rest; /* what follows, aligned to 64 bytes */
} ci_qconv_scratch;
ci_qconv_scratch ci_qconv_lay_scratch(char *scratch, int64_t rows);
int64_t ci_qconv_scratch_bytes(int64_t rows); /* up to `rest` */

/* Some of the panels over `rows` windows; `output` and `residual` are those of the first of them. */
void ci_qconv_run_panels(const ci_qconv *conv, const ci_run *run, const ci_qconv_scratch *scratch,
                         int32_t rows, int32_t first_panel, int32_t panels, const uint8_t *input,
                         char *output, const uint8_t *residual);

/* Checks everything but the input, and keeps copies of the tables: `conv` is changed to point to them. */
ci_status ci_qconv_prepare(ci_program *program, ci_qconv *conv);

int32_t ci_qconv_output_bytes(const ci_qconv *conv); /* of an element */

#endif
