# Pooling: src/steps/pool.h.

cdef extern from "conv_infer/microkernel.h":
    ci_operation CI_OPERATION_maxpool_f32
    ci_operation CI_OPERATION_avgpool_f32
    ci_operation CI_OPERATION_maxpool_s8
    ci_operation CI_OPERATION_maxpool_u8

cdef extern from "steps/pool.h":
    ctypedef struct ci_pool:
        const ci_kernel *kernel
        ci_ref input, output
        ci_image input_image, output_image
        ci_window window
        int32_t count_include_pad, threads
    ci_status ci_add_pool(ci_program *program, const ci_pool *pool)


def max_pool_kernel(str format, uint32_t allowed) -> Kernel:
    """The max pooling kernel with the best of the `allowed` instruction sets for an element type: a NumPy type character,
    'f' (float32), 'b' (int8) or 'B' (uint8)."""
    if format == "f":
        return find_kernel(CI_OPERATION_maxpool_f32, b"any", allowed)
    if format == "b":
        return find_kernel(CI_OPERATION_maxpool_s8, b"any", allowed)
    if format == "B":
        return find_kernel(CI_OPERATION_maxpool_u8, b"any", allowed)
    raise ConvInferError(f"no kernel pools maxima of elements of type {format!r}")


def average_pool_kernel(uint32_t allowed) -> Kernel:
    """The float32 average pooling kernel with the best of the `allowed` instruction sets."""
    return find_kernel(CI_OPERATION_avgpool_f32, b"any", allowed)


cdef class Pool:
    """A pooling of NHWC images, for add_pool and add_conv_bands. The `_strides` of images are (image, row, pixel) in
    elements; pads are (top, left, bottom, right) and not in memory. The output's size is as given: windows may end
    beyond the padding."""

    cdef ci_pool pool

    def __cinit__(
        self,
        *,
        Kernel kernel,
        tuple input,
        tuple output,
        tuple input_shape,
        tuple input_strides,
        tuple output_shape,
        tuple output_strides,
        tuple kernel_shape,
        tuple strides,
        tuple dilations,
        tuple pads,
        bint count_include_pad,
        int threads,
    ):
        self.pool.kernel = kernel.entry
        self.pool.input, self.pool.output = ref_of(input), ref_of(output)
        self.pool.input_image = image_of(input_shape, input_strides)
        self.pool.output_image = image_of(output_shape, output_strides)
        self.pool.window = window_of(kernel_shape, strides, dilations, pads)
        self.pool.count_include_pad = count_include_pad
        self.pool.threads = threads


def add_pool(Program program, **where) -> None:
    """Appends a pooling: see Pool."""
    cdef Pool pool = Pool(**where)
    check(ci_add_pool(program.program, &pool.pool), "pooling")
