/* The int8 half of the micro-kernel contract: GEMM, depthwise convolution and Winograd, exact on every
 * instruction set.
 *
 * Stored form. Kernels read activations as unsigned bytes and write them so. A uint8 tensor is stored as it
 * is; of an int8 tensor the kernels see x ^ 0x80, which is x + 128: its zero point moves by the same 128 and
 * nothing else changes, so signed and unsigned models run the same code at the same speed. All zero points
 * and clamps below are in these unsigned terms (0 .. 255). Weights are signed bytes; uint8 weights are stored
 * as w - 128 and their zero point moves with them.
 *
 * Sums are int32 and never round, saturate or depend on the order of summation. What does not vary from pixel
 * to pixel (the bias, the zero point of A times the sum of the weights) is folded into `bias` when the
 * weights are packed (pack_s8.h).
 */
#ifndef CONV_INFER_MICROKERNEL_S8_H
#define CONV_INFER_MICROKERNEL_S8_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a sum becomes an output. */
typedef enum {
    CI_REQUANTISE_NONE = 0, /* it is the output: int32 */

    /* ONNX QLinearConv: round_half_even(float32(sum) * scale) + zero_point. */
    CI_REQUANTISE_SCALE,

    /* TFLite and CMSIS-NN: x = sum << max(shift, 0); h = (x * multiplier + 2^30) >> 31 in 64 bits; h divided
     * by 2^max(-shift, 0), rounded to nearest, ties away from zero; plus zero_point. Shift -31 .. 30. */
    CI_REQUANTISE_MULTIPLIER,
} ci_requantise_rule;

/* Adds another quantised tensor to the requantised output q, as onnxruntime's QLinearAdd does:
 *
 *     q' = round_half_even(fma(q - origin, scale, fma(r - data_origin, data_scale, constant)))
 *
 * in float32, r being data[row[m] + n]. For QLinearAdd of scales (a, b) -> c and zero points (za, zb) -> zc:
 * scale = a / c, data_scale = b / c, constant = zc - fma(a / c, za, (b / c) * zb), each rounded to float32.
 * An origin is 128 where that tensor is int8 (so that q - origin is its value), else 0; zc is in unsigned
 * terms less the output's origin, and `out_origin` is added in the end. */
typedef struct {
    const uint8_t *data; /* NULL: nothing is added */
    const int32_t *row;  /* [rows] */
    float scale, data_scale, constant;
    int32_t origin, data_origin, out_origin;
    int32_t minimum, maximum; /* of q', unsigned terms */
} ci_residual_s8;

typedef struct {
    int32_t rule;              /* ci_requantise_rule; with NONE nothing below is read */
    const float *scale;        /* CI_REQUANTISE_SCALE: per column, finite and not negative */
    const int32_t *multiplier; /* CI_REQUANTISE_MULTIPLIER: per column, not negative */
    const int32_t *shift;
    int32_t zero_point;
    int32_t minimum, maximum; /* of the output: 0 <= minimum <= maximum <= 255 */
    int32_t flip; /* each byte is XORed with it when it is stored: 0, or 0x80 for plain int8 in memory */
    ci_residual_s8 residual; /* GEMM and Winograd only */
} ci_requantise;

enum { CI_ROW_SKIPPED = INT32_MIN }; /* as a c_row: the row is computed, but not stored */

/* One panel of an int8 GEMM: rows x columns. With A(m, k, j) = a[a_row[m] + a_depth[k] + j],
 *
 *     c[c_row[m] + n] = requantise(bias[n] + sum over k < k_blocks, j < k_step of A(m, k, j) * b[k][n][j]
 *                                          - a_sum[m] * b_zero[n])
 *
 *                     a_depth[0]   a_depth[1]                   panel of `columns` columns
 *     a_row[0] -> [ a . . . | a . . . | ... ]              b: [ k = 0 | k_step weights of each column ]
 *     a_row[1] -> [ a . . . | a . . . | ... ]        x        [ k = 1 | k_step weights of each column ]
 *     ...                                                     [ ...                                   ]
 *
 * Depth comes in runs of consecutive bytes; each run takes whole blocks of k_step (the kernel's, see
 * ci_kernel) bytes, the last of which may reach past the run: what is read there meets weights of 0, so it
 * may be anything, but it must be memory that may be read: up to k_step - 1 bytes behind a run. `b` is in the
 * kernel's own layout. Tails of rows and columns are the kernel's business. Offsets are in bytes for A, in
 * elements for C.
 *
 * Preconditions, checked by those who call: b is aligned to 64 bytes; bias, scale, multiplier, shift and
 * b_zero hold the panel's width (columns rounded up to whole vectors), zero beyond the last column; nothing
 * else need be aligned. c overlaps neither a nor b, and is residual.data itself (with the same rows) or
 * disjoint from it. */
typedef struct {
    int32_t rows;     /* >= 1 */
    int32_t columns;  /* 1 .. nr */
    int32_t k_blocks; /* >= 1 */
    const uint8_t *a;
    const int32_t *a_row;   /* [rows] */
    const int32_t *a_depth; /* [k_blocks] */
    const void *b;
    const int32_t *bias;
    const int32_t *a_sum;  /* [rows] sums of A over the depth; NULL where every weight zero point is 0 */
    const int32_t *b_zero; /* the zero point of each column's stored weights; read with a_sum only */
    void *c;               /* uint8, or int32 where nothing is requantised */
    const int32_t *c_row;  /* [rows], or CI_ROW_SKIPPED */
    ci_requantise requantise;
    const void *prefetch; /* weights that are needed next, to be drawn into L2; NULL where none */
    int64_t prefetch_bytes;
} ci_gemm_s8_args;

typedef void ci_gemm_s8_fn(const ci_gemm_s8_args *args);

/* Depthwise convolution: output pixel (y, x) of channel c is
 *
 *     requantise(bias[c] + sum over ky, kx of
 *                a[a_row[y * stride_y + ky * dilation_y] + (x * stride_x + kx * dilation_x) * a_pixel_stride
 * + c]
 *                * b[ky][kx][c])
 *
 * A window has at most CI_DEPTHWISE_S8_TAPS elements. Every window lies inside memory: padding is either
 * stored around the image, or a row of it named by several a_row. Up to CI_DEPTHWISE_S8_SLACK bytes behind
 * the last channel of a pixel may be read. b, bias, scale, multiplier and shift are in the kernel's own order
 * of channels (pack_s8.h) and hold whole blocks. The "3x3" variant takes 3x3 windows, undilated, of stride 1
 * or 2 (the same both ways); "any" takes all. */
enum { CI_DEPTHWISE_S8_SLACK = 64, CI_DEPTHWISE_S8_TAPS = 1024 };

typedef struct {
    int32_t channels;
    int32_t height, width; /* of the output */
    int32_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x;
    const uint8_t *a;
    const int32_t *a_row; /* [(height - 1) * stride_y + (kernel_height - 1) * dilation_y + 1] */
    int64_t a_pixel_stride;
    const void *b; /* aligned to 64 bytes */
    const int32_t *bias;
    void *c;
    int64_t c_row_stride, c_pixel_stride;
    ci_requantise requantise; /* no residual */
} ci_depthwise_s8_args;

typedef void ci_depthwise_s8_fn(const ci_depthwise_s8_args *args);

/* Winograd's minimal filtering F(2x2, 3x3) in integers: 3x3 windows of stride 1, each tile four outputs from
 * a 4x4 patch of the input, 16 multiplications in place of 36. The weights are transformed with 2 * G in
 * place of G, so that every number is an integer, and the products come out four times too large: exactly, so
 * that a shift undoes it. Bit-equal to the direct form wherever ci_winograd_s8_fits() (pack_s8.h) says so.
 *
 * Method: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. */
enum { CI_WINOGRAD_S8_TILES = 48 };

typedef struct {
    int32_t tiles; /* 1 .. CI_WINOGRAD_S8_TILES */
    int32_t depth; /* input channels */
    int32_t columns;
    const uint8_t *a;
    const int32_t *a_tile; /* [tiles] offset of the first byte of the 4x4 patch; whole patches lie in memory,
                              and CI_DEPTHWISE_S8_SLACK bytes behind them */
    int64_t a_row_stride, a_pixel_stride;
    const void *b; /* transformed weights of every panel, aligned to 64 bytes */
    const int32_t *bias;
    uint8_t *c;
    const int32_t *c_tile;   /* [tiles] offset of the first of the four outputs */
    const uint8_t *c_stored; /* [tiles] bit 2 * y + x: output (y, x) is stored */
    int64_t c_row_stride, c_pixel_stride;
    ci_requantise requantise; /* with a rule; residual.row is [tiles] like c_tile, and all four of a tile's
                                 residuals are read */
    int64_t residual_row_stride, residual_pixel_stride;
    void *scratch; /* ci_winograd_s8_scratch_bytes(), aligned to 64 bytes */
} ci_winograd_s8_args;

typedef void ci_winograd_s8_fn(const ci_winograd_s8_args *args);

#ifdef __cplusplus
}
#endif
#endif
