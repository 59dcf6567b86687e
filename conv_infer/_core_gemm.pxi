# A GEMM kernel by itself, on arrays: for tests and benchmarks.

cdef extern from "conv_infer/microkernel.h":
    ctypedef enum:
        CI_OPERATION_gemm_f32
        CI_OPERATION_gemm_dot_f32
        CI_OPERATION_gemm_split_f32
    ctypedef enum:
        CI_ACTIVATION_LAST_FUSED
    ctypedef struct ci_gemm_f32_args:
        int32_t rows, columns, depth
        const float *a
        const int32_t *a_row
        const int32_t *a_depth
        int32_t a_is_contiguous
        const float *b
        const float *bias
        const float *start
        float *sums
        float *c
        const int32_t *c_row
        const float *residual
        const int32_t *residual_row
        ci_activation activation
        const void *prefetch
        int64_t prefetch_bytes
    ctypedef void ci_gemm_f32_fn(const ci_gemm_f32_args *args) noexcept nogil


cdef int check_offsets(const int32_t[::1] offsets, int64_t width, int64_t elems, str what) except -1:
    """That every offset and the `width` elements from it on lie inside a buffer."""
    cdef Py_ssize_t index
    for index in range(offsets.shape[0]):
        if offsets[index] < 0 or offsets[index] + width > elems:
            raise ValueError(f"{what}[{index}] = {offsets[index]} leaves its buffer of {elems} elements")
    return 0


def run_gemm_f32(
    Kernel kernel,
    const float[::1] a,
    const int32_t[::1] a_row,
    const int32_t[::1] a_depth,
    const float[::1] packed,
    const float[::1] bias,
    float[::1] c,
    const int32_t[::1] c_row,
    int32_t columns,
    const float[::1] residual=None,
    const int32_t[::1] residual_row=None,
    tuple activation=(0, float("-inf"), float("inf")),
    bint reads_table=False,
    const float[:, ::1] start=None,
    float[:, ::1] sums=None,
) -> None:
    """Runs a gemm_f32, gemm_dot_f32 or gemm_split_f32 kernel (include/conv_infer/microkernel.h): c[c_row[m] + n] for len(c_row) rows and
    `columns` <= kernel.nr columns, from a[a_row[m] + a_depth[k]] and the packed panel; `residual` may be c itself.
    Every offset is checked. `reads_table` has a_depth read even where it counts 0, 1, 2, ...; `start` and `sums`
    [rows, nr] are the sums of earlier depths, and where the bare sums go."""
    cdef ci_gemm_f32_args args
    cdef int64_t rows = a_row.shape[0], depth = a_depth.shape[0], k, highest = 0
    cdef ci_gemm_f32_fn *function
    if kernel.entry.operation not in (CI_OPERATION_gemm_f32, CI_OPERATION_gemm_dot_f32, CI_OPERATION_gemm_split_f32):
        raise ValueError(f"{kernel.name} is not a float32 GEMM kernel")
    if rows < 1 or depth < 1 or rows > 0x7FFFFFFF or depth > 0x7FFFFFFF or c_row.shape[0] != rows:
        raise ValueError("rows and depth must be positive and c_row as long as a_row")
    if not 1 <= columns <= kernel.entry.nr or bias.shape[0] < kernel.entry.nr:
        raise ValueError(f"{kernel.name} takes 1 to {kernel.entry.nr} columns, and as many biases")
    if packed.shape[0] < packed_elems(kernel, columns, depth):
        raise ValueError("the packed weights are shorter than a panel")
    args.a_is_contiguous = 1
    for k in range(depth):
        if a_depth[k] < 0:
            raise ValueError(f"a_depth[{k}] is negative")
        highest = max(highest, <int64_t>a_depth[k])
        args.a_is_contiguous &= a_depth[k] == k
    args.a_is_contiguous &= not reads_table
    if kernel.entry.operation != CI_OPERATION_gemm_f32 and not args.a_is_contiguous:
        raise ValueError(f"{kernel.name} needs rows whose depth is contiguous")
    check_offsets(a_row, highest + 1, a.shape[0], "a_row")
    check_offsets(c_row, columns, c.shape[0], "c_row")
    args.activation = activation_of(activation)
    if not 0 <= args.activation.kind <= <int32_t>CI_ACTIVATION_LAST_FUSED:
        raise ValueError("this activation is not fused into GEMM kernels")
    args.residual, args.residual_row = NULL, NULL
    if residual is not None:
        if residual_row is None or residual_row.shape[0] != rows:
            raise ValueError("residual_row must be as long as a_row")
        check_offsets(residual_row, columns, residual.shape[0], "residual_row")
        args.residual, args.residual_row = &residual[0], &residual_row[0]
    args.start, args.sums = NULL, NULL
    if start is not None:
        if start.shape[0] != rows or start.shape[1] != kernel.entry.nr:
            raise ValueError(f"start is [{rows}, {kernel.entry.nr}]")
        args.start = &start[0, 0]
    if sums is not None:
        if sums.shape[0] != rows or sums.shape[1] != kernel.entry.nr:
            raise ValueError(f"sums is [{rows}, {kernel.entry.nr}]")
        args.sums = &sums[0, 0]
    args.rows, args.columns, args.depth = rows, columns, depth
    args.a, args.a_row, args.a_depth = &a[0], &a_row[0], &a_depth[0]
    args.b, args.bias = &packed[0], &bias[0]
    args.c, args.c_row = &c[0], &c_row[0]
    args.prefetch, args.prefetch_bytes = args.b, packed.shape[0] * 4
    function = <ci_gemm_f32_fn *>kernel.entry.function
    with nogil:
        function(&args)
