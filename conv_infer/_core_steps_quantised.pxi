# Steps on quantised tensors: src/steps/quantised.h and quantised_reduce.h.

cdef extern from "conv_infer/elementwise_u8.h":
    ctypedef struct ci_binary_u8_args:
        float a_scale, b_scale, constant
        int32_t a_origin, b_origin, y_origin
        int32_t minimum, maximum

cdef extern from "steps/quantised.h":
    ctypedef enum ci_quantised_form:
        CI_QUANTISED_QUANTISE
        CI_QUANTISED_DEQUANTISE_U8
        CI_QUANTISED_DEQUANTISE_S32
        CI_QUANTISED_ADD
        CI_QUANTISED_MULTIPLY
        CI_QUANTISED_LOOKUP
    ctypedef struct ci_quantised:
        int32_t form, rank
        int64_t shape[CI_MAX_RANK]
        ci_view y
        ci_view in_ "in"[3]
        ci_binary_u8_args binary
        ci_ref table
        int32_t threads
        uint32_t allowed
    ci_status ci_add_quantised(ci_program *program, const ci_quantised *quantised)

cdef extern from "steps/quantised_reduce.h":
    ctypedef struct ci_quantised_mean:
        int32_t rank
        int64_t shape[CI_MAX_RANK]
        uint32_t axes
        ci_view y, x
        float scale
        int32_t x_zero_point, y_zero_point, threads
        uint32_t allowed
    ctypedef struct ci_quantised_softmax:
        int32_t rank, axis
        int64_t shape[CI_MAX_RANK]
        ci_view y, x
        ci_ref table
        float factor
        int32_t y_zero_point, threads
    ctypedef struct ci_quantised_pool:
        ci_ref input, output
        ci_image input_image, output_image
        ci_window window
        int32_t count_include_pad
        float x_scale, y_scale, y_zero_point
        int32_t x_zero_point, y_origin, threads
        uint32_t allowed
    ci_status ci_add_quantised_mean(ci_program *program, const ci_quantised_mean *mean)
    ci_status ci_add_quantised_softmax(ci_program *program, const ci_quantised_softmax *softmax)
    ci_status ci_add_quantised_pool(ci_program *program, const ci_quantised_pool *pool)


cdef int add_quantised(Program program, ci_quantised *step, tuple shape, tuple y, tuple inputs, str what) except -1:
    step.rank = axes_of(shape, step.shape, what)
    view_of(y, step.rank, &step.y, what)
    for index, view in enumerate(inputs):
        view_of(view, step.rank, &step.in_[index], what)
    return check(ci_add_quantised(program.program, step), what)


def add_quantise(
    Program program,
    *,
    tuple shape,
    tuple y,
    tuple x,
    tuple scale,
    tuple zero_point,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends y = round(x / scale) + zero_point: x and scale float32, zero_point int32, y bytes; all are (ref, strides
    in elements), strides 0 where they are broadcast."""
    cdef ci_quantised step
    step.form = CI_QUANTISED_QUANTISE
    step.binary.minimum, step.binary.maximum = 0, 0
    step.threads, step.allowed = threads, allowed
    add_quantised(program, &step, shape, y, (x, scale, zero_point), "quantise")


def add_dequantise(
    Program program,
    *,
    bint is_bytes,
    tuple shape,
    tuple y,
    tuple x,
    tuple scale,
    tuple zero_point,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends y = float32(x - zero_point) * scale, x bytes or else int32."""
    cdef ci_quantised step
    step.form = CI_QUANTISED_DEQUANTISE_U8 if is_bytes else CI_QUANTISED_DEQUANTISE_S32
    step.binary.minimum, step.binary.maximum = 0, 0
    step.threads, step.allowed = threads, allowed
    add_quantised(program, &step, shape, y, (x, scale, zero_point), "dequantise")


def add_quantised_binary(
    Program program,
    *,
    bint multiplies,
    tuple shape,
    tuple y,
    tuple a,
    tuple b,
    tuple scales,
    float constant,
    tuple origins,
    tuple limits,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends a sum or product of bytes (ci_binary_u8_args): `scales` (a, b), `origins` (a, b, y), `limits` (minimum,
    maximum)."""
    cdef ci_quantised step
    step.form = CI_QUANTISED_MULTIPLY if multiplies else CI_QUANTISED_ADD
    step.binary.a_scale, step.binary.b_scale = scales
    step.binary.constant = constant
    step.binary.a_origin, step.binary.b_origin, step.binary.y_origin = origins
    step.binary.minimum, step.binary.maximum = limits
    step.threads, step.allowed = threads, allowed
    add_quantised(program, &step, shape, y, (a, b), "sum or product of quantised tensors")


def add_lookup(
    Program program, *, tuple shape, tuple y, tuple x, tuple table, int threads, uint32_t allowed
) -> None:
    """Appends y = table[x], bytes; `table` is the ref of 256 bytes."""
    cdef ci_quantised step
    step.form = CI_QUANTISED_LOOKUP
    step.binary.minimum, step.binary.maximum = 0, 0
    step.table = ref_of(table)
    step.threads, step.allowed = threads, allowed
    add_quantised(program, &step, shape, y, (x,), "table lookup")


def add_quantised_mean(
    Program program,
    *,
    tuple shape,
    tuple axes,
    tuple y,
    tuple x,
    float scale,
    int x_zero_point,
    int y_zero_point,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends a mean of x (bytes, of `shape`) over `axes`, which y keeps with size 1; `scale` is the input's over the
    output's and the number of elements."""
    cdef ci_quantised_mean step
    step.rank = axes_of(shape, step.shape, "mean of a quantised tensor")
    step.axes = axes_bits(axes, step.rank, "mean of a quantised tensor")
    view_of(y, step.rank, &step.y, "mean of a quantised tensor")
    view_of(x, step.rank, &step.x, "mean of a quantised tensor")
    step.scale, step.x_zero_point, step.y_zero_point = scale, x_zero_point, y_zero_point
    step.threads, step.allowed = threads, allowed
    check(ci_add_quantised_mean(program.program, &step), "mean of a quantised tensor")


def add_quantised_softmax(
    Program program, *, tuple shape, int axis, tuple y, tuple x, tuple table, float factor, int y_zero_point, int threads
) -> None:
    """Appends softmax of bytes along an axis; `table` is the ref of 256 float32."""
    cdef ci_quantised_softmax step
    step.rank = axes_of(shape, step.shape, "softmax of a quantised tensor")
    step.axis = axis
    view_of(y, step.rank, &step.y, "softmax of a quantised tensor")
    view_of(x, step.rank, &step.x, "softmax of a quantised tensor")
    step.table, step.factor, step.y_zero_point = ref_of(table), factor, y_zero_point
    step.threads = threads
    check(ci_add_quantised_softmax(program.program, &step), "softmax of a quantised tensor")


def add_quantised_pool(
    Program program,
    *,
    tuple input,
    tuple output,
    tuple input_shape,
    tuple input_strides,
    tuple output_shape,
    tuple output_strides,
    tuple kernel_shape,
    tuple strides,
    tuple pads,
    bint count_include_pad,
    tuple scales,
    tuple zero_points,
    int y_origin,
    int threads,
    uint32_t allowed,
) -> None:
    """Appends an average pool of NHWC bytes; `scales` and `zero_points` are those of input and output, the latter less
    `y_origin`."""
    cdef ci_quantised_pool pool
    pool.input, pool.output = ref_of(input), ref_of(output)
    pool.input_image = image_of(input_shape, input_strides)
    pool.output_image = image_of(output_shape, output_strides)
    pool.window = window_of(kernel_shape, strides, (1, 1), pads)
    pool.count_include_pad = count_include_pad
    pool.x_scale, pool.y_scale = scales
    pool.x_zero_point, pool.y_zero_point = zero_points
    pool.y_origin, pool.threads, pool.allowed = y_origin, threads, allowed
    check(ci_add_quantised_pool(program.program, &pool), "average pool of a quantised tensor")
