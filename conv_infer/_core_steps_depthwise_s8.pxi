# Steps of src/steps/depthwise_s8.h; their weights are packed by PackedDepthwise.

cdef extern from "steps/depthwise_s8.h":
    ctypedef struct ci_depthwise_s8:
        const ci_kernel *kernel
        ci_ref input, weights, bias, scale, output
        ci_image input_image, output_image
        ci_window window
        ci_requantise requantise
        int32_t threads
    ci_status ci_add_depthwise_s8(ci_program *program, const ci_depthwise_s8 *conv)
    const char *ci_depthwise_s8_variant(const ci_window *window)


DEPTHWISE_S8_TAPS = CI_DEPTHWISE_S8_TAPS  # of a window, at most


def depthwise_s8_kernel(tuple kernel_shape, tuple strides, tuple dilations, uint32_t allowed) -> Kernel:
    """The kernel for a window (pairs (y, x)) with the best of the `allowed` instruction sets."""
    cdef ci_window window = window_of(kernel_shape, strides, dilations, (0, 0, 0, 0))
    return find_kernel(<ci_operation>CI_OPERATION_depthwise_s8, ci_depthwise_s8_variant(&window), allowed)


def add_depthwise_s8(
    Program program,
    *,
    Kernel kernel,
    tuple input,
    tuple weights,
    tuple bias,
    tuple scale,
    tuple output,
    tuple input_shape,
    tuple input_strides,
    tuple output_shape,
    tuple output_strides,
    tuple kernel_shape,
    tuple strides,
    tuple dilations,
    Requantise requantise,
    int threads,
) -> None:
    """Appends an int8 depthwise convolution over unsigned bytes. Shapes are NHWC and the input's includes its padding;
    the `_strides` of images are (image, row, pixel) in elements. `scale` is (-1, 0) where sums are not requantised."""
    cdef ci_depthwise_s8 conv
    conv.kernel = kernel.entry
    conv.input, conv.weights, conv.bias = ref_of(input), ref_of(weights), ref_of(bias)
    conv.scale, conv.output = ref_of(scale), ref_of(output)
    conv.input_image = image_of(input_shape, input_strides)
    conv.output_image = image_of(output_shape, output_strides)
    conv.window = window_of(kernel_shape, strides, dilations, (0, 0, 0, 0))
    conv.requantise = requantise.c
    conv.threads = threads
    check(ci_add_depthwise_s8(program.program, &conv), "int8 depthwise convolution")
