# int8 matrix products, packed and called directly.

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
