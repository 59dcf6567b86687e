/* Weights in the order in which the GEMM kernels read them. Packed once, when a model is loaded.
 *
 * `weights` is a float32 matrix with a row per output channel: element (n, k) lies at n * row_stride + k (in
 * elements). It need not be aligned: it may be a view into a model file. Where `depth_order` is given, packed
 * depth k holds element depth_order[k] of each row, so that permuted channels and layouts other than OHWI are
 * packed in one pass.
 *
 * Columns are packed in panels of the kernel's nr, the last one filled up with zeros. The layout of a panel
 * is its kernel's: [depth][nr] for gemm_f32, [nr][depth rounded up to 16] for gemm_dot_f32, [depth /
 * k_step, rounded up][nr][k_step] for gemm_split_f32.
 */
#ifndef CI_PACK_H
#define CI_PACK_H

#include "conv_infer/microkernel.h"

/* Elements that ci_pack_gemm_f32() writes. CI_ERROR_ARGUMENT where a size is not positive or the kernel is no
 * float32 GEMM, CI_ERROR_OVERFLOW where the bytes do not fit an int64_t. */
ci_status ci_packed_gemm_f32_elems(const ci_kernel *kernel, int32_t columns, int32_t depth, int64_t *elems);

void ci_pack_gemm_f32(const ci_kernel *kernel, const void *weights, int64_t row_stride, int32_t columns,
                      int32_t depth, const int32_t *depth_order, float *packed);

/* The same for 3x3 filters in Winograd's form: U = G g G' with
 *
 *     G = [ 1    0    0   ]
 *         [ 1/2  1/2  1/2 ]
 *         [ 1/2 -1/2  1/2 ]
 *         [ 0    0    1   ]
 *
 * computed in double precision and rounded once. Element (n, ky, kx, k) of the weights lies at n * strides[0]
 * + ky * strides[1] + kx * strides[2] + k * strides[3]. Packed: for each panel of at most nr columns, [16
 * positions][depth][nr]. */
void ci_pack_winograd_f32(const ci_kernel *kernel, const void *weights, const int64_t strides[4],
                          int32_t columns, int32_t depth, float *packed);

#endif
