/* Products of lowered rows with weights in plain loops: float64 and 8-bit integers. */
#ifndef CI_CONV2D_EXACT_H
#define CI_CONV2D_EXACT_H

#include "conv_infer/conv2d.h"

typedef enum {
    CI_A_F64,
    CI_A_S8,
    CI_A_U8,
    CI_A_S16_S8,
    CI_A_S16_U8
} ci_exact_kind; /* of A, and of the weights */

typedef struct {
    const void *a;
    const int32_t *row;   /* [rows], or [taps][rows] where `taps` */
    const int32_t *depth; /* offsets of a patch's elements, or of those of a tap */
    int32_t rows, depth_elems, taps;
    const void *weights; /* [columns][taps * depth_elems] */
    const void *bias;
    int32_t columns;
    void *output;
    const int32_t *output_row; /* [rows] */
    ci_activation activation;
} ci_exact_product;

void ci_multiply_exact(ci_exact_kind kind, const ci_exact_product *product);

#endif
