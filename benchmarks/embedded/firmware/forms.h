/* The forms of a convolution that are compared. Arguments are those of the library's ci_convolve_s8(), with
 * batch 1 and no dilation; weights are packed before the clock runs, for every form. */
#ifndef CI_EMBEDDED_FORMS_H
#define CI_EMBEDDED_FORMS_H

#include "conv_infer/ops.h"
#include "output.h"

typedef struct {
    const ci_convolve_s8_args *conv;
    const void *weights; /* packed by the form's *_pack() */
    const output_rule *rules;
    int16_t *buffer;         /* *_buffer_elems() of them */
    int32_t lowers_only;     /* nothing is multiplied: what lowering costs by itself */
    int32_t multiplies_wide; /* two patches: with the reusable buffer's micro-kernel and weights */
    int64_t copied_elems;    /* written into the buffer, counted by the form as it writes */
} form;

/* Two patches at a time, in int16, reordered where channels come in fours; 2x2 tile; int8 weights are
 * extended as they are read. */
int64_t two_patch_buffer_elems(const ci_convolve_s8_args *conv);
int64_t two_patch_weight_bytes(const ci_convolve_s8_args *conv);
void two_patch_pack(const ci_convolve_s8_args *conv, int8_t *weights);
void two_patch_run(form *form);

/* The reusable im2row buffer in int16, each element of the padded input written once; rows at a fixed
 * offset; 2x2 tile; weights extended beforehand. */
int64_t reusable_buffer_elems(const ci_convolve_s8_args *conv);
int64_t wide_weight_bytes(const ci_convolve_s8_args *conv);
/* Whether the window moves along x from product to product, and the order of wide weights with it: that of
 * patches is along x. */
int32_t reusable_along_x(const ci_convolve_s8_args *conv);
void wide_pack(const ci_convolve_s8_args *conv, int32_t along_x, int16_t *weights);
void reusable_run(form *form);

/* Depthwise, 3x3 taps, multiplier 1, even channels: the same for both in whole networks. `buffer` holds a
 * padded image. */
int64_t depthwise_buffer_elems(const ci_depthwise_conv_s8_args *conv);
int64_t depthwise_weight_bytes(const ci_depthwise_conv_s8_args *conv);
void depthwise_pack(const ci_depthwise_conv_s8_args *conv, int16_t *weights);
void depthwise_run(const ci_depthwise_conv_s8_args *conv, const int16_t *weights, const output_rule *rules,
                   int16_t *buffer);

#endif
