# Depthwise convolution: src/steps/depthwise.h, src/pack_depthwise.h.

cdef extern from "conv_infer/microkernel.h":
    ci_operation CI_OPERATION_depthwise_f32

cdef extern from "steps/depthwise.h":
    ctypedef struct ci_depthwise:
        const ci_kernel *kernel
        ci_ref input, weights, bias, output, residual
        ci_image input_image, output_image, residual_image
        ci_window window
        int64_t weights_row
        ci_activation activation
        int32_t threads
    ci_status ci_add_depthwise(ci_program *program, const ci_depthwise *depthwise)
    const char *ci_depthwise_variant(const ci_window *window, int32_t multiplier)

cdef extern from "pack_depthwise.h":
    int64_t ci_depthwise_padded_channels(int32_t channels)
    int64_t ci_depthwise_weights_row(int32_t channels)
    void ci_pack_depthwise_f32(int32_t channels, int32_t taps, const void *weights, float *packed) nogil


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
    rows, row = packed_depthwise_f32_shape(channels, height * width)
    if depth != 1 or channels < 1 or rows < 1:
        raise ValueError("depthwise weights are [channels, height, width, 1]")
    cdef float *packed = <float *>piece_of(memory, offset, rows * row * 4)
    cdef int32_t c = channels, taps = rows
    with nogil:
        ci_pack_depthwise_f32(c, taps, &weights[0, 0, 0, 0], packed)


def add_depthwise(
    Program program,
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
) -> None:
    """Appends a float32 depthwise convolution.

    Shapes are NHWC and the input's includes its padding; the `_strides` of images are (image, row, pixel) in elements.
    `weights` are packed (pack_depthwise_f32), `bias` is padded to a multiple of 16 channels; `residual` is (-1, 0)
    where there is none.
    """
    cdef ci_depthwise d
    d.kernel = kernel.entry
    d.input, d.weights, d.bias = ref_of(input), ref_of(weights), ref_of(bias)
    d.output, d.residual = ref_of(output), ref_of(residual)
    d.input_image = image_of(input_shape, input_strides)
    d.output_image = image_of(output_shape, output_strides)
    d.residual_image = image_of(output_shape, residual_strides)
    d.window = window_of(kernel_shape, strides, dilations, (0, 0, 0, 0))
    d.weights_row = ci_depthwise_weights_row(d.output_image.channels)
    d.activation = activation_of(activation)
    d.threads = threads
    check(ci_add_depthwise(program.program, &d), "depthwise convolution")
