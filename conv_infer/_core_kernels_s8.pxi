# What the int8 kernels and the packing of their weights take, for calling them directly: for the tests and the benchmarks.

from libc.stdint cimport int8_t, int16_t, uint8_t

cdef extern from "conv_infer/microkernel.h":
    enum:
        CI_REQUANTISE_NONE
        CI_REQUANTISE_SCALE
        CI_REQUANTISE_MULTIPLIER
        CI_ROW_SKIPPED
        CI_DEPTHWISE_S8_SLACK
        CI_DEPTHWISE_S8_TAPS
        CI_WINOGRAD_S8_TILES
        CI_OPERATION_gemm_s8
        CI_OPERATION_depthwise_s8
        CI_OPERATION_winograd_s8
    ctypedef struct ci_residual_s8:
        const uint8_t *data
        const int32_t *row
        float scale, data_scale, constant
        int32_t origin, data_origin, out_origin
        int32_t minimum, maximum
    ctypedef struct ci_requantise:
        int32_t rule
        const float *scale
        const int32_t *multiplier
        const int32_t *shift
        int32_t zero_point
        int32_t minimum, maximum
        int32_t flip
        ci_residual_s8 residual
    ctypedef struct ci_gemm_s8_args:
        int32_t rows, columns, k_blocks
        const uint8_t *a
        const int32_t *a_row
        const int32_t *a_depth
        const void *b
        const int32_t *bias
        const int32_t *a_sum
        const int32_t *b_zero
        void *c
        const int32_t *c_row
        ci_requantise requantise
        const void *prefetch
        int64_t prefetch_bytes
    ctypedef void ci_gemm_s8_fn(const ci_gemm_s8_args *args) noexcept nogil
    ctypedef struct ci_depthwise_s8_args:
        int32_t channels, height, width
        int32_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x
        const uint8_t *a
        const int32_t *a_row
        int64_t a_pixel_stride
        const void *b
        const int32_t *bias
        void *c
        int64_t c_row_stride, c_pixel_stride
        ci_requantise requantise
    ctypedef void ci_depthwise_s8_fn(const ci_depthwise_s8_args *args) noexcept nogil
    ctypedef struct ci_winograd_s8_args:
        int32_t tiles, depth, columns
        const uint8_t *a
        const int32_t *a_tile
        int64_t a_row_stride, a_pixel_stride
        const void *b
        const int32_t *bias
        uint8_t *c
        const int32_t *c_tile
        const uint8_t *c_stored
        int64_t c_row_stride, c_pixel_stride
        ci_requantise requantise
        int64_t residual_row_stride, residual_pixel_stride
        void *scratch
    ctypedef void ci_winograd_s8_fn(const ci_winograd_s8_args *args) noexcept nogil
    const ci_kernel *ci_kernel_find(ci_operation operation, const char *variant, uint32_t allowed)

cdef extern from "conv_infer/pack_s8.h":
    ctypedef struct ci_weights_s8:
        const void *data
        int32_t is_unsigned
        int64_t column_stride
        const int32_t *depth_offset
        const int32_t *zero_point
    ctypedef struct ci_gemm_shape_s8:
        const ci_kernel *kernel
        int32_t columns, panel_columns, runs, runs_alike
        const int32_t *run_length
    ctypedef struct ci_gemm_size_s8:
        int32_t depth, k_blocks, panels, padded_columns
        int64_t weight_bytes
    ctypedef struct ci_gemm_panel_s8:
        int32_t first_column, columns
        int64_t weight_offset
    ci_status ci_pack_s8_measure(const ci_gemm_shape_s8 *shape, ci_gemm_size_s8 *size)
    ci_gemm_panel_s8 ci_pack_s8_panel(
        const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size, int32_t index) noexcept nogil
    void ci_pack_s8_depth(const ci_gemm_shape_s8 *shape, const int32_t *run_offset, int32_t *a_depth)
    void ci_pack_s8_weights(
        const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size, const ci_weights_s8 *weights, void *packed,
        int32_t *needs_sums)
    void ci_pack_s8_zero_points(
        const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size, const ci_weights_s8 *weights, int32_t *b_zero)
    ci_status ci_pack_s8_bias(
        const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size, const ci_weights_s8 *weights, int32_t a_zero,
        const int32_t *bias, int32_t *folded)
    ctypedef struct ci_depthwise_shape_s8:
        const ci_kernel *kernel
        int32_t channels, kernel_height, kernel_width
    ci_status ci_depthwise_s8_measure(
        const ci_depthwise_shape_s8 *shape, int32_t *padded_channels, int64_t *weight_bytes)
    ci_status ci_depthwise_s8_weights(
        const ci_depthwise_shape_s8 *shape, const void *data, int32_t is_unsigned, const int32_t *zero_point,
        void *packed)
    ci_status ci_depthwise_s8_bias(
        const ci_depthwise_shape_s8 *shape, const void *data, int32_t is_unsigned, const int32_t *zero_point,
        int32_t a_zero, const int32_t *bias, int32_t *folded)
    void ci_depthwise_s8_columns(const ci_depthwise_shape_s8 *shape, const void *values, void *padded)
    ctypedef struct ci_winograd_shape_s8:
        const ci_kernel *kernel
        int32_t columns, depth
    int32_t ci_winograd_s8_fits(const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights)
    ci_status ci_winograd_s8_measure(
        const ci_winograd_shape_s8 *shape, int32_t *padded_columns, int64_t *weight_bytes, int64_t *scratch_bytes)
    void ci_winograd_s8_weights(
        const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights, void *packed) noexcept nogil
    ci_status ci_winograd_s8_bias(
        const ci_winograd_shape_s8 *shape, const ci_weights_s8 *weights, int32_t a_zero, const int32_t *bias,
        int32_t *folded)


cdef void *data_of(array) except? NULL:
    """The address of a NumPy array's first element, or NULL for None. The caller keeps the array."""
    return NULL if array is None else <void *><size_t>array.ctypes.data


def _as(array, dtype):
    """A contiguous, aligned array of this type, or None."""
    import numpy as np

    return None if array is None else np.require(array, dtype, "CA")


def _aligned(size):
    """An array of so many zero bytes at an address that 64 divides."""
    import numpy as np

    return np.frombuffer(Memory(size), np.uint8)


cdef class Requantise:
    """How int32 sums become bytes: ci_requantise, with the arrays it points to."""

    cdef ci_requantise c
    cdef list kept

    def __init__(self, *, scale=None, multiplier=None, shift=None, int zero_point=0, int minimum=0, int maximum=255,
                 int flip=0):
        scale, multiplier, shift = _as(scale, "f4"), _as(multiplier, "i4"), _as(shift, "i4")
        self.kept = [scale, multiplier, shift]
        if scale is not None:
            self.c.rule = CI_REQUANTISE_SCALE
        elif multiplier is not None:
            self.c.rule = CI_REQUANTISE_MULTIPLIER
        else:
            self.c.rule = CI_REQUANTISE_NONE
        self.c.scale = <const float *>data_of(scale)
        self.c.multiplier = <const int32_t *>data_of(multiplier)
        self.c.shift = <const int32_t *>data_of(shift)
        self.c.zero_point, self.c.minimum, self.c.maximum, self.c.flip = zero_point, minimum, maximum, flip

    def add(self, data, row, *, float scale, float data_scale, float constant, int origin=0, int data_origin=0,
            int out_origin=0, int minimum=0, int maximum=255):
        """Adds a residual (ci_residual_s8); `data` is uint8, `row` int32."""
        row = _as(row, "i4")
        self.kept += [data, row]
        self.c.residual.data = <const uint8_t *>data_of(data)
        self.c.residual.row = <const int32_t *>data_of(row)
        self.c.residual.scale, self.c.residual.data_scale = scale, data_scale
        self.c.residual.constant = constant
        self.c.residual.origin, self.c.residual.data_origin, self.c.residual.out_origin = origin, data_origin, out_origin
        self.c.residual.minimum, self.c.residual.maximum = minimum, maximum
        return self
