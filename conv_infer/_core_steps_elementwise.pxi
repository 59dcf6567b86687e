# The step of src/steps/elementwise.h.

cdef extern from "steps/elementwise.h":
    ctypedef enum ci_elementwise_form:
        CI_ELEMENTWISE_ACTIVATION
        CI_ELEMENTWISE_BINARY
        CI_ELEMENTWISE_AFFINE
    ctypedef struct ci_elementwise:
        int32_t form, binary_kind
        ci_activation activation
        int32_t rank
        int64_t shape[CI_MAX_RANK]
        ci_view y
        ci_view in_ "in"[3]
        int32_t threads
        uint32_t allowed
    ci_status ci_add_elementwise(ci_program *program, const ci_elementwise *elementwise)

cdef extern from "conv_infer/microkernel.h":
    ci_operation CI_OPERATION_activation_f32


def activation_f32_kernel(uint32_t allowed) -> Kernel:
    """The kernel that applies activations, with the best of the `allowed` instruction sets."""
    return find_kernel(CI_OPERATION_activation_f32, b"any", allowed)


cdef int add_elementwise(
    Program program, int32_t form, int32_t binary_kind, tuple shape, tuple y, tuple inputs, tuple activation, int threads,
    uint32_t allowed, str what
) except -1:
    cdef ci_elementwise step
    step.form, step.binary_kind = form, binary_kind
    step.activation = activation_of(activation)
    step.rank = axes_of(shape, step.shape, what)
    view_of(y, step.rank, &step.y, what)
    for index, view in enumerate(inputs):
        view_of(view, step.rank, &step.in_[index], what)
    step.threads, step.allowed = threads, allowed
    return check(ci_add_elementwise(program.program, &step), what)


def add_activation(
    Program program, *, tuple shape, tuple y, tuple x, tuple activation, int threads, uint32_t allowed
) -> None:
    """Appends y = activation(x) over `shape`, float32; `y` and `x` are (ref, strides in elements)."""
    add_elementwise(
        program, CI_ELEMENTWISE_ACTIVATION, 0, shape, y, (x,), activation, threads, allowed, "activation"
    )


def add_binary(
    Program program,
    *,
    int kind,
    tuple shape,
    tuple y,
    tuple a,
    tuple b,
    tuple activation,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends y = activation(a op b) over `shape`, float32; `kind` as ci_binary_kind numbers it, strides 0 where an
    operand is broadcast."""
    add_elementwise(
        program, CI_ELEMENTWISE_BINARY, kind, shape, y, (a, b), activation, threads, allowed, "binary operator"
    )


def add_affine(
    Program program,
    *,
    tuple shape,
    tuple y,
    tuple x,
    tuple scale,
    tuple shift,
    tuple activation,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends y = activation(x * scale + shift) over `shape`, float32."""
    add_elementwise(
        program, CI_ELEMENTWISE_AFFINE, 0, shape, y, (x, scale, shift), activation, threads, allowed, "scale and shift"
    )
