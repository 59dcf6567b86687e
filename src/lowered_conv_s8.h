/* One int8 convolution over one image and one group, lowered through the reusable im2row buffer onto the GEMM
 * micro-kernels.
 *
 * The two axes of an image are treated alike: GEMM rows run along the *major* one, and the window moves along
 * the *minor* one from GEMM to GEMM. The buffer holds, for each major position, the window's minor positions,
 * so that the patch of one output is one run of memory and those of neighbouring outputs overlap at a fixed
 * offset. The next GEMM wants the buffer's base moved by stride * channels, and only the minor positions that
 * are new. */
#ifndef CI_LOWERED_CONV_S8_H
#define CI_LOWERED_CONV_S8_H

#include "conv_infer/microkernel.h"
#include "conv_infer/ops.h"

typedef struct {
    int32_t inputs;  /* positions of the input along this axis */
    int32_t outputs; /* how many windows */
    int32_t taps, stride, dilation;
    int32_t first; /* position of the first window's first tap: negative where that is padding */
    int64_t input_step, output_step, weight_step; /* in elements */
} ci_axis_s8;

typedef struct {
    ci_axis_s8 major, minor;
    int32_t channels, columns;
    const int8_t *weights; /* of the first tap; NULL: no tap meets the input, every sum is the bias */
    int64_t weight_column_step;
    int32_t weight_offset; /* added to the weights */
    const int32_t *bias;   /* [columns] or NULL */
    ci_quantisation_s8 quantisation;
    uint32_t allowed;
} ci_lowered_conv_s8;

/* Checks sizes and ranges; the scratch bytes that the two functions below need. */
ci_status ci_lowered_conv_s8_scratch_bytes(const ci_lowered_conv_s8 *conv, int64_t *bytes);

/* Packs the weights into scratch; then images can be run, one after another, with the same scratch.
 * CI_ERROR_OVERFLOW where sums could leave int32. */
ci_status ci_lowered_conv_s8_pack(const ci_lowered_conv_s8 *conv, void *scratch);
ci_status ci_lowered_conv_s8_run(const ci_lowered_conv_s8 *conv, void *scratch, const int8_t *input,
                                 int8_t *output);

/* Whether offsets, clamps, multipliers and shifts are in the ranges that ops.h names. */
ci_status ci_check_quantisation_s8(const ci_quantisation_s8 *quantisation, int32_t channels);

/* Whether pointers, sizes and quantisation are as ops.h asks for; strides and dilations are not looked at. */
ci_status ci_check_convolve_s8(const ci_convolve_s8_args *args);

/* The sets that may be used, 0 standing for all. */
static inline uint32_t ci_allowed_or_all(uint32_t allowed) {
    const uint32_t all = ci_isa_allowed(CI_ISA_COUNT);
    return (allowed ? allowed & all : all) | CI_ISA_BIT(CI_ISA_SCALAR);
}

#endif
