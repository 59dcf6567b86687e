/* float32 convolution, 3x3 with stride 1, by Winograd's F(2x2, 3x3) (Lavin and Gray, CVPR 2016,
 * doi 10.1109/CVPR.2016.435): 16 multiplications for four outputs in place of 36.
 *
 * A patch d of 4x4 inputs and a filter g give the 2x2 outputs A'((G g G') * (B' d B))A, * being the product
 * element by element. Summed over channels, each of the 16 positions of the transformed patches is a matrix
 * product of its own:
 *
 *     patches [16][tiles][channels]   x   weights [panel][16][depth][nr]   =   products [16][tiles][nr]
 *
 * Both sides live in the thread's scratch, a block of tiles at a time. B and A hold 0 and +-1 only, so that
 * the result departs from the direct sum by little more than its own rounding. An infinite input makes NaN of
 * whole tiles where the direct sum would confine it to the windows that see it. */
#ifndef CI_STEPS_WINOGRAD_H
#define CI_STEPS_WINOGRAD_H

#include "conv_infer/microkernel.h"
#include "conv_infer/program.h"
#include "rows.h"

/* A panel of output channels. All offsets in elements. */
typedef struct {
    const ci_kernel *kernel; /* gemm_f32 */
    int32_t first_column;    /* of the output's channels; panels follow one another */
    int32_t columns;
    int64_t input_offset;   /* of the panel's group in the input's channels */
    int64_t weights_offset; /* of its weights, transformed: [16][depth][nr] */
} ci_winograd_panel;

/* Strides are in elements. */
typedef struct {
    const ci_kernel *input_kernel;  /* winograd_input_f32 */
    const ci_kernel *output_kernel; /* winograd_output_f32 */
    ci_ref input; /* of the first element of the first window (which may lie in the padding) */
    ci_ref weights;
    ci_ref bias; /* of the panels, nr of each in turn */
    ci_ref output;
    ci_ref residual;               /* CI_SLOT_NONE: none */
    int32_t images, height, width; /* of the output; height and width at least 2 */
    int32_t channels;              /* of the input */
    int32_t depth;                 /* channels of one group */
    ci_row_strides input_strides, output_strides, residual_strides;
    int32_t panels;
    const ci_winograd_panel *panel;
    ci_activation activation;
    const ci_kernel *late_activation; /* NULL where output_kernel applies it: see late_activation.h */
    int32_t tiles_per_task, panels_per_task;
    int32_t
        prefetch_distance; /* bytes by which weights are drawn into L2 ahead of their use; 0: not at all */
} ci_winograd;

/* Checks that every element that is touched lies in its buffer, and appends the step. Answers
 * CI_ERROR_ARGUMENT, CI_ERROR_BOUNDS, CI_ERROR_OVERFLOW or CI_ERROR_MEMORY otherwise. */
ci_status ci_add_winograd(ci_program *program, const ci_winograd *conv);

#endif
