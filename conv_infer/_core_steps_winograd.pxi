# Steps of src/steps/winograd_s8.h, and the transformation of their weights into the weights slot.

cdef extern from "steps/winograd_s8.h":
    ctypedef struct ci_winograd_s8:
        const ci_kernel *kernel
        ci_ref input, weights, bias, scale, output, residual
        int32_t images, height, width, depth, columns
        ci_row_strides input_strides, output_strides, residual_strides
        ci_requantise requantise
        int32_t tiles_per_task, columns_per_task
    ci_status ci_add_winograd_s8(ci_program *program, const ci_winograd_s8 *conv)


cdef class WinogradWeights:
    """int8 or uint8 weights [columns, 3, 3, depth] of a convolution, transformed and packed for a winograd_s8 kernel.

    Element k (in row-major order) of a column lies `depth_offset[k]` bytes behind the column's first element (None: they
    are contiguous). `zero_point` is int32 [columns], or None: all 0. `fits`: no image brings a sum out of the range in
    which the result is exact. Raises `ConvInferError` where sizes overflow.
    """

    cdef readonly object weights, depth_offset, zero_point
    cdef readonly int padded_columns
    cdef readonly int64_t nbytes, scratch_bytes
    cdef ci_winograd_shape_s8 shape
    cdef ci_weights_s8 source

    def __init__(self, Kernel kernel, weights, const int32_t[::1] depth_offset=None,
                 const int32_t[::1] zero_point=None):
        if weights.ndim != 4 or weights.shape[1:3] != (3, 3) or not 0 < weights.shape[0] <= 0x7FFFFFFF:
            raise ValueError(f"weights are {list(weights.shape)}, not [columns, 3, 3, depth]")
        self.weights, self.depth_offset, self.zero_point = weights, depth_offset, zero_point
        self.shape.kernel, self.shape.columns, self.shape.depth = kernel.entry, weights.shape[0], weights.shape[3]
        cdef int32_t padded = 0
        check(ci_winograd_s8_measure(&self.shape, &padded, &self.nbytes, &self.scratch_bytes),
              "packing Winograd weights")
        self.padded_columns = padded
        self.source = source_of_weights(weights, 9 * weights.shape[3], depth_offset, zero_point)

    @property
    def fits(self) -> bool:
        return bool(ci_winograd_s8_fits(&self.shape, &self.source))

    def pack(self, Memory memory, int64_t offset) -> None:
        """Packs into `memory` from a byte offset on."""
        cdef char *packed = <char *>piece_of(memory, offset, self.nbytes)
        if <size_t>packed % 64:
            raise ValueError("packed weights are aligned to 64 bytes")
        with nogil:
            ci_winograd_s8_weights(&self.shape, &self.source, packed)

    def pack_bias(self, const int32_t[::1] bias, int32_t input_zero, int32_t[::1] folded) -> None:
        """Writes the bias (int32 [columns], or None) with the zero points folded in, int32 [padded_columns].
        `input_zero` is the input's zero point in unsigned terms. Raises `UnsupportedError` where some image could bring
        a sum out of int32."""
        if folded.shape[0] != self.padded_columns or (bias is not None and bias.shape[0] != self.shape.columns):
            raise ValueError(f"{self.shape.columns} biases become {self.padded_columns}")
        cdef const int32_t *given = NULL
        if bias is not None:
            given = &bias[0]
        cdef ci_status status = ci_winograd_s8_bias(&self.shape, &self.source, input_zero, given, &folded[0])
        if status == CI_ERROR_OVERFLOW:
            raise UnsupportedError(f"sums of {9 * self.shape.depth} products may leave int32")
        check(status, "folding zero points into the bias")


def add_winograd(
    Program program,
    *,
    Kernel kernel,
    tuple input,
    tuple weights,
    tuple bias,
    tuple scale,
    tuple output,
    tuple residual,
    tuple output_shape,
    int depth,
    tuple input_strides,
    tuple output_strides,
    tuple residual_strides,
    Requantise requantise,
    int tiles_per_task,
    int columns_per_task,
) -> None:
    """Appends a 3x3 int8 convolution over unsigned bytes. `output_shape` is NHWC; strides are (image, row, pixel) in
    elements: see src/steps/winograd_s8.h."""
    cdef ci_winograd_s8 conv
    conv.kernel = kernel.entry
    conv.input, conv.weights, conv.bias = ref_of(input), ref_of(weights), ref_of(bias)
    conv.scale, conv.output, conv.residual = ref_of(scale), ref_of(output), ref_of(residual)
    conv.images, conv.height, conv.width, conv.columns = output_shape
    conv.depth = depth
    conv.input_strides = row_strides_of(input_strides)
    conv.output_strides = row_strides_of(output_strides)
    conv.residual_strides = row_strides_of(residual_strides)
    conv.requantise = requantise.c
    conv.tiles_per_task, conv.columns_per_task = tiles_per_task, columns_per_task
    check(ci_add_winograd_s8(program.program, &conv), "int8 Winograd convolution")
