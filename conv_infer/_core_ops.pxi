# The operators of include/conv_infer/ops.h. Arrays come checked from ops_s8_*.py: int8 or int32, C-contiguous.

cdef extern from "conv_infer/ops.h":
    ctypedef struct ci_quantisation_s8:
        int32_t input_offset, output_offset
        const int32_t *multiplier
        const int32_t *shift
        int32_t activation_min, activation_max
    ctypedef struct ci_convolve_s8_args:
        const int8_t *input
        int32_t batch, input_height, input_width, input_channels
        const int8_t *filter
        int32_t output_channels, filter_height, filter_width
        const int32_t *bias
        int8_t *output
        int32_t output_height, output_width
        ci_quantisation_s8 quantisation
        int32_t stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x
        int32_t groups
        uint32_t allowed
    ctypedef struct ci_depthwise_conv_s8_args:
        const int8_t *input
        int32_t batch, input_height, input_width, input_channels
        const int8_t *filter
        int32_t channel_multiplier, filter_height, filter_width
        const int32_t *bias
        int8_t *output
        int32_t output_height, output_width
        ci_quantisation_s8 quantisation
        int32_t stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x
        uint32_t allowed
    ctypedef struct ci_transpose_conv_s8_args:
        const int8_t *input
        int32_t batch, input_height, input_width, input_channels
        const int8_t *filter
        int32_t output_channels, filter_height, filter_width
        const int32_t *bias
        int8_t *output
        int32_t output_height, output_width
        ci_quantisation_s8 quantisation
        int32_t stride_y, stride_x, pad_y, pad_x
        uint32_t allowed
    ctypedef struct ci_fully_connected_s8_args:
        const int8_t *input
        int32_t batch, input_channels
        const int8_t *filter
        int32_t output_channels
        const int32_t *bias
        int8_t *output
        ci_quantisation_s8 quantisation
        int32_t filter_offset
        uint32_t allowed
    ctypedef struct ci_pool_s8_args:
        const int8_t *input
        int32_t batch, input_height, input_width, channels
        int8_t *output
        int32_t output_height, output_width
        int32_t filter_height, filter_width, stride_y, stride_x, pad_y, pad_x
        int32_t activation_min, activation_max
    ctypedef struct ci_elementwise_add_s8_args:
        const int8_t *input1
        const int8_t *input2
        int32_t size
        int8_t *output
        int32_t input1_offset, input1_multiplier, input1_shift
        int32_t input2_offset, input2_multiplier, input2_shift
        int32_t left_shift
        int32_t output_offset, output_multiplier, output_shift
        int32_t activation_min, activation_max
    ctypedef struct ci_elementwise_mul_s8_args:
        const int8_t *input1
        const int8_t *input2
        int32_t size
        int8_t *output
        int32_t input1_offset, input2_offset
        int32_t output_offset, output_multiplier, output_shift
        int32_t activation_min, activation_max
    ci_status ci_convolve_s8_scratch_bytes(const ci_convolve_s8_args *args, int64_t *bytes)
    ci_status ci_convolve_s8(const ci_convolve_s8_args *args, void *scratch, int64_t scratch_bytes) noexcept nogil
    ci_status ci_depthwise_conv_s8_scratch_bytes(const ci_depthwise_conv_s8_args *args, int64_t *bytes)
    ci_status ci_depthwise_conv_s8(
        const ci_depthwise_conv_s8_args *args, void *scratch, int64_t scratch_bytes) noexcept nogil
    ci_status ci_transpose_conv_s8_scratch_bytes(const ci_transpose_conv_s8_args *args, int64_t *bytes)
    ci_status ci_transpose_conv_s8(
        const ci_transpose_conv_s8_args *args, void *scratch, int64_t scratch_bytes) noexcept nogil
    ci_status ci_fully_connected_s8_scratch_bytes(const ci_fully_connected_s8_args *args, int64_t *bytes)
    ci_status ci_fully_connected_s8(
        const ci_fully_connected_s8_args *args, void *scratch, int64_t scratch_bytes) noexcept nogil
    ci_status ci_avgpool_s8(const ci_pool_s8_args *args) noexcept nogil
    ci_status ci_max_pool_s8(const ci_pool_s8_args *args) noexcept nogil
    ci_status ci_softmax_s8(
        const int8_t *input, int32_t rows, int32_t row_size, int32_t multiplier, int32_t shift, int32_t diff_min,
        int8_t *output) noexcept nogil
    ci_status ci_elementwise_add_s8(const ci_elementwise_add_s8_args *args) noexcept nogil
    ci_status ci_elementwise_mul_s8(const ci_elementwise_mul_s8_args *args) noexcept nogil

_OPERATOR_ERRORS = {
    CI_ERROR_ARGUMENT: "a size, offset, shift or clamp is out of range",
    CI_ERROR_OVERFLOW: "the tensors are too large, or sums could leave int32",
    CI_ERROR_SCRATCH: "the scratch buffer is too small",
    CI_ERROR_UNSUPPORTED: "windows of so many elements are not supported",
}


cdef int check_operator(ci_status status, str name) except -1:
    if status == CI_OK:
        return 0
    from conv_infer.errors import InputError

    raise InputError(f"{name}: {_OPERATOR_ERRORS.get(status, 'failed')}")


cdef ci_quantisation_s8 quantisation_of(dict quantisation) except *:
    cdef ci_quantisation_s8 result
    result.input_offset, result.output_offset = quantisation["input_offset"], quantisation["output_offset"]
    result.multiplier = <const int32_t *>data_of(quantisation["multiplier"])
    result.shift = <const int32_t *>data_of(quantisation["shift"])
    result.activation_min, result.activation_max = quantisation["activation_min"], quantisation["activation_max"]
    return result


cdef ci_convolve_s8_args convolution_of(
    input, filter, bias, output, dict quantisation, stride, pad, dilation, int groups, uint32_t allowed
) except *:
    cdef ci_convolve_s8_args args
    args.input, args.filter = <const int8_t *>data_of(input), <const int8_t *>data_of(filter)
    args.bias, args.output = <const int32_t *>data_of(bias), <int8_t *>data_of(output)
    args.batch, args.input_height, args.input_width, args.input_channels = input.shape
    args.output_channels, args.filter_height, args.filter_width = filter.shape[:3]
    args.output_height, args.output_width = output.shape[1:3]
    args.quantisation = quantisation_of(quantisation)
    args.stride_y, args.stride_x = stride
    args.pad_y, args.pad_x = pad
    args.dilation_y, args.dilation_x = dilation
    args.groups, args.allowed = groups, allowed
    return args


def convolve_s8(input, filter, bias, output, dict quantisation, stride, pad, dilation, int groups, uint32_t allowed,
                scratch=None):
    """Returns the scratch bytes needed where `scratch` is None; else computes `output`."""
    cdef ci_convolve_s8_args args = convolution_of(
        input, filter, bias, output, quantisation, stride, pad, dilation, groups, allowed)
    cdef int64_t needed = 0
    cdef void *memory = data_of(scratch)
    cdef int64_t memory_bytes = 0 if scratch is None else scratch.nbytes
    cdef ci_status status
    if scratch is None:
        check_operator(ci_convolve_s8_scratch_bytes(&args, &needed), "convolve_s8")
    else:
        with nogil:
            status = ci_convolve_s8(&args, memory, memory_bytes)
        check_operator(status, "convolve_s8")
    return needed


def depthwise_conv_s8(input, filter, bias, output, dict quantisation, stride, pad, dilation, int channel_multiplier,
                      uint32_t allowed, scratch=None):
    """As convolve_s8; `filter` is [height, width, channels]."""
    cdef ci_depthwise_conv_s8_args args
    args.input, args.filter = <const int8_t *>data_of(input), <const int8_t *>data_of(filter)
    args.bias, args.output = <const int32_t *>data_of(bias), <int8_t *>data_of(output)
    args.batch, args.input_height, args.input_width, args.input_channels = input.shape
    args.filter_height, args.filter_width = filter.shape[:2]
    args.channel_multiplier = channel_multiplier
    args.output_height, args.output_width = output.shape[1:3]
    args.quantisation = quantisation_of(quantisation)
    args.stride_y, args.stride_x = stride
    args.pad_y, args.pad_x = pad
    args.dilation_y, args.dilation_x = dilation
    args.allowed = allowed
    cdef int64_t needed = 0
    cdef void *memory = data_of(scratch)
    cdef int64_t memory_bytes = 0 if scratch is None else scratch.nbytes
    cdef ci_status status
    if scratch is None:
        check_operator(ci_depthwise_conv_s8_scratch_bytes(&args, &needed), "depthwise_conv_s8")
    else:
        with nogil:
            status = ci_depthwise_conv_s8(&args, memory, memory_bytes)
        check_operator(status, "depthwise_conv_s8")
    return needed


def transpose_conv_s8(input, filter, bias, output, dict quantisation, stride, pad, uint32_t allowed, scratch=None):
    """As convolve_s8."""
    cdef ci_transpose_conv_s8_args args
    args.input, args.filter = <const int8_t *>data_of(input), <const int8_t *>data_of(filter)
    args.bias, args.output = <const int32_t *>data_of(bias), <int8_t *>data_of(output)
    args.batch, args.input_height, args.input_width, args.input_channels = input.shape
    args.output_channels, args.filter_height, args.filter_width = filter.shape[:3]
    args.output_height, args.output_width = output.shape[1:3]
    args.quantisation = quantisation_of(quantisation)
    args.stride_y, args.stride_x = stride
    args.pad_y, args.pad_x = pad
    args.allowed = allowed
    cdef int64_t needed = 0
    cdef void *memory = data_of(scratch)
    cdef int64_t memory_bytes = 0 if scratch is None else scratch.nbytes
    cdef ci_status status
    if scratch is None:
        check_operator(ci_transpose_conv_s8_scratch_bytes(&args, &needed), "transpose_conv_s8")
    else:
        with nogil:
            status = ci_transpose_conv_s8(&args, memory, memory_bytes)
        check_operator(status, "transpose_conv_s8")
    return needed


def fully_connected_s8(input, filter, bias, output, dict quantisation, int filter_offset, uint32_t allowed,
                       scratch=None):
    """As convolve_s8."""
    cdef ci_fully_connected_s8_args args
    args.input, args.filter = <const int8_t *>data_of(input), <const int8_t *>data_of(filter)
    args.bias, args.output = <const int32_t *>data_of(bias), <int8_t *>data_of(output)
    args.batch, args.input_channels = input.shape
    args.output_channels = filter.shape[0]
    args.quantisation = quantisation_of(quantisation)
    args.filter_offset, args.allowed = filter_offset, allowed
    cdef int64_t needed = 0
    cdef void *memory = data_of(scratch)
    cdef int64_t memory_bytes = 0 if scratch is None else scratch.nbytes
    cdef ci_status status
    if scratch is None:
        check_operator(ci_fully_connected_s8_scratch_bytes(&args, &needed), "fully_connected_s8")
    else:
        with nogil:
            status = ci_fully_connected_s8(&args, memory, memory_bytes)
        check_operator(status, "fully_connected_s8")
    return needed


def pool_s8(str name, input, output, filter, stride, pad, int activation_min, int activation_max):
    cdef ci_pool_s8_args args
    args.input, args.output = <const int8_t *>data_of(input), <int8_t *>data_of(output)
    args.batch, args.input_height, args.input_width, args.channels = input.shape
    args.output_height, args.output_width = output.shape[1:3]
    args.filter_height, args.filter_width = filter
    args.stride_y, args.stride_x = stride
    args.pad_y, args.pad_x = pad
    args.activation_min, args.activation_max = activation_min, activation_max
    cdef bint is_average = name == "avgpool_s8"
    cdef ci_status status
    with nogil:
        status = ci_avgpool_s8(&args) if is_average else ci_max_pool_s8(&args)
    check_operator(status, name)


def softmax_s8(input, output, int multiplier, int shift, int diff_min):
    cdef const int8_t *source = <const int8_t *>data_of(input)
    cdef int8_t *target = <int8_t *>data_of(output)
    cdef int32_t rows = input.shape[0], row_size = input.shape[1]
    cdef ci_status status
    with nogil:
        status = ci_softmax_s8(source, rows, row_size, multiplier, shift, diff_min, target)
    check_operator(status, "softmax_s8")


def elementwise_add_s8(input1, input2, output, tuple first, tuple second, int left_shift, tuple result,
                       int activation_min, int activation_max):
    """`first`, `second` and `result` are (offset, multiplier, shift)."""
    cdef ci_elementwise_add_s8_args args
    args.input1, args.input2 = <const int8_t *>data_of(input1), <const int8_t *>data_of(input2)
    args.output, args.size = <int8_t *>data_of(output), input1.size
    args.input1_offset, args.input1_multiplier, args.input1_shift = first
    args.input2_offset, args.input2_multiplier, args.input2_shift = second
    args.left_shift = left_shift
    args.output_offset, args.output_multiplier, args.output_shift = result
    args.activation_min, args.activation_max = activation_min, activation_max
    cdef ci_status status
    with nogil:
        status = ci_elementwise_add_s8(&args)
    check_operator(status, "elementwise_add_s8")


def elementwise_mul_s8(input1, input2, output, int input1_offset, int input2_offset, tuple result, int activation_min,
                       int activation_max):
    cdef ci_elementwise_mul_s8_args args
    args.input1, args.input2 = <const int8_t *>data_of(input1), <const int8_t *>data_of(input2)
    args.output, args.size = <int8_t *>data_of(output), input1.size
    args.input1_offset, args.input2_offset = input1_offset, input2_offset
    args.output_offset, args.output_multiplier, args.output_shift = result
    args.activation_min, args.activation_max = activation_min, activation_max
    cdef ci_status status
    with nogil:
        status = ci_elementwise_mul_s8(&args)
    check_operator(status, "elementwise_mul_s8")
