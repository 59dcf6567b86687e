# Steps of src/steps/copy.h, fill.h and gather.h, and the strided views that they share with elementwise steps.

cdef extern from "steps/nest.h":
    cdef enum:
        CI_MAX_RANK
    ctypedef struct ci_view:
        ci_ref ref
        int64_t strides[CI_MAX_RANK]

cdef extern from "steps/copy.h":
    ctypedef struct ci_copy:
        int32_t element_bytes, rank
        int64_t shape[CI_MAX_RANK]
        ci_view y, x
        int32_t threads
        uint32_t allowed
    ci_status ci_add_copy(ci_program *program, const ci_copy *copy)

cdef extern from "steps/fill.h":
    ctypedef struct ci_fill:
        int32_t element_bytes
        uint64_t value
        int32_t rank
        int64_t shape[CI_MAX_RANK]
        int64_t inner_begin[CI_MAX_RANK]
        int64_t inner_end[CI_MAX_RANK]
        ci_view y
        int32_t threads
    ci_status ci_add_fill(ci_program *program, const ci_fill *fill)

cdef extern from "steps/gather.h":
    ctypedef struct ci_gather:
        int32_t element_bytes, rank
        int64_t shape[CI_MAX_RANK]
        ci_view y, x
        int32_t x_channels
        const int32_t *channel
        int32_t threads
        uint32_t allowed
    ci_status ci_add_gather(ci_program *program, const ci_gather *gather)

MAX_RANK = CI_MAX_RANK


cdef int32_t axes_of(tuple values, int64_t *axes, str what) except -1:
    """Copies sizes, strides or bounds; answers how many there are."""
    if len(values) > CI_MAX_RANK:
        raise ConvInferError(f"{what}: {len(values)} axes, at most {CI_MAX_RANK} are supported")
    for axis, value in enumerate(values):
        axes[axis] = value
    return len(values)


cdef int view_of(tuple view, int32_t rank, ci_view *result, str what) except -1:
    """`view` is (ref, strides in elements)."""
    ref, strides = view
    result.ref = ref_of(ref)
    if axes_of(strides, result.strides, what) != rank:
        raise ConvInferError(f"{what}: {len(strides)} strides for {rank} axes")
    return 0


def add_copy(Program program, *, int element_bytes, tuple shape, tuple y, tuple x, int threads, uint32_t allowed) -> None:
    """Appends y[...] = x[...] over `shape`; `y` and `x` are (ref, strides in elements), 0 where x is broadcast."""
    cdef ci_copy copy
    copy.element_bytes = element_bytes
    copy.rank = axes_of(shape, copy.shape, "copy")
    view_of(y, copy.rank, &copy.y, "copy")
    view_of(x, copy.rank, &copy.x, "copy")
    copy.threads, copy.allowed = threads, allowed
    check(ci_add_copy(program.program, &copy), "copy")


def add_fill(
    Program program,
    *,
    bytes value,
    tuple shape,
    tuple y,
    int threads,
    tuple inner_begin=None,
    tuple inner_end=None,
) -> None:
    """Appends y[...] = value over `shape`, or over what lies outside the box inner_begin .. inner_end. The element's
    `value` is given as its bytes."""
    cdef ci_fill fill
    fill.element_bytes = len(value)
    fill.value = int.from_bytes(value, "little")
    fill.rank = axes_of(shape, fill.shape, "fill")
    if inner_begin is None or inner_end is None:
        inner_begin = inner_end = (0,) * fill.rank
    if len(inner_begin) != fill.rank or len(inner_end) != fill.rank:
        raise ConvInferError("fill: the inner box has another rank")
    axes_of(inner_begin, fill.inner_begin, "fill")
    axes_of(inner_end, fill.inner_end, "fill")
    view_of(y, fill.rank, &fill.y, "fill")
    fill.threads = threads
    check(ci_add_fill(program.program, &fill), "fill")


def add_gather(
    Program program,
    *,
    int element_bytes,
    tuple shape,
    tuple y,
    tuple x,
    int x_channels,
    const int32_t[::1] channels,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends y[..., c] = x[..., channels[c]]; `shape` is that of y, whose last size is the number of channels."""
    cdef ci_gather gather
    gather.element_bytes = element_bytes
    gather.rank = axes_of(shape, gather.shape, "channel gather")
    if gather.rank < 1 or channels.shape[0] != gather.shape[gather.rank - 1]:
        raise ConvInferError("channel gather: the table has another number of channels than the output")
    view_of(y, gather.rank, &gather.y, "channel gather")
    view_of(x, gather.rank, &gather.x, "channel gather")
    gather.x_channels = x_channels
    gather.channel = &channels[0] if channels.shape[0] else NULL
    gather.threads, gather.allowed = threads, allowed
    check(ci_add_gather(program.program, &gather), "channel gather")
