# The int8 kernels and the packing of their weights, called directly: for the planner, the tests and the benchmarks.

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
    """A contiguous array of this type, or None."""
    import numpy as np

    return None if array is None else np.ascontiguousarray(array, dtype)


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


cdef class PackedGemm:
    """The weights of one int8 GEMM (one group's) packed for a kernel.

    `weights` is [columns, depth] int8 or uint8, C-contiguous; the depth comes in runs of `run_length` consecutive
    bytes of A. `zero_point` [columns] is the weights', `a_zero` that of A in unsigned terms, `bias` [columns] int32 or
    None. Attributes: `weights` (uint8, aligned to 64 bytes), `bias` and `b_zero` [padded_columns] int32 (`b_zero` is
    None where no sums of A are needed), `panels` [(first column, columns, byte offset)], `k_blocks`.
    """

    cdef readonly object weights, bias, b_zero, run_length
    cdef readonly list panels
    cdef readonly int depth, k_blocks, padded_columns
    cdef ci_gemm_shape_s8 shape
    cdef ci_gemm_size_s8 size

    def __init__(self, Kernel kernel, weights, run_length, *, zero_point=None, int a_zero=0, bias=None,
                 int panel_columns=0):
        import numpy as np

        self.run_length = run_length = _as(run_length, "i4")
        weights, zero_point, bias = np.ascontiguousarray(weights), _as(zero_point, "i4"), _as(bias, "i4")
        self.shape.kernel = kernel.entry
        self.shape.columns, self.shape.panel_columns, self.shape.runs = len(weights), panel_columns, len(run_length)
        self.shape.run_length = <const int32_t *>data_of(run_length)
        check(ci_pack_s8_measure(&self.shape, &self.size), "packing int8 weights")
        self.depth, self.k_blocks, self.padded_columns = self.size.depth, self.size.k_blocks, self.size.padded_columns
        if weights.dtype not in (np.int8, np.uint8) or weights.shape != (self.shape.columns, self.depth):
            raise ValueError(f"weights {weights.dtype}{list(weights.shape)}, not int8 or uint8 [columns, {self.depth}]")
        cdef ci_weights_s8 source
        source.data = data_of(weights)
        source.is_unsigned, source.column_stride = weights.dtype == np.uint8, self.depth
        source.depth_offset, source.zero_point = NULL, <const int32_t *>data_of(zero_point)
        self.weights = _aligned(self.size.weight_bytes)
        self.bias = np.empty(self.padded_columns, np.int32)
        cdef int32_t needs_sums = 0
        ci_pack_s8_weights(&self.shape, &self.size, &source, <void *>data_of(self.weights), &needs_sums)
        check(
            ci_pack_s8_bias(
                &self.shape, &self.size, &source, a_zero, <const int32_t *>data_of(bias),
                <int32_t *>data_of(self.bias)),
            "folding zero points into the bias: sums that may leave int32")
        if needs_sums:
            self.b_zero = np.empty(self.padded_columns, np.int32)
            ci_pack_s8_zero_points(&self.shape, &self.size, &source, <int32_t *>data_of(self.b_zero))
        self.panels = []
        cdef ci_gemm_panel_s8 panel
        for index in range(self.size.panels):
            panel = ci_pack_s8_panel(&self.shape, &self.size, index)
            self.panels.append((panel.first_column, panel.columns, panel.weight_offset))

    def depth_table(self, run_offset):
        """a_depth [k_blocks] int32 of runs that begin at these bytes."""
        import numpy as np

        run_offset, table = _as(run_offset, "i4"), np.empty(self.k_blocks, np.int32)
        if len(run_offset) != self.shape.runs:
            raise ValueError("as many offsets as runs are needed")
        ci_pack_s8_depth(&self.shape, <const int32_t *>data_of(run_offset), <int32_t *>data_of(table))
        return table

    def run(self, a, a_row, a_depth, c, c_row, Requantise requantise, a_sum=None, int repeat=1):
        """Computes every panel: `c` (uint8, or int32 for raw sums) at c_row[m] + n. Nothing is checked: for tests and
        benchmarks. `a` is uint8; tables are int32."""
        a_row, a_depth, c_row, a_sum = _as(a_row, "i4"), _as(a_depth, "i4"), _as(c_row, "i4"), _as(a_sum, "i4")
        cdef ci_gemm_s8_args args, panel_args
        args.rows, args.k_blocks = len(a_row), self.k_blocks
        args.a, args.a_row = <const uint8_t *>data_of(a), <const int32_t *>data_of(a_row)
        args.a_depth, args.c_row = <const int32_t *>data_of(a_depth), <const int32_t *>data_of(c_row)
        args.a_sum = <const int32_t *>data_of(a_sum)
        args.requantise, args.prefetch = requantise.c, NULL
        cdef const char *weights = <const char *>data_of(self.weights)
        cdef const int32_t *bias = <const int32_t *>data_of(self.bias)
        cdef const int32_t *b_zero = <const int32_t *>data_of(self.b_zero)
        cdef char *output = <char *>data_of(c)
        cdef int item = 4 if requantise.c.rule == CI_REQUANTISE_NONE else 1
        cdef ci_gemm_panel_s8 panel
        cdef int32_t index
        cdef int again
        with nogil:
            for again in range(repeat):
                for index in range(self.size.panels):
                    panel = ci_pack_s8_panel(&self.shape, &self.size, index)
                    panel_args = args
                    panel_args.columns = panel.columns
                    panel_args.b = weights + panel.weight_offset
                    panel_args.bias = bias + panel.first_column
                    panel_args.b_zero = b_zero + panel.first_column if b_zero != NULL else NULL
                    panel_args.c = output + panel.first_column * item
                    panel_args.requantise = shifted(&args.requantise, panel.first_column)
                    (<ci_gemm_s8_fn *>self.shape.kernel.function)(&panel_args)


cdef ci_requantise shifted(const ci_requantise *requantise, int32_t column) noexcept nogil:
    """The same for the columns from `column` on."""
    cdef ci_requantise result = requantise[0]
    if result.scale != NULL:
        result.scale += column
    if result.multiplier != NULL:
        result.multiplier += column
        result.shift += column
    if result.residual.data != NULL:
        result.residual.data += column
    return result


cdef class PackedDepthwise:
    """The weights of one int8 depthwise convolution packed for a kernel.

    `weights` is [kernel height, kernel width, channels] int8 or uint8; `zero_point` [channels] is the weights',
    `a_zero` that of the input in unsigned terms, `bias` [channels] int32 or None. Raises ConvInferError where weights
    less their zero points do not fit the kernel's. Attributes: `weights`, `bias` in the kernel's order of channels.
    """

    cdef readonly object weights, bias
    cdef readonly Kernel kernel
    cdef readonly int padded_channels
    cdef ci_depthwise_shape_s8 shape

    def __init__(self, Kernel kernel, weights, *, zero_point=None, int a_zero=0, bias=None):
        import numpy as np

        weights, zero_point, bias = np.ascontiguousarray(weights), _as(zero_point, "i4"), _as(bias, "i4")
        if weights.dtype not in (np.int8, np.uint8) or weights.ndim != 3:
            raise ValueError(f"weights {weights.dtype}{list(weights.shape)}, not int8 or uint8 [height, width, channels]")
        self.kernel = kernel
        self.shape.kernel = kernel.entry
        self.shape.kernel_height, self.shape.kernel_width, self.shape.channels = weights.shape
        cdef int32_t padded = 0, is_unsigned = weights.dtype == np.uint8
        cdef int64_t weight_bytes = 0
        check(ci_depthwise_s8_measure(&self.shape, &padded, &weight_bytes), "packing int8 depthwise weights")
        self.padded_channels = padded
        self.weights, self.bias = _aligned(weight_bytes), np.empty(padded, np.int32)
        cdef const int32_t *zeros = <const int32_t *>data_of(zero_point)
        check(
            ci_depthwise_s8_weights(&self.shape, data_of(weights), is_unsigned, zeros, data_of(self.weights)),
            "depthwise weights less their zero points do not fit this kernel's 8 bits")
        check(
            ci_depthwise_s8_bias(
                &self.shape, data_of(weights), is_unsigned, zeros, a_zero, <const int32_t *>data_of(bias),
                <int32_t *>data_of(self.bias)),
            "folding zero points into the bias: sums that may leave int32")

    def columns(self, values):
        """32-bit values of each channel in the kernel's order, [padded_channels]."""
        import numpy as np

        values = np.ascontiguousarray(values)
        if values.dtype.itemsize != 4 or values.shape != (self.shape.channels,):
            raise ValueError("one 32-bit value of each channel is needed")
        padded = np.empty(self.padded_channels, values.dtype)
        ci_depthwise_s8_columns(&self.shape, data_of(values), data_of(padded))
        return padded

    def run(self, a, a_row, int64_t a_pixel_stride, c, int height, int width, int64_t c_row_stride,
            int64_t c_pixel_stride, stride, dilation, Requantise requantise, int repeat=1):
        """Computes height x width outputs. Nothing is checked: for tests and benchmarks."""
        a_row = _as(a_row, "i4")
        cdef ci_depthwise_s8_args args
        args.channels, args.height, args.width = self.shape.channels, height, width
        args.kernel_height, args.kernel_width = self.shape.kernel_height, self.shape.kernel_width
        args.stride_y, args.stride_x = stride
        args.dilation_y, args.dilation_x = dilation
        args.a, args.a_row = <const uint8_t *>data_of(a), <const int32_t *>data_of(a_row)
        args.a_pixel_stride = a_pixel_stride
        args.b, args.bias = data_of(self.weights), <const int32_t *>data_of(self.bias)
        args.c, args.c_row_stride, args.c_pixel_stride = data_of(c), c_row_stride, c_pixel_stride
        args.requantise = requantise.c
        cdef int again
        with nogil:
            for again in range(repeat):
                (<ci_depthwise_s8_fn *>self.shape.kernel.function)(&args)


cdef class PackedWinograd:
    """The weights of one int8 3x3 convolution transformed and packed for a Winograd kernel.

    `weights` is OHWI [columns, 3, 3, depth] int8 or uint8; `zero_point` [columns] is the weights', `a_zero` that of
    the input in unsigned terms, `bias` [columns] int32 or None. Raises ConvInferError where sums could leave the range
    that keeps the result exact. Attributes: `weights`, `bias`, `padded_columns`, `scratch_bytes`.
    """

    cdef readonly object weights, bias
    cdef readonly int padded_columns
    cdef readonly int64_t scratch_bytes
    cdef ci_winograd_shape_s8 shape

    def __init__(self, Kernel kernel, weights, *, zero_point=None, int a_zero=0, bias=None):
        import numpy as np

        weights, zero_point, bias = np.ascontiguousarray(weights), _as(zero_point, "i4"), _as(bias, "i4")
        if weights.dtype not in (np.int8, np.uint8) or weights.ndim != 4 or weights.shape[1:3] != (3, 3):
            raise ValueError(f"weights {weights.dtype}{list(weights.shape)}, not int8 or uint8 [columns, 3, 3, depth]")
        self.shape.kernel, self.shape.columns, self.shape.depth = kernel.entry, weights.shape[0], weights.shape[3]
        cdef int32_t padded = 0
        cdef int64_t weight_bytes = 0, scratch_bytes = 0
        check(ci_winograd_s8_measure(&self.shape, &padded, &weight_bytes, &scratch_bytes), "packing Winograd weights")
        self.padded_columns, self.scratch_bytes = padded, scratch_bytes
        cdef ci_weights_s8 source
        source.data, source.is_unsigned = data_of(weights), weights.dtype == np.uint8
        source.column_stride, source.depth_offset = 9 * self.shape.depth, NULL
        source.zero_point = <const int32_t *>data_of(zero_point)
        if not ci_winograd_s8_fits(&self.shape, &source):
            raise ConvInferError("Winograd: four times a sum may leave int32")
        self.weights, self.bias = _aligned(weight_bytes), np.empty(padded, np.int32)
        ci_winograd_s8_weights(&self.shape, &source, data_of(self.weights))
        check(
            ci_winograd_s8_bias(
                &self.shape, &source, a_zero, <const int32_t *>data_of(bias), <int32_t *>data_of(self.bias)),
            "folding zero points into the bias: sums that may leave int32")

    def run(self, a, int64_t a_row_stride, int64_t a_pixel_stride, c, int height, int width, int64_t c_row_stride,
            int64_t c_pixel_stride, Requantise requantise, int repeat=1):
        """Computes height x width outputs from an image of (height + 2 rounded up to even) x (likewise) pixels.
        Nothing is checked: for tests and benchmarks."""
        import numpy as np

        tiles_y, tiles_x = (height + 1) // 2, (width + 1) // 2
        y, x = (grid.ravel() for grid in np.mgrid[:tiles_y, :tiles_x])
        a_tile = _as(2 * (y * a_row_stride + x * a_pixel_stride), "i4")
        c_tile = _as(2 * (y * c_row_stride + x * c_pixel_stride), "i4")
        right, lower = 2 * x + 1 < width, 2 * y + 1 < height
        stored = _as(1 + 2 * right + 4 * lower + 8 * (right & lower), "u1")
        scratch = _aligned(self.scratch_bytes)
        cdef ci_winograd_s8_args args
        args.depth, args.columns = self.shape.depth, self.shape.columns
        args.a, args.a_row_stride, args.a_pixel_stride = <const uint8_t *>data_of(a), a_row_stride, a_pixel_stride
        args.b, args.bias = data_of(self.weights), <const int32_t *>data_of(self.bias)
        args.c, args.c_row_stride, args.c_pixel_stride = <uint8_t *>data_of(c), c_row_stride, c_pixel_stride
        args.requantise, args.scratch = requantise.c, data_of(scratch)
        cdef const int32_t *a_tiles = <const int32_t *>data_of(a_tile)
        cdef const int32_t *c_tiles = <const int32_t *>data_of(c_tile)
        cdef const uint8_t *stores = <const uint8_t *>data_of(stored)
        cdef int32_t tiles = tiles_y * tiles_x, first
        cdef int again
        with nogil:
            for again in range(repeat):
                first = 0
                while first < tiles:
                    args.tiles = min(tiles - first, <int32_t>CI_WINOGRAD_S8_TILES)
                    args.a_tile, args.c_tile, args.c_stored = a_tiles + first, c_tiles + first, stores + first
                    (<ci_winograd_s8_fn *>self.shape.kernel.function)(&args)
                    first += CI_WINOGRAD_S8_TILES
