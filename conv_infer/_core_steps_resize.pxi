# Steps of src/steps/resize.h and matmul.h.

cdef extern from "steps/resize.h":
    ctypedef struct ci_resize_table:
        const int32_t *first
        const int32_t *second
        const float *first_weight
        const float *second_weight
    ctypedef struct ci_resize:
        int32_t is_linear, element_bytes
        ci_ref y_ref, x_ref
        ci_image y, x
        ci_resize_table rows, columns
        int32_t threads
        uint32_t allowed
    ci_status ci_add_resize(ci_program *program, const ci_resize *resize)

cdef extern from "steps/matmul.h":
    ctypedef struct ci_matmul:
        int32_t rank
        int64_t shape[CI_MAX_RANK]
        int64_t depth
        ci_view y, a, b
        float alpha
        int32_t threads
        uint32_t allowed
    ci_status ci_add_matmul(ci_program *program, const ci_matmul *matmul)


cdef ci_resize_table resize_table_of(tuple table, Py_ssize_t size, bint is_linear) except *:
    cdef const int32_t[::1] first = table[0], second = table[1]
    cdef const float[::1] first_weight = table[2], second_weight = table[3]
    cdef ci_resize_table result
    cdef bint fits = first.shape[0] == size
    if is_linear:
        fits = fits and second.shape[0] == first_weight.shape[0] == second_weight.shape[0] == size
    if not fits:
        raise ConvInferError("resize: a table has another length than the output's side")
    result.first = &first[0] if size else NULL
    result.second = &second[0] if size and is_linear else NULL
    result.first_weight = &first_weight[0] if size and is_linear else NULL
    result.second_weight = &second_weight[0] if size and is_linear else NULL
    return result


def add_resize(
    Program program,
    *,
    bint linear,
    int element_bytes,
    tuple y,
    tuple x,
    tuple rows,
    tuple columns,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends a resize of NHWC images, nearest (any element) or linear (float32). `y` and `x` are (ref, NHWC shape,
    (image, row, pixel) strides in elements); `rows` and `columns` are tables (first, second, their weights) for each
    output row and column: two int32 and two float32 arrays."""
    cdef ci_resize step
    step.is_linear, step.element_bytes = linear, element_bytes
    step.y_ref, step.x_ref = ref_of(y[0]), ref_of(x[0])
    step.y, step.x = image_of(y[1], y[2]), image_of(x[1], x[2])
    step.rows = resize_table_of(rows, max(step.y.height, 0), linear)
    step.columns = resize_table_of(columns, max(step.y.width, 0), linear)
    step.threads, step.allowed = threads, allowed
    check(ci_add_resize(program.program, &step), "resize")


def add_matmul(
    Program program,
    *,
    tuple shape,
    int64_t depth,
    tuple y,
    tuple a,
    tuple b,
    float alpha,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends y = alpha * a @ b, float32; `shape` is that of y, the views are (ref, strides in elements), 0 where a batch
    axis is broadcast."""
    cdef ci_matmul step
    step.rank = axes_of(shape, step.shape, "matrix product")
    step.depth, step.alpha = depth, alpha
    view_of(y, step.rank, &step.y, "matrix product")
    view_of(a, step.rank, &step.a, "matrix product")
    view_of(b, step.rank, &step.b, "matrix product")
    step.threads, step.allowed = threads, allowed
    check(ci_add_matmul(program.program, &step), "matrix product")
