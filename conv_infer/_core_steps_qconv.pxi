# Steps of src/steps/qconv.h, and the packing of their weights into the weights slot.

from libc.math cimport fmaf

cdef extern from "conv_infer/pack_s8.h":
    int32_t ci_pack_s8_needs_sums(const ci_gemm_shape_s8 *shape, const ci_gemm_size_s8 *size,
                                  const ci_weights_s8 *weights)

cdef extern from "steps/qconv.h":
    ctypedef struct ci_qconv_panel:
        int32_t first_column, columns
        int32_t depth_first, k_blocks
        int64_t input_offset, weights_offset, parameter
        int32_t is_sums
    ctypedef struct ci_qconv:
        const ci_kernel *kernel
        ci_ref input, weights, bias, scale, weight_zero, output, residual
        int32_t images, height, width, row_windows
        ci_row_strides input_strides, output_strides, residual_strides
        int32_t depth_count
        const int32_t *depth_offsets
        int32_t panels
        const ci_qconv_panel *panel
        int64_t parameters
        ci_requantise requantise
        int32_t rows_per_task, panels_per_task, gathers
        const int32_t *picked
        int32_t picked_count
        uint32_t allowed
    ci_status ci_add_qconv(ci_program *program, const ci_qconv *conv)


cdef ci_weights_s8 source_of_weights(
    weights, int64_t depth, const int32_t[::1] depth_offset, const int32_t[::1] zero_point
) except *:
    """Where `depth` weights of each column lie: see ByteWeights. The caller keeps the arrays."""
    cdef ci_weights_s8 source
    cdef int64_t lowest = 0, highest = 0, columns = weights.shape[0]
    cdef Py_ssize_t k
    if weights.itemsize != 1 or weights.dtype.kind not in "iu":
        raise TypeError(f"weights are {weights.dtype}, not int8 or uint8")
    if zero_point is not None and zero_point.shape[0] != columns:
        raise ValueError("as many zero points as columns are needed")
    for size, stride in zip(weights.shape[1:], weights.strides[1:]):
        lowest += min(0, (size - 1) * stride)
        highest += max(0, (size - 1) * stride)
    source.depth_offset = source.zero_point = NULL
    if depth_offset is None:
        if depth != weights.size // columns or not weights[0].flags.c_contiguous:
            raise ValueError(f"weights {weights.shape} are no contiguous runs of {depth} bytes")
    else:
        if depth_offset.shape[0] != depth:
            raise ValueError(f"runs of {depth} bytes for {depth_offset.shape[0]} weights")
        for k in range(depth_offset.shape[0]):
            if not lowest <= depth_offset[k] <= highest:
                raise ValueError(f"depth_offset[{k}] = {depth_offset[k]} leaves the weights")
        source.depth_offset = &depth_offset[0]
    source.data = <const void *><size_t>weights.__array_interface__["data"][0]
    source.is_unsigned = weights.dtype.kind == "u"
    source.column_stride = weights.strides[0]
    if zero_point is not None:
        source.zero_point = &zero_point[0]
    return source


cdef class ByteWeights:
    """int8 or uint8 weights of one group, packed for a gemm_s8 kernel.

    `weights` is an array [columns, ...]; element k of a column's depth lies `depth_offset[k]` bytes behind the column's
    first element (None: the elements are contiguous and in order). Depth comes in runs of `run_length` consecutive bytes
    of the input. `zero_point` is int32 [columns], or None: all 0. Raises `ConvInferError` where sizes overflow.
    """

    cdef readonly object weights, depth_offset, run_length, zero_point
    cdef readonly int k_blocks, padded_columns
    cdef readonly int64_t nbytes
    cdef readonly list panels
    cdef readonly bint needs_sums
    cdef ci_gemm_shape_s8 shape
    cdef ci_gemm_size_s8 size
    cdef ci_weights_s8 source

    def __init__(self, Kernel kernel, weights, const int32_t[::1] run_length, const int32_t[::1] depth_offset=None,
                 const int32_t[::1] zero_point=None):
        cdef int64_t columns = weights.shape[0]
        if run_length.shape[0] < 1 or not 0 < columns <= 0x7FFFFFFF or weights.size == 0:
            raise ConvInferError("packing int8 weights: a size is impossible")
        self.weights, self.depth_offset = weights, depth_offset
        self.run_length, self.zero_point = run_length, zero_point
        self.shape.kernel = kernel.entry
        self.shape.columns, self.shape.runs = <int32_t>columns, <int32_t>run_length.shape[0]
        self.shape.run_length = &run_length[0]
        check(ci_pack_s8_measure(&self.shape, &self.size), "packing int8 weights")
        self.source = source_of_weights(weights, self.size.depth, depth_offset, zero_point)
        self.needs_sums = ci_pack_s8_needs_sums(&self.shape, &self.size, &self.source)
        self.k_blocks, self.padded_columns = self.size.k_blocks, self.size.padded_columns
        self.nbytes = self.size.weight_bytes
        self.panels = []
        cdef ci_gemm_panel_s8 panel
        for k in range(self.size.panels):
            panel = ci_pack_s8_panel(&self.shape, &self.size, k)
            self.panels.append((panel.first_column, panel.columns, panel.weight_offset))

    def pack(self, Memory memory, int64_t offset) -> None:
        """Packs into `memory` from a byte offset on."""
        cdef int32_t needs_sums = 0
        cdef char *packed = <char *>piece_of(memory, offset, self.nbytes)
        if <size_t>packed % 64:
            raise ValueError("packed weights are aligned to 64 bytes")
        ci_pack_s8_weights(&self.shape, &self.size, &self.source, packed, &needs_sums)

    def pack_bias(self, const int32_t[::1] bias, int32_t input_zero, int32_t[::1] folded) -> None:
        """Writes the bias (int32 [columns], or None) with the zero points folded in, int32 [padded_columns].
        `input_zero` is the input's zero point in unsigned terms. Raises `ConvInferError` where some image could bring a
        sum out of int32."""
        if folded.shape[0] != self.padded_columns or (bias is not None and bias.shape[0] != self.shape.columns):
            raise ValueError(f"{self.shape.columns} biases become {self.padded_columns}")
        cdef const int32_t *given = NULL
        if bias is not None:
            given = &bias[0]
        cdef ci_status status = ci_pack_s8_bias(&self.shape, &self.size, &self.source, input_zero, given, &folded[0])
        if status == CI_ERROR_OVERFLOW:
            raise UnsupportedError(f"sums of {self.size.depth} products may leave int32")
        check(status, "folding zero points into the bias")

    def pack_zero_points(self, int32_t[::1] zero_points) -> None:
        """Writes the zero points of the stored weights, int32 [padded_columns]."""
        if zero_points.shape[0] != self.padded_columns:
            raise ValueError(f"there are {self.padded_columns} columns")
        ci_pack_s8_zero_points(&self.shape, &self.size, &self.source, &zero_points[0])

    def depth_table(self, const int32_t[::1] run_offset, int32_t[::1] table) -> None:
        """Writes a_depth, int32 [k_blocks], of runs that begin at these bytes."""
        if run_offset.shape[0] != self.shape.runs or table.shape[0] != self.k_blocks:
            raise ValueError(f"{self.shape.runs} runs make {self.k_blocks} blocks")
        ci_pack_s8_depth(&self.shape, &run_offset[0], &table[0])


def add_qconv(
    Program program,
    *,
    Kernel kernel,
    tuple input,
    tuple weights,
    tuple bias,
    tuple scale,
    tuple weight_zero,
    tuple output,
    tuple residual,
    tuple output_shape,
    int row_windows,
    tuple input_strides,
    tuple output_strides,
    tuple residual_strides,
    const int32_t[::1] depth_offsets,
    list panels,
    int64_t parameters,
    Requantise requantise,
    int rows_per_task,
    int panels_per_task,
    bint gathers,
    const int32_t[::1] picked,
    uint32_t allowed,
) -> None:
    """Appends an int8 convolution over unsigned bytes. `output_shape` is (images, height, width); strides are (image,
    row, pixel) in elements, the input's from one window to the next; `panels` is a list of (first column, columns,
    first depth, k_blocks, input offset, weights offset, parameter, is sums); `picked` may be None: see
    src/steps/qconv.h."""
    cdef ci_qconv conv
    cdef ci_qconv_panel *panel = <ci_qconv_panel *>calloc(len(panels) or 1, sizeof(ci_qconv_panel))
    if panel == NULL:
        raise MemoryError
    try:
        for index, entry in enumerate(panels):
            panel[index].first_column, panel[index].columns = entry[0], entry[1]
            panel[index].depth_first, panel[index].k_blocks = entry[2], entry[3]
            panel[index].input_offset, panel[index].weights_offset = entry[4], entry[5]
            panel[index].parameter, panel[index].is_sums = entry[6], entry[7]
        conv.kernel = kernel.entry
        conv.input, conv.weights, conv.bias = ref_of(input), ref_of(weights), ref_of(bias)
        conv.scale, conv.weight_zero = ref_of(scale), ref_of(weight_zero)
        conv.output, conv.residual = ref_of(output), ref_of(residual)
        conv.images, conv.height, conv.width = output_shape
        conv.row_windows = row_windows
        conv.input_strides = row_strides_of(input_strides)
        conv.output_strides = row_strides_of(output_strides)
        conv.residual_strides = row_strides_of(residual_strides)
        conv.depth_count, conv.depth_offsets = depth_offsets.shape[0], &depth_offsets[0]
        conv.panels, conv.panel = len(panels), panel
        conv.parameters = parameters
        conv.requantise = requantise.c
        conv.rows_per_task, conv.panels_per_task, conv.gathers = rows_per_task, panels_per_task, gathers
        conv.picked, conv.picked_count, conv.allowed = NULL, 0, allowed
        if picked is not None:
            conv.picked, conv.picked_count = &picked[0], picked.shape[0]
        check(ci_add_qconv(program.program, &conv), "int8 convolution")
    finally:
        free(panel)


def fused_multiply_add(float a, float b, float c) -> float:
    """a * b + c in float32, rounded once."""
    return fmaf(a, b, c)
