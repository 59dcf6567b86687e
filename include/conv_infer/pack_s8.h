/* Packing of int8 weights for the kernels of microkernel_s8.h: once, when a network is loaded.
 *
 * Sizes come from a query that checks for overflow; the memory is the caller's. The order of the calls:
 *
 *     ci_pack_s8_measure()   panels, blocks of depth, bytes
 *     ci_pack_s8_depth()     the table a_depth
 *     ci_pack_s8_weights()   the panels, and whether a_sum and b_zero are needed
 *     ci_pack_s8_bias()      the bias with zero points folded in
 *     ci_pack_s8_columns()   scales, multipliers, shifts, b_zero, panel after panel
 *     ci_pack_s8_panel()     where each panel lies, for the arguments of the kernel
 */
#ifndef CONV_INFER_PACK_S8_H
#define CONV_INFER_PACK_S8_H

#include "conv_infer/microkernel.h"
#include "conv_infer/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The int8 or uint8 weights of a GEMM, one group's: element (n, k) is data[n * column_stride +
 * depth_offset[k]]. */
typedef struct {
    const void *data;
    int32_t is_unsigned;
    int64_t column_stride;
    const int32_t *depth_offset; /* [depth]; NULL: 0, 1, 2, ... */
    const int32_t *zero_point;   /* [columns], as the model states them; NULL: all 0 */
} ci_weights_s8;

typedef struct {
    const ci_kernel *kernel; /* a gemm_s8 */
    int32_t columns;
    int32_t panel_columns;     /* at most so many columns in a panel; 0: as many as the kernel takes */
    int32_t runs;              /* the depth is this many runs of consecutive bytes of A */
    int32_t runs_alike;        /* run_length holds one value, for all of them */
    const int32_t *run_length; /* [runs] each at least 1 */
} ci_gemm_shape_s8;

typedef struct {
    int32_t depth;          /* the runs' lengths together */
    int32_t k_blocks;       /* entries of a_depth */
    int32_t panels;         /* columns are dealt out to them evenly */
    int32_t padded_columns; /* the panels' widths together: elements of bias, scale, ... */
    int64_t weight_bytes;   /* of all panels; aligned to 64 bytes, as each panel is */
} ci_gemm_size_s8;

typedef struct {
    int32_t first_column, columns; /* its part of bias, scale, ... begins at first_column too */
    int64_t weight_offset;         /* bytes */
} ci_gemm_panel_s8;

/* CI_ERROR_ARGUMENT where a size is less than 1, CI_ERROR_OVERFLOW where one does not fit. */
ci_status ci_pack_s8_measure(const ci_gemm_shape_s8 *shape, ci_gemm_size_s8 *size);

/* Panel `index`, 0 .. panels - 1. */
ci_gemm_panel_s8 ci_pack_s8_panel(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size, int32_t index);

/* Writes a_depth [k_blocks], the runs beginning at run_offset[] bytes. */
void ci_pack_s8_depth(const ci_gemm_shape_s8 *shape, const int32_t *run_offset, int32_t *a_depth);

/* Whether some weight, its zero point taken off, does not fit the kernel's weights. */
int32_t ci_pack_s8_needs_sums(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size,
                              const ci_weights_s8 *weights);

/* Weights whose zero points are not 0 are packed with them taken off, where the differences fit the kernel's
 * weights (8 bits, or 16 where a kernel widens); else as they are, and *needs_sums is set: then the kernel is
 * to be given a_sum, and b_zero from ci_pack_s8_zero_points(). */
void ci_pack_s8_weights(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size,
                        const ci_weights_s8 *weights, void *packed, int32_t *needs_sums);

/* The zero points of the stored weights, [padded_columns]. */
void ci_pack_s8_zero_points(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size,
                            const ci_weights_s8 *weights, int32_t *b_zero);

/* Writes [padded_columns] of
 *
 *     bias[n] - a_zero * sum over k of (w[n][k] - zero_point[n])
 *
 * `a_zero` is in unsigned terms; `bias` may be NULL. CI_ERROR_OVERFLOW where some image could bring a sum out
 * of int32. */
ci_status ci_pack_s8_bias(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size,
                          const ci_weights_s8 *weights, int32_t a_zero, const int32_t *bias, int32_t *folded);

/* Spreads 32-bit values of each column (int32 or float) over the panels, zero beyond each panel's last
 * column. */
void ci_pack_s8_columns(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size, const void *values,
                        void *padded);

/* Depthwise weights: element (tap, c) is data[tap * channels + c], tap = ky * kernel_width + kx. */
typedef struct {
    const ci_kernel *kernel; /* a depthwise_s8 */
    int32_t channels;
    int32_t kernel_height, kernel_width;
} ci_depthwise_shape_s8;

/* Channels rounded up to the kernel's blocks, and bytes of packed weights. */
ci_status ci_depthwise_s8_measure(const ci_depthwise_shape_s8 *shape, int32_t *padded_channels,
                                  int64_t *weight_bytes);

/* Packs the weights less their zero points (per channel; NULL: all 0). CI_ERROR_UNSUPPORTED where a
 * difference does not fit the kernel's weights: take a kernel of 16-bit weights then (those of avx512, avx2
 * and scalar). */
ci_status ci_depthwise_s8_weights(const ci_depthwise_shape_s8 *shape, const void *data, int32_t is_unsigned,
                                  const int32_t *zero_point, void *packed);

/* bias[c] - a_zero * sum of the channel's weights, in the kernel's order; CI_ERROR_OVERFLOW as above. */
ci_status ci_depthwise_s8_bias(const ci_depthwise_shape_s8 *shape, const void *data, int32_t is_unsigned,
                               const int32_t *zero_point, int32_t a_zero, const int32_t *bias,
                               int32_t *folded);

/* 32-bit values of each channel in the kernel's order, [padded_channels], zero beyond the last channel. */
void ci_depthwise_s8_columns(const ci_depthwise_shape_s8 *shape, const void *values, void *padded);

/* Winograd: the weights' depth is that of a window, element (tap, c) being number tap * depth + c. */
typedef struct {
    const ci_kernel *kernel; /* a winograd_s8 */
    int32_t columns, depth;  /* output and input channels */
} ci_winograd_shape_s8;

/* Whether no image can bring four times a sum out of int32, and the transformed weights fit int16. */
int32_t ci_winograd_s8_fits(const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights);

ci_status ci_winograd_s8_measure(const ci_winograd_shape_s8 *shape, int32_t *padded_columns,
                                 int64_t *weight_bytes, int64_t *scratch_bytes);
void ci_winograd_s8_weights(const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights, void *packed);

/* bias[n] - a_zero * sum of the column's weights, [padded_columns]; CI_ERROR_OVERFLOW as above. */
ci_status ci_winograd_s8_bias(const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights, int32_t a_zero,
                              const int32_t *bias, int32_t *folded);

#ifdef __cplusplus
}
#endif
#endif
