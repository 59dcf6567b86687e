/* A bottleneck in bands, float32: [1x1 convolution that expands] -> depthwise -> 1x1 convolution that
 * projects, with the images in between held in cache.
 *
 * A task takes a range of output rows of one image and works through it a band at a time. Expanding writes
 * the rows of the wide image that are new into a padded band in the thread's scratch, the depthwise
 * convolution reads the band and writes a second, smaller buffer, and projecting reads that and writes the
 * output:
 *
 *     x --expand--> [ 0 | row  0 ... | 0 ]            the two last rows move up before the next band
 *                   [ 0 | row  1 ... | 0 ] --depthwise--> [ row 0 ... ] --project (+ residual)--> output
 *                   [ 0 | row  2 ... | 0 ]                [ row 1 ... ]
 *                   [ 0 | row  3 ... | 0 ]
 *
 * Rows that two tasks need are computed by both. Sums run in the order of the three steps by themselves,
 * whatever the band and the tasks. Without an expanding convolution the depthwise one reads its padded input
 * in place. */
#ifndef CI_STEPS_BOTTLENECK_H
#define CI_STEPS_BOTTLENECK_H

#include "steps/conv.h"
#include "steps/depthwise.h"

typedef struct {
    ci_conv
        expand; /* `panels` 0: there is none. Writes all channels of the band; its `output` is not used. */
    ci_depthwise depthwise; /* multiplier 1, no residual. Its input image is the wide one with its padding:
                               with an expanding convolution only its sizes count, and the window's pads say
                               where in it the image lies. Its output is not used, but for the sizes. */
    ci_conv project;        /* its `input` is not used */
    int32_t band;           /* output rows that are worked on at once */
    int32_t rows_per_task;  /* output rows of one image */
} ci_bottleneck;

/* Checks sizes and bounds and appends the step. The output overlaps neither the input nor the residual.
 * Answers CI_ERROR_ARGUMENT, CI_ERROR_BOUNDS, CI_ERROR_OVERFLOW or CI_ERROR_MEMORY where something is wrong.
 */
ci_status ci_add_bottleneck(ci_program *program, const ci_bottleneck *bottleneck);

#endif
