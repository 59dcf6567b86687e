# Depthwise convolution and convolution in narrow groups: src/steps/depthwise.h, grouped.h, and their packing.

cdef extern from "conv_infer/microkernel.h":
    ci_operation CI_OPERATION_depthwise_f32
    ci_operation CI_OPERATION_grouped_f32

cdef extern from "steps/direct_conv.h":
    ctypedef struct ci_direct_conv:
        const ci_kernel *kernel
        ci_ref input, weights, bias, output, residual
        ci_image input_image, output_image, residual_image
        ci_window window
        ci_activation activation
        const ci_kernel *late_activation
        int32_t threads

cdef extern from "steps/depthwise.h":
    ctypedef struct ci_depthwise:
        ci_direct_conv conv
        int64_t weights_row
    ci_status ci_add_depthwise(ci_program *program, const ci_depthwise *depthwise)
    const char *ci_depthwise_variant(const ci_window *window, int32_t multiplier)

cdef extern from "steps/grouped.h":
    ci_status ci_add_grouped(ci_program *program, const ci_direct_conv *grouped)

cdef extern from "pack_depthwise.h":
    int64_t ci_depthwise_weights_row(int32_t channels)
    void ci_pack_depthwise_f32(int32_t channels, int32_t taps, const void *weights, float *packed) nogil

cdef extern from "pack_grouped.h":
    ci_status ci_packed_grouped_f32_elems(int32_t channels, int32_t group, int32_t kernel_height, int32_t kernel_width,
                                          int64_t *elems)
    void ci_pack_grouped_f32(int32_t channels, int32_t group, int64_t taps, const void *weights, float *packed) nogil


def depthwise_f32_kernel(tuple kernel_shape, tuple strides, tuple dilations, int multiplier, uint32_t allowed) -> Kernel:
    """The kernel for a window (pairs (y, x)) and channel multiplier with the best of the `allowed` instruction sets."""
    cdef ci_window window = window_of(kernel_shape, strides, dilations, (0, 0, 0, 0))
    return find_kernel(CI_OPERATION_depthwise_f32, ci_depthwise_variant(&window, multiplier), allowed)


def packed_depthwise_f32_shape(int channels, int taps) -> tuple[int, int]:
    """(taps, elements of a row) of packed weights. A bias is padded with zeros to a multiple of 16 channels."""
    return taps, ci_depthwise_weights_row(channels)


def pack_depthwise_f32(const float[:, :, :, ::1] weights, Memory memory, int64_t offset) -> None:
    """Packs OHWI weights [channels, height, width, 1] into `memory` from a byte offset on."""
    channels, height, width, depth = (weights.shape[axis] for axis in range(4))
    if depth != 1 or channels < 1 or height * width < 1:
        raise ValueError("depthwise weights are [channels, height, width, 1]")
    rows, row = packed_depthwise_f32_shape(channels, height * width)
    cdef float *packed = <float *>piece_of(memory, offset, rows * row * 4)
    cdef int32_t c = channels, taps = rows
    with nogil:
        ci_pack_depthwise_f32(c, taps, &weights[0, 0, 0, 0], packed)


def grouped_f32_kernel(int group, uint32_t allowed) -> Kernel | None:
    """The kernel for groups of so many channels in and out with the best of the `allowed` instruction sets; None where
    that width has none."""
    cdef const ci_kernel *found = ci_kernel_find(CI_OPERATION_grouped_f32, f"w{group}".encode(), allowed)
    if found == NULL:
        return None
    return find_kernel(CI_OPERATION_grouped_f32, found.variant, allowed)


def packed_grouped_f32_elems(int channels, int group, tuple kernel_shape) -> int:
    """Elements of packed weights. A bias is padded with zeros to a multiple of 16 channels."""
    cdef int64_t elems = 0
    height, width = kernel_shape
    check(ci_packed_grouped_f32_elems(channels, group, height, width, &elems), "packing of grouped weights")
    return elems


def pack_grouped_f32(const float[:, :, :, ::1] weights, Memory memory, int64_t offset) -> None:
    """Packs OHWI weights [channels, height, width, group] into `memory` from a byte offset on."""
    channels, height, width, group = (weights.shape[axis] for axis in range(4))
    cdef int64_t elems = packed_grouped_f32_elems(channels, group, (height, width))
    cdef float *packed = <float *>piece_of(memory, offset, elems * 4)
    cdef int32_t c = channels, g = group
    cdef int64_t taps = height * width
    with nogil:
        ci_pack_grouped_f32(c, g, taps, &weights[0, 0, 0, 0], packed)


cdef class DirectConv:
    """Where a direct convolution reads and writes: what add_depthwise and add_grouped take.

    Shapes are NHWC and the input's includes its padding; the `_strides` of images are (image, row, pixel) in elements.
    Weights are packed for the kernel, the bias is padded to a multiple of 16 channels; `residual` is (-1, 0) where
    there is none. `late_activation` is the kernel for an activation that `kernel` does not apply, or None. `threads` is
    how many a run will have. `pads` say where in the input its image lies, for steps that write it themselves.
    """

    cdef ci_direct_conv conv

    def __init__(
        self,
        *,
        Kernel kernel,
        tuple input,
        tuple weights,
        tuple bias,
        tuple output,
        tuple residual,
        tuple input_shape,
        tuple input_strides,
        tuple output_shape,
        tuple output_strides,
        tuple residual_strides,
        tuple kernel_shape,
        tuple strides,
        tuple dilations,
        tuple activation,
        int threads,
        Kernel late_activation=None,
        tuple pads=(0, 0, 0, 0),
    ):
        self.conv.kernel = kernel.entry
        self.conv.input, self.conv.weights, self.conv.bias = ref_of(input), ref_of(weights), ref_of(bias)
        self.conv.output, self.conv.residual = ref_of(output), ref_of(residual)
        self.conv.input_image = image_of(input_shape, input_strides)
        self.conv.output_image = image_of(output_shape, output_strides)
        self.conv.residual_image = image_of(output_shape, residual_strides)
        self.conv.window = window_of(kernel_shape, strides, dilations, pads)
        self.conv.activation = activation_of(activation)
        self.conv.late_activation = NULL
        if late_activation is not None:
            self.conv.late_activation = late_activation.entry
        self.conv.threads = threads


cdef ci_depthwise depthwise_of(DirectConv direct) noexcept:
    cdef ci_depthwise depthwise
    depthwise.conv = direct.conv
    depthwise.weights_row = ci_depthwise_weights_row(direct.conv.output_image.channels)
    return depthwise


def add_depthwise(Program program, **where) -> None:
    """Appends a float32 depthwise convolution: see DirectConv. The output has a multiple of the input's channels."""
    cdef DirectConv direct = DirectConv(**where)
    cdef ci_depthwise depthwise = depthwise_of(direct)
    check(ci_add_depthwise(program.program, &depthwise), "depthwise convolution")


def add_grouped(Program program, **where) -> None:
    """Appends a float32 convolution in groups of kernel.nr channels in and out: see DirectConv."""
    cdef DirectConv direct = DirectConv(**where)
    check(ci_add_grouped(program.program, &direct.conv), "convolution in narrow groups")
