# int8 convolutions that slide over the image, packed and called directly: depthwise, and Winograd's.

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
