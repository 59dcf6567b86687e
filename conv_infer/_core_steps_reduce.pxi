# Steps of src/steps/reduce.h, normalise.h and cast.h.

cdef extern from "steps/reduce.h":
    ctypedef struct ci_reduce:
        int32_t kind, rank
        int64_t shape[CI_MAX_RANK]
        uint32_t axes
        ci_view y, x
        int32_t threads
        uint32_t allowed
    ci_status ci_add_reduce(ci_program *program, const ci_reduce *reduce)

cdef extern from "steps/normalise.h":
    ctypedef enum ci_normalise_form:
        CI_NORMALISE_SOFTMAX
        CI_NORMALISE_LOG_SOFTMAX
        CI_NORMALISE_LRN
        CI_NORMALISE_LAYER
    ctypedef struct ci_normalise:
        int32_t form, rank
        int64_t shape[CI_MAX_RANK]
        uint32_t axes
        ci_view y, x
        int32_t size
        float alpha, beta, bias
        ci_ref scale, shift
        float epsilon
        int32_t threads
        uint32_t allowed
    ctypedef struct ci_instance_norm:
        int32_t rank
        int64_t shape[CI_MAX_RANK]
        ci_view y, x
        int64_t groups
        ci_ref scale, shift
        float epsilon
        int32_t threads
        uint32_t allowed
    ci_status ci_add_normalise(ci_program *program, const ci_normalise *normalise)
    ci_status ci_add_instance_norm(ci_program *program, const ci_instance_norm *norm)

cdef extern from "steps/cast.h":
    ctypedef struct ci_cast:
        int32_t y_type, x_type, rank
        int64_t shape[CI_MAX_RANK]
        ci_view y, x
        int32_t threads
    ci_status ci_add_cast(ci_program *program, const ci_cast *cast)


cdef uint32_t axes_bits(tuple axes, int32_t rank, str what) except? 0:
    cdef uint32_t bits = 0
    for axis in axes:
        if not 0 <= axis < rank:
            raise ConvInferError(f"{what}: there is no axis {axis} among {rank}")
        bits |= <uint32_t>1 << <int>axis
    return bits


def add_reduce(
    Program program, *, int kind, tuple shape, tuple axes, tuple y, tuple x, int threads, uint32_t allowed
) -> None:
    """Appends a reduction of x, of `shape`, over `axes`, float32; y keeps them with size 1. `kind` as ci_reduction
    numbers it; `y` and `x` are (ref, strides in elements)."""
    cdef ci_reduce step
    step.kind = kind
    step.rank = axes_of(shape, step.shape, "reduce")
    step.axes = axes_bits(axes, step.rank, "reduce")
    view_of(y, step.rank, &step.y, "reduce")
    view_of(x, step.rank, &step.x, "reduce")
    step.threads, step.allowed = threads, allowed
    check(ci_add_reduce(program.program, &step), "reduce")


cdef int add_normalise(Program program, ci_normalise *step, tuple shape, tuple axes, tuple y, tuple x, str what) except -1:
    step.rank = axes_of(shape, step.shape, what)
    step.axes = axes_bits(axes, step.rank, what)
    view_of(y, step.rank, &step.y, what)
    view_of(x, step.rank, &step.x, what)
    return check(ci_add_normalise(program.program, step), what)


def add_softmax(
    Program program, *, tuple shape, int axis, bint log, tuple y, tuple x, int threads, uint32_t allowed
) -> None:
    """Appends softmax along an axis, or its logarithm, float32."""
    cdef ci_normalise step
    step.form = CI_NORMALISE_LOG_SOFTMAX if log else CI_NORMALISE_SOFTMAX
    step.threads, step.allowed = threads, allowed
    add_normalise(program, &step, shape, (axis,), y, x, "softmax")


def add_lrn(
    Program program,
    *,
    tuple shape,
    int axis,
    int size,
    float alpha,
    float beta,
    float bias,
    tuple y,
    tuple x,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends local response normalisation along an axis, float32."""
    cdef ci_normalise step
    step.form = CI_NORMALISE_LRN
    step.size, step.alpha, step.beta, step.bias = size, alpha, beta, bias
    step.threads, step.allowed = threads, allowed
    add_normalise(program, &step, shape, (axis,), y, x, "local response normalisation")


def add_layer_norm(
    Program program,
    *,
    tuple shape,
    tuple axes,
    float epsilon,
    tuple y,
    tuple x,
    tuple scale,
    tuple shift,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends layer normalisation over `axes`, float32; `scale` and `shift` are refs of one value for each element of
    those axes, or (-1, 0)."""
    cdef ci_normalise step
    step.form = CI_NORMALISE_LAYER
    step.epsilon = epsilon
    step.scale, step.shift = ref_of(scale), ref_of(shift)
    step.threads, step.allowed = threads, allowed
    add_normalise(program, &step, shape, axes, y, x, "layer normalisation")


def add_instance_norm(
    Program program,
    *,
    tuple shape,
    long long groups,
    float epsilon,
    tuple y,
    tuple x,
    tuple scale,
    tuple shift,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends instance normalisation of [images, spatial..., channels], float32, or that of groups of channels, where
    `groups` is less than their number; `scale` and `shift` are refs of one value for each channel."""
    cdef ci_instance_norm step
    step.rank = axes_of(shape, step.shape, "instance normalisation")
    view_of(y, step.rank, &step.y, "instance normalisation")
    view_of(x, step.rank, &step.x, "instance normalisation")
    step.groups, step.scale, step.shift, step.epsilon = groups, ref_of(scale), ref_of(shift), epsilon
    step.threads, step.allowed = threads, allowed
    check(ci_add_instance_norm(program.program, &step), "instance normalisation")


def add_cast(Program program, *, int y_type, int x_type, tuple shape, tuple y, tuple x, int threads) -> None:
    """Appends a conversion; types as ci_type numbers them, strides in elements of their own types."""
    cdef ci_cast step
    step.y_type, step.x_type = y_type, x_type
    step.rank = axes_of(shape, step.shape, "cast")
    view_of(y, step.rank, &step.y, "cast")
    view_of(x, step.rank, &step.x, "cast")
    step.threads = threads
    check(ci_add_cast(program.program, &step), "cast")
