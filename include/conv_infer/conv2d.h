/* Convolution by any form of lowering, on the GEMM micro-kernels.
 *
 * Nothing is allocated and nothing kept: weights are packed into the caller's scratch.
 * Arguments are checked before memory is touched. Whatever the form, sums run over the patch in the order
 * (ky, kx, c), from the bias on, so that all forms give the same bits with the same instruction set. */
#ifndef CONV_INFER_CONV2D_H
#define CONV_INFER_CONV2D_H

#include "conv_infer/cpu.h"
#include "conv_infer/lowering.h"
#include "conv_infer/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* float32 runs the micro-kernels; float64 and the 8-bit types exact loops, the 8-bit ones to int32, without
 * zero points. Weights have the input's type, bias and output the result's. */
typedef struct {
    ci_element element;
    const void *input; /* [images][height][width][channels] */
    int32_t images, height, width, channels;
    const void *weights; /* [columns][kernel_height][kernel_width][channels / groups] */
    int32_t columns;
    const void *bias; /* [columns], or NULL */
    void *output;     /* [images][output height][output width][columns] */
    ci_window window;
    int32_t groups;
    ci_lowering_form form;
    int32_t strip;            /* of the reusable forms */
    ci_activation activation; /* at most CI_ACTIVATION_LAST_FUSED; CI_ACTIVATION_CLAMP with 8-bit types */
    int32_t threads;          /* at least 1; the result does not depend on it */
    int32_t is_packed;        /* the scratch has weights and biases from a call with the same arguments */
    uint32_t allowed;         /* instruction sets (CI_ISA_BIT); 0: all that this machine has */
} ci_conv2d_args;

/* CI_ERROR_ARGUMENT for impossible geometry or scratch that is not aligned, CI_ERROR_OVERFLOW where sizes do
 * not fit or 8-bit sums could leave int32, CI_ERROR_SCRATCH where there is too little scratch (64-byte
 * aligned), with nothing written. */
ci_status ci_conv2d_scratch_bytes(const ci_conv2d_args *args, int64_t *bytes);
ci_status ci_conv2d(const ci_conv2d_args *args, void *scratch, int64_t scratch_bytes);

/* ci_convolve_s8() by any form of lowering, to the same bits. Copies turn int8 into the unsigned bytes that
 * the micro-kernels read, so that in_place and indirect copy the image once even where there is no padding.
 * two_patch widens to int16, adds the input's offset, and multiplies two patches by two columns at a time, as
 * CMSIS-NN does. */
typedef struct {
    ci_convolve_s8_args convolution;
    ci_lowering_form form;
    int32_t strip;     /* of the reusable forms */
    int32_t is_packed; /* the scratch has the weights from a call with the same arguments */
} ci_conv2d_s8_args;

/* Errors as in ops.h; scratch at any alignment. */
ci_status ci_conv2d_s8_scratch_bytes(const ci_conv2d_s8_args *args, int64_t *bytes);
ci_status ci_conv2d_s8(const ci_conv2d_s8_args *args, void *scratch, int64_t scratch_bytes);

#ifdef __cplusplus
}
#endif
#endif
