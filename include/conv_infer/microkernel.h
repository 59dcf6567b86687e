/* The micro-kernel contract, and the table of kernels.
 *
 * One contract serves every lowering of a convolution. A GEMM kernel computes, for m < rows and n < columns,
 *
 *     c[c_row[m] + n] = activation(bias[n] + sum over k < depth of a[a_row[m] + a_depth[k]] * b[k][n]
 *                                  + residual[residual_row[m] + n])
 *
 *                    a_depth[0] a_depth[1] ...                 panel of nr columns
 *     a_row[0] -> [ a . . . . a . . . . ]                  b: [ k = 0 | nr values ]
 *     a_row[1] -> [ a . . . . a . . . . ]        x            [ k = 1 | nr values ]
 *     ...                                                     [ ...               ]
 *
 * so that one table of row offsets and one of depth offsets express plain matrices (a_row[m] = m * lda,
 * a_depth[k] = k), the fixed-offset rows of the reusable im2row buffer (lda = stride * kernel_width *
 * channels, shorter than a row: rows overlap), windows read in place (kernel_height runs of kernel_width *
 * channels), dilated, grouped and shuffled channels (any table), planar inputs, and output rows that wrap
 * around image borders. All offsets are in elements. A tail of rows or columns is the kernel's own business.
 *
 * Preconditions, checked by those who call: every offset lies inside its buffer; a, c and residual have the
 * alignment of their element type only, and so may b and bias, though b is read faster where it is aligned to
 * 64 bytes; both hold whole panels (bias nr values, zero beyond the last column); c overlaps neither a nor b,
 * and is residual itself or disjoint from it. Kernels cannot fail.
 */
#ifndef CONV_INFER_MICROKERNEL_H
#define CONV_INFER_MICROKERNEL_H

#include "conv_infer/cpu.h"
#include "conv_infer/elementwise.h"
#include "conv_infer/elementwise_u8.h"
#include "conv_infer/microkernel_s8.h"
#include "conv_infer/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One panel of a float32 GEMM: rows x (at most nr) columns. Packed B: [depth][nr], columns beyond the last
 * zero.
 *
 * A long depth may be cut into blocks whose part of b stays in cache: the call for one block leaves its sums
 * in `sums`, the next goes on from them (`start`, which may be the same memory), the last applies the
 * epilogue. The order of summation, and so every bit, is that of one call. */
typedef struct {
    int32_t rows;
    int32_t columns; /* 1 .. nr */
    int32_t depth;   /* >= 1 */
    const float *a;
    const int32_t *a_row;    /* [rows] */
    const int32_t *a_depth;  /* [depth] */
    int32_t a_is_contiguous; /* a_depth[k] == k for every k: a kernel may load runs of a */
    const float *b;
    const float *bias;  /* [nr] */
    const float *start; /* [rows][nr]: sums of earlier depths to go on from, in place of bias; NULL: bias */
    float *sums;        /* [rows][nr]: where the bare sums go, for later depths, in place of c; NULL: to c */
    float *c;
    const int32_t *c_row;        /* [rows] */
    const float *residual;       /* NULL where there is none */
    const int32_t *residual_row; /* [rows] */
    ci_activation activation;    /* at most CI_ACTIVATION_LAST_FUSED */
    const void *prefetch;        /* weights that are needed next, to be drawn into L2; NULL where none */
    int64_t prefetch_bytes;
} ci_gemm_f32_args;

typedef void ci_gemm_f32_fn(const ci_gemm_f32_args *args);

/* The same for panels of few columns (nr = 4) over rows whose depth is contiguous, with the vectors along
 * depth: the columns past the last full vector of a wider panel. The arguments are the same but that
 * a_is_contiguous must hold, a_depth, start and sums are not read, and packed B is [nr][depth rounded up to
 * CI_GEMM_DOT_STEP], zero beyond depth:
 *
 *     a_row[0] -> [ a a a a ... ]        b: [ n = 0 | depth values, zeros ]
 *     a_row[1] -> [ a a a a ... ]   x       [ n = 1 | depth values, zeros ]
 *     ...                                   [ ...                         ]
 *
 * No element of a beyond a row's depth is read. */
#define CI_GEMM_DOT_STEP 16

typedef void ci_gemm_dot_f32_fn(const ci_gemm_f32_args *args);

/* The same once more for panels that would not fill whole vectors: a vector holds k_step depths (the
 * kernel's) of a column side by side, and those are added up in the end. Packed B is [depth / k_step, rounded
 * up][nr][k_step], zero beyond depth. The arguments are as for gemm_dot_f32. */
typedef void ci_gemm_split_f32_fn(const ci_gemm_f32_args *args);

/* Depthwise convolution, float32, over rows of one image; every channel has a filter of its own:
 *
 *     output[y][x][c] = activation(bias[c] + sum over i < kernel_height, j < kernel_width of
 *                                      weights[i * kernel_width + j][c] * input[y'][x'][c / multiplier]
 *                                  + residual[y][x][c])
 *     where y' = y * stride_y + i * dilation_y and x' = x * stride_x + j * dilation_x.
 *
 * The input is padded in memory: every window that is asked for lies in it. Strides (`_row`, `_pixel`) are in
 * elements, channels contiguous. Rows of the weights and the bias are padded with zeros to a multiple of 16
 * channels. Variants: `any`; `3x3s1`, `3x3s2`, `5x5s1`, `5x5s2` want exactly that kernel and stride, no
 * dilation and a multiplier of 1. The output overlaps neither input, weights nor bias; the residual is the
 * output itself or disjoint from it. The order of a sum depends on the variant, the number of channels and
 * whether there is a residual, never on the rows asked for. */
typedef struct {
    int32_t rows, width, channels; /* of the output, each >= 1 */
    int32_t multiplier;            /* output channels per input channel */
    int32_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x;
    const float *input;
    int64_t input_row, input_pixel;
    const float *weights;
    int64_t weights_row; /* from tap to tap, >= channels rounded up to 16 */
    const float *bias;
    float *output;
    int64_t output_row, output_pixel;
    const float *residual; /* NULL where there is none */
    int64_t residual_row, residual_pixel;
    ci_activation activation; /* at most CI_ACTIVATION_LAST_FUSED */
} ci_depthwise_f32_args;

typedef void ci_depthwise_f32_fn(const ci_depthwise_f32_args *args);

/* Convolution in narrow groups, float32, over rows of one image: groups of `width` channels in and as many
 * out, width being a kernel's nr (variant w4: 4). With the letters of depthwise convolution,
 *
 *     output[y][x][c] = activation(bias[c] + sum over i, j and k < width of
 *                                      w[c][i][j][k] * input[y'][x'][c - c % width + k] + residual[y][x][c])
 *
 * A vector holds several groups, and weights are packed by diagonals, so that no input is ever moved between
 * lanes: vector d of a tap holds, in the lane of input channel c, its weight towards the output channel d
 * further on in its group (going round). The `width` partial sums of an output are turned and added at the
 * end.
 *
 *     packed weights: [channels / 16, rounded up][kernel_height * kernel_width][width][16], zero beyond the
 * last channel
 *
 * The bias is padded with zeros to a multiple of 16 channels. Everything else is as for depthwise
 * convolution. */
typedef struct {
    int32_t rows, width, channels; /* of the output, each >= 1; channels in whole groups */
    int32_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x;
    const float *input;
    int64_t input_row, input_pixel;
    const float *weights;
    const float *bias;
    float *output;
    int64_t output_row, output_pixel;
    const float *residual; /* NULL where there is none */
    int64_t residual_row, residual_pixel;
    ci_activation activation; /* at most CI_ACTIVATION_LAST_FUSED */
} ci_grouped_f32_args;

typedef void ci_grouped_f32_fn(const ci_grouped_f32_args *args);

/* The two transformations around the products of Winograd's F(2x2, 3x3), float32, over tiles of 2x2 outputs.
 * A tile's 16 positions are numbered row by row. The first turns the 4x4 inputs d that a tile's windows see
 * into
 *
 *     patches[position][tile][c] = (B' d B)[position],    B' = [ 1  0 -1  0 ]    d0 - d2
 *                                                              [ 0  1  1  0 ]    d1 + d2
 *                                                              [ 0 -1  1  0 ]    d2 - d1
 *                                                              [ 0  1  0 -1 ]    d1 - d3
 *
 * and the second what the products m have made of them into the outputs
 *
 *     activation(bias[n] + (A' m A)[y][x] + residual),    A' = [ 1  1  1  0 ]    m0 + m1 + m2
 *                                                              [ 0  1 -1 -1 ]    m1 - m2 - m3
 *
 * of which those are stored whose bit, 2 * y + x, is set in the tile's `stored`; a residual is read for no
 * others. Columns first, then rows, sums from left to right. All offsets and strides are in elements,
 * channels contiguous. Patches and products overlap nothing; the residual is the output itself or disjoint
 * from it. */
typedef struct {
    int32_t tiles, channels; /* each >= 1 */
    const float *input;
    const int32_t *input_tile; /* [tiles]: where the patch of each begins */
    int64_t input_row, input_pixel;
    float *patches;
    int64_t patch_tile, patch_position; /* from tile to tile, from position to position */
} ci_winograd_input_f32_args;

typedef void ci_winograd_input_f32_fn(const ci_winograd_input_f32_args *args);

typedef struct {
    int32_t tiles, columns; /* each >= 1 */
    const float *products;
    int64_t product_tile, product_position;
    const float *bias; /* [columns] */
    float *output;
    const int32_t *output_tile; /* [tiles]: where the first output of each lies */
    int64_t output_row, output_pixel;
    const uint8_t *stored; /* [tiles] */
    const float *residual; /* NULL where there is none */
    const int32_t *residual_tile;
    int64_t residual_row, residual_pixel;
    ci_activation activation; /* at most CI_ACTIVATION_LAST_FUSED */
} ci_winograd_output_f32_args;

typedef void ci_winograd_output_f32_fn(const ci_winograd_output_f32_args *args);

/* Pooling over rows of one image: `maxpool_f32`, `avgpool_f32`, and `maxpool_s8`, `maxpool_u8` over int8 and
 * uint8.
 *
 *     output[y][x][c] = maximum or mean over i < kernel_height, j < kernel_width of
 *                       input[(first_row + y) * stride_y - pad_top + i * dilation_y]
 *                            [x * stride_x - pad_left + j * dilation_x][c]
 *
 * The input is not padded in memory: taps outside it are left out. A mean divides by the taps inside the
 * image or, with count_include_pad, by those inside the image and its padding (a window may reach further).
 * Taps are taken row by row; the maximum goes on with the new tap wherever it is not less than the one so
 * far, so that NaN counts only after the window's last number. A window without taps gives the least value of
 * the type, or a mean of 0. Strides (`_row`,
 * `_pixel`) are in elements, channels contiguous; the output does not overlap the input. */
typedef struct {
    int32_t first_row, rows, width; /* of the output */
    int32_t channels;
    int32_t input_height, input_width;
    ci_window window;
    int32_t count_include_pad;
    const void *input; /* the image's first element */
    int64_t input_row, input_pixel;
    void *output; /* of first_row */
    int64_t output_row, output_pixel;
} ci_pool_args;

typedef void ci_maxpool_f32_fn(const ci_pool_args *args);
typedef void ci_avgpool_f32_fn(const ci_pool_args *args);
typedef void ci_maxpool_s8_fn(const ci_pool_args *args);
typedef void ci_maxpool_u8_fn(const ci_pool_args *args);

/* What operation a kernel performs, and so which function type it has: X(name) stands for ci_<name>_fn. */
#define CI_OPERATIONS(X)                                                                                     \
    X(gemm_s8)                                                                                               \
    X(depthwise_s8)                                                                                          \
    X(winograd_s8)                                                                                           \
    X(quantise_u8)                                                                                           \
    X(dequantise_u8)                                                                                         \
    X(dequantise_s32)                                                                                        \
    X(add_u8)                                                                                                \
    X(mul_u8)                                                                                                \
    X(lookup_u8)                                                                                             \
    X(sum_u8)                                                                                                \
    X(average_u8)                                                                                            \
    X(gemm_f32)                                                                                              \
    X(transpose)                                                                                             \
    X(gather)                                                                                                \
    X(activation_f32)                                                                                        \
    X(binary_f32)                                                                                            \
    X(affine_f32)                                                                                            \
    X(reduce_f32)                                                                                            \
    X(softmax_f32)                                                                                           \
    X(lrn_f32)                                                                                               \
    X(layer_norm_f32)                                                                                        \
    X(bilinear_f32)                                                                                          \
    X(gemm_dot_f32)                                                                                          \
    X(gemm_split_f32)                                                                                        \
    X(depthwise_f32)                                                                                         \
    X(grouped_f32)                                                                                           \
    X(winograd_input_f32)                                                                                    \
    X(winograd_output_f32)                                                                                   \
    X(maxpool_f32)                                                                                           \
    X(avgpool_f32)                                                                                           \
    X(maxpool_s8)                                                                                            \
    X(maxpool_u8)

#define CI_OPERATION_ENUMERATOR(name) CI_OPERATION_##name,
typedef enum { CI_OPERATIONS(CI_OPERATION_ENUMERATOR) CI_OPERATION_COUNT } ci_operation;
#undef CI_OPERATION_ENUMERATOR

typedef void ci_any_fn(void);

typedef struct {
    const char *name; /* the function's */
    ci_operation operation;
    const char *variant;
    ci_isa isa;
    int32_t mr, nr, k_step;
    ci_any_fn *function; /* to be cast to the operation's type */
} ci_kernel;

/* Every kernel that was built. */
const ci_kernel *ci_kernels(int32_t *count);

/* The name of an operation, as in kernels.def. */
const char *ci_operation_name(ci_operation operation);

/* The kernel of an operation and variant with the best instruction set among `allowed`; never NULL for an
 * operation whose scalar kernel has that variant. */
const ci_kernel *ci_kernel_find(ci_operation operation, const char *variant, uint32_t allowed);

#ifdef __cplusplus
}
#endif
#endif
