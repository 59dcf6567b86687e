"""int8 operators as CMSIS-NN and TensorFlow Lite define them: NumPy in, NumPy out, compiled underneath.

The functions of include/conv_infer/ops.h, with its names: tensors NHWC int8, weights OHWI int8, sums requantised by a
Q31 `multiplier` and a `shift` for each output channel (one value stands for all), rounded twice as CMSIS-NN does, plus
`output_offset`, clamped to `activation_min` .. `activation_max`. `input_offset` is added to the input (minus its zero
point). The results are the same bits on every instruction set.

`allowed` limits the instruction sets, as bits in the order of `conv_infer.isa()`'s names (0: what CONV_INFER_ISA
allows). `scratch` is a uint8 array to work in; where it is None, one of the right size is made. Its size is what the
`*_scratch_bytes` function says of the same arguments. Every function raises `conv_infer.InputError` for an argument of
the wrong type, shape or range, and for scratch that is too small.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core
from .errors import InputError
from .isa import allowed_isa_bits

__all__ = [
    "avgpool_s8",
    "convolve_s8",
    "convolve_s8_scratch_bytes",
    "depthwise_conv_s8",
    "depthwise_conv_s8_scratch_bytes",
    "elementwise_add_s8",
    "elementwise_mul_s8",
    "fully_connected_s8",
    "fully_connected_s8_scratch_bytes",
    "max_pool_s8",
    "softmax_s8",
    "transpose_conv_s8",
    "transpose_conv_s8_scratch_bytes",
]

INT32 = np.iinfo(np.int32)


def _tensor(name: str, array: Any, rank: int, dtype: type = np.int8) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype != dtype or array.ndim != rank or array.size == 0:
        wanted = f"a non-empty {np.dtype(dtype)} array of rank {rank}"
        raise InputError(f"{name}: {array.dtype}{list(array.shape)} is not {wanted}")
    return np.ascontiguousarray(array)


def _integers(name: str, values: Any, count: int) -> np.ndarray:
    """One int32 for each of `count` channels; one value stands for all."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.size not in (1, count) or array.ndim > 1:
        raise InputError(f"{name}: {array.dtype}{list(array.shape)} is neither one integer nor {count} of them")
    if array.min() < INT32.min or array.max() > INT32.max:
        raise InputError(f"{name}: values that do not fit int32")
    return np.ascontiguousarray(np.broadcast_to(array.reshape(-1), count), np.int32)


def _number(name: str, value: Any) -> int:
    if not isinstance(value, int | np.integer) or not INT32.min <= value <= INT32.max:
        raise InputError(f"{name}: {value!r} is not an int32")
    return int(value)


def _numbers(**values: Any) -> tuple[int, ...]:
    return tuple(_number(name, value) for name, value in values.items())


def _quantisation(channels: int, arguments: dict[str, Any]) -> dict[str, Any]:
    names = ("input_offset", "output_offset", "activation_min", "activation_max")
    quantisation: dict[str, Any] = {name: _number(name, arguments[name]) for name in names}
    quantisation["multiplier"] = _integers("multiplier", arguments["multiplier"], channels)
    quantisation["shift"] = _integers("shift", arguments["shift"], channels)
    return quantisation


def _bias(bias: Any, channels: int) -> np.ndarray | None:
    if bias is None:
        return None
    if np.shape(bias) != (channels,):
        raise InputError(f"bias: shape {list(np.shape(bias))}, not [{channels}]")
    return _integers("bias", bias, channels)


def _size(given: Any, name: str, padded: int, window: int, stride: int) -> int:
    """An output's size: as given, else as many windows as fit."""
    size = (padded - window) // stride + 1 if given is None else _number(name, given)
    if size < 1:
        raise InputError(f"{name}: the output would have size {size}; the window is larger than the padded input")
    return size


def _output(shape: tuple[int, ...]) -> np.ndarray:
    elements = 1
    for size in shape:
        elements *= size
    if elements > INT32.max:
        raise InputError(f"the output {list(shape)} is too large")
    return np.empty(shape, np.int8)


def _in_scratch(function: Callable[..., int], arguments: tuple[Any, ...], scratch: Any) -> None:
    if scratch is None:
        scratch = np.empty(function(*arguments), np.uint8)
    elif not isinstance(scratch, np.ndarray) or scratch.dtype != np.uint8 or not scratch.flags.c_contiguous:
        raise InputError("scratch: not a contiguous uint8 array")
    elif not scratch.flags.writeable:
        raise InputError("scratch: not writable")
    function(*arguments, scratch)


def _positive(**values: Any) -> tuple[int, ...]:
    numbers = _numbers(**values)
    for name, number in zip(values, numbers, strict=True):
        if number < 1:
            raise InputError(f"{name}: {number} is less than 1")
    return numbers


def _pads(**values: Any) -> tuple[int, ...]:
    numbers = _numbers(**values)
    for name, number in zip(values, numbers, strict=True):
        if number < 0:
            raise InputError(f"{name}: {number} is negative")
    return numbers


def _convolution(
    input: Any,
    filter: Any,
    bias: Any = None,
    *,
    input_offset: int,
    output_offset: int,
    multiplier: Any,
    shift: Any,
    activation_min: int = -128,
    activation_max: int = 127,
    stride_y: int = 1,
    stride_x: int = 1,
    pad_y: int = 0,
    pad_x: int = 0,
    dilation_y: int = 1,
    dilation_x: int = 1,
    groups: int = 1,
    output_height: int | None = None,
    output_width: int | None = None,
    allowed: int = 0,
) -> tuple[Any, ...]:
    quantised = dict(locals())
    input, filter = _tensor("input", input, 4), _tensor("filter", filter, 4)
    (groups,) = _positive(groups=groups)
    channels = filter.shape[0]
    if input.shape[3] != filter.shape[3] * groups or channels % groups:
        raise InputError(
            f"input channels {input.shape[3]}, filter {list(filter.shape)} and groups {groups} do not fit together"
        )
    return _windowed(input, filter, filter.shape[1:3], channels, bias, quantised, groups)


def _windowed(
    input: np.ndarray, filter: np.ndarray, window: tuple[int, ...], channels: int, bias: Any, given: dict, last: int
) -> tuple[Any, ...]:
    """The arguments of a compiled convolution whose parameters `given` holds; `last` is groups or multiplier."""
    stride = _positive(stride_y=given["stride_y"], stride_x=given["stride_x"])
    pad = _pads(pad_y=given["pad_y"], pad_x=given["pad_x"])
    dilation = _positive(dilation_y=given["dilation_y"], dilation_x=given["dilation_x"])
    sizes = []
    for axis, name in enumerate(("output_height", "output_width")):
        padded, span = input.shape[1 + axis] + 2 * pad[axis], (window[axis] - 1) * dilation[axis] + 1
        sizes.append(_size(given[name], name, padded, span, stride[axis]))
    output = _output((input.shape[0], *sizes, channels))
    quantisation = _quantisation(channels, given)
    allowed = _number("allowed", given["allowed"]) or allowed_isa_bits()
    return input, filter, _bias(bias, channels), output, quantisation, stride, pad, dilation, last, allowed


def convolve_s8(input: Any, filter: Any, bias: Any = None, *, scratch: Any = None, **parameters: Any) -> np.ndarray:
    """Convolution, dense or in groups, 1x1, 1xN or any window.

    `input` [batch, height, width, channels], `filter` [output channels, filter height, filter width, channels /
    groups], `bias` int32 [output channels] or None; returns [batch, output_height, output_width, output channels].
    Parameters, by name: input_offset, output_offset, multiplier, shift, activation_min=-128, activation_max=127,
    stride_y=1, stride_x=1, pad_y=0, pad_x=0 (rows above, columns to the left), dilation_y=1, dilation_x=1, groups=1,
    output_height, output_width (default: the same padding on both sides), allowed=0.

    Source: CMSIS-NN, arm_convolve_s8, arm_convolve_1x1_s8, arm_convolve_1_x_n_s8.
    """
    arguments = _convolution(input, filter, bias, **parameters)
    _in_scratch(_core.convolve_s8, arguments, scratch)
    return arguments[3]


def convolve_s8_scratch_bytes(input: Any, filter: Any, bias: Any = None, **parameters: Any) -> int:
    """Bytes of scratch that `convolve_s8` needs for these arguments."""
    return _core.convolve_s8(*_convolution(input, filter, bias, **parameters))


def _depthwise(
    input: Any,
    filter: Any,
    bias: Any = None,
    *,
    input_offset: int,
    output_offset: int,
    multiplier: Any,
    shift: Any,
    activation_min: int = -128,
    activation_max: int = 127,
    stride_y: int = 1,
    stride_x: int = 1,
    pad_y: int = 0,
    pad_x: int = 0,
    dilation_y: int = 1,
    dilation_x: int = 1,
    output_height: int | None = None,
    output_width: int | None = None,
    allowed: int = 0,
) -> tuple[Any, ...]:
    quantised = dict(locals())
    input, filter = _tensor("input", input, 4), np.asarray(filter)
    if filter.ndim == 4 and filter.shape[0] == 1:
        filter = filter[0]
    filter = _tensor("filter", filter, 3)
    if filter.shape[2] % input.shape[3]:
        raise InputError(f"filter: its {filter.shape[2]} channels are no multiple of the input's {input.shape[3]}")
    return _windowed(
        input, filter, filter.shape[:2], filter.shape[2], bias, quantised, filter.shape[2] // input.shape[3]
    )


def depthwise_conv_s8(
    input: Any, filter: Any, bias: Any = None, *, scratch: Any = None, **parameters: Any
) -> np.ndarray:
    """Depthwise convolution: output channel c reads input channel c // channel multiplier.

    `input` [batch, height, width, channels], `filter` [filter height, filter width, output channels] (or with a
    leading 1), `bias` int32 [output channels] or None. Parameters as `convolve_s8`, without groups.

    Source: CMSIS-NN, arm_depthwise_conv_s8.
    """
    arguments = _depthwise(input, filter, bias, **parameters)
    _in_scratch(_core.depthwise_conv_s8, arguments, scratch)
    return arguments[3]


def depthwise_conv_s8_scratch_bytes(input: Any, filter: Any, bias: Any = None, **parameters: Any) -> int:
    """Bytes of scratch that `depthwise_conv_s8` needs for these arguments."""
    return _core.depthwise_conv_s8(*_depthwise(input, filter, bias, **parameters))


def _transposed(
    input: Any,
    filter: Any,
    bias: Any = None,
    *,
    input_offset: int,
    output_offset: int,
    multiplier: Any,
    shift: Any,
    activation_min: int = -128,
    activation_max: int = 127,
    stride_y: int = 1,
    stride_x: int = 1,
    pad_y: int = 0,
    pad_x: int = 0,
    output_height: int | None = None,
    output_width: int | None = None,
    allowed: int = 0,
) -> tuple[Any, ...]:
    quantised = dict(locals())
    input, filter = _tensor("input", input, 4), _tensor("filter", filter, 4)
    channels = filter.shape[0]
    if input.shape[3] != filter.shape[3]:
        raise InputError(f"filter: {filter.shape[3]} channels in place of the input's {input.shape[3]}")
    stride, pad = _positive(stride_y=stride_y, stride_x=stride_x), _pads(pad_y=pad_y, pad_x=pad_x)
    sizes = []
    for axis, (name, given) in enumerate((("output_height", output_height), ("output_width", output_width))):
        whole = (input.shape[1 + axis] - 1) * stride[axis] + filter.shape[1 + axis]
        (size,) = _positive(**{name: whole - 2 * pad[axis] if given is None else given})
        sizes.append(size)
    output = _output((input.shape[0], *sizes, channels))
    allowed = _number("allowed", allowed) or allowed_isa_bits()
    return input, filter, _bias(bias, channels), output, _quantisation(channels, quantised), stride, pad, allowed


def transpose_conv_s8(
    input: Any, filter: Any, bias: Any = None, *, scratch: Any = None, **parameters: Any
) -> np.ndarray:
    """Transposed convolution: input (y, x) adds to output (y * stride_y + ky - pad_y, x * stride_x + kx - pad_x).

    `input` [batch, height, width, channels], `filter` [output channels, filter height, filter width, channels],
    `bias` int32 [output channels] or None. Parameters as `convolve_s8`, without dilation and groups; output_height and
    output_width crop or extend the output at its lower and right ends.

    Source: CMSIS-NN, arm_transpose_conv_s8.
    """
    arguments = _transposed(input, filter, bias, **parameters)
    _in_scratch(_core.transpose_conv_s8, arguments, scratch)
    return arguments[3]


def transpose_conv_s8_scratch_bytes(input: Any, filter: Any, bias: Any = None, **parameters: Any) -> int:
    """Bytes of scratch that `transpose_conv_s8` needs for these arguments."""
    return _core.transpose_conv_s8(*_transposed(input, filter, bias, **parameters))


def _connected(
    input: Any,
    filter: Any,
    bias: Any = None,
    *,
    input_offset: int,
    output_offset: int,
    multiplier: Any,
    shift: Any,
    activation_min: int = -128,
    activation_max: int = 127,
    filter_offset: int = 0,
    allowed: int = 0,
) -> tuple[Any, ...]:
    quantised = dict(locals())
    input, filter = _tensor("input", input, 2), _tensor("filter", filter, 2)
    if input.shape[1] != filter.shape[1]:
        raise InputError(f"filter: depth {filter.shape[1]} in place of the input's {input.shape[1]}")
    channels = filter.shape[0]
    output = _output((input.shape[0], channels))
    offset, allowed = _number("filter_offset", filter_offset), _number("allowed", allowed) or allowed_isa_bits()
    return input, filter, _bias(bias, channels), output, _quantisation(channels, quantised), offset, allowed


def fully_connected_s8(
    input: Any, filter: Any, bias: Any = None, *, scratch: Any = None, **parameters: Any
) -> np.ndarray:
    """Fully connected layer: `input` [batch, channels], `filter` [output channels, channels], `bias` int32 or None.

    Parameters, by name: input_offset, output_offset, multiplier, shift, activation_min=-128, activation_max=127,
    filter_offset=0 (added to the weights), allowed=0. Returns [batch, output channels].

    Source: CMSIS-NN, arm_fully_connected_s8, arm_fully_connected_per_channel_s8.
    """
    arguments = _connected(input, filter, bias, **parameters)
    _in_scratch(_core.fully_connected_s8, arguments, scratch)
    return arguments[3]


def fully_connected_s8_scratch_bytes(input: Any, filter: Any, bias: Any = None, **parameters: Any) -> int:
    """Bytes of scratch that `fully_connected_s8` needs for these arguments."""
    return _core.fully_connected_s8(*_connected(input, filter, bias, **parameters))


def _pool(name: str, input: Any, given: dict[str, Any]) -> np.ndarray:
    input = _tensor("input", input, 4)
    window = _positive(filter_height=given["filter_height"], filter_width=given["filter_width"])
    stride = _positive(stride_y=given["stride_y"], stride_x=given["stride_x"])
    pad = _pads(pad_y=given["pad_y"], pad_x=given["pad_x"])
    sizes = [
        _size(given[size], size, input.shape[1 + axis] + 2 * pad[axis], window[axis], stride[axis])
        for axis, size in enumerate(("output_height", "output_width"))
    ]
    clamp = _numbers(activation_min=given["activation_min"], activation_max=given["activation_max"])
    output = _output((input.shape[0], *sizes, input.shape[3]))
    _core.pool_s8(name, input, output, window, stride, pad, *clamp)
    return output


def avgpool_s8(
    input: Any,
    *,
    filter_height: int,
    filter_width: int,
    stride_y: int = 1,
    stride_x: int = 1,
    pad_y: int = 0,
    pad_x: int = 0,
    output_height: int | None = None,
    output_width: int | None = None,
    activation_min: int = -128,
    activation_max: int = 127,
) -> np.ndarray:
    """Average pooling of `input` [batch, height, width, channels] over what each window holds of it.

    Source: CMSIS-NN, arm_avgpool_s8.
    """
    return _pool("avgpool_s8", input, locals())


def max_pool_s8(
    input: Any,
    *,
    filter_height: int,
    filter_width: int,
    stride_y: int = 1,
    stride_x: int = 1,
    pad_y: int = 0,
    pad_x: int = 0,
    output_height: int | None = None,
    output_width: int | None = None,
    activation_min: int = -128,
    activation_max: int = 127,
) -> np.ndarray:
    """Max pooling of `input` [batch, height, width, channels].

    Source: CMSIS-NN, arm_max_pool_s8.
    """
    return _pool("max_pool_s8", input, locals())


def softmax_s8(input: Any, *, multiplier: int, shift: int, diff_min: int) -> np.ndarray:
    """Softmax of each row of `input` [rows, row size], as int8 of scale 1/256 and zero point -128.

    Differences from a row's greatest value, times 2**shift * multiplier / 2**31, are fixed-point numbers of 26 fraction
    bits; those below `diff_min` give -128.

    Source: CMSIS-NN, arm_softmax_s8.
    """
    input = _tensor("input", input, 2)
    output = np.empty_like(input)
    _core.softmax_s8(input, output, *_numbers(multiplier=multiplier, shift=shift, diff_min=diff_min))
    return output


def _pair(input1: Any, input2: Any) -> tuple[np.ndarray, np.ndarray]:
    first = _tensor("input1", input1, np.ndim(input1))
    second = _tensor("input2", input2, np.ndim(input2))
    if first.shape != second.shape or first.size > INT32.max:
        raise InputError(f"input1 {list(first.shape)} and input2 {list(second.shape)}: shapes differ, or are too large")
    return first, second


def elementwise_add_s8(
    input1: Any,
    input2: Any,
    *,
    input1_offset: int,
    input1_multiplier: int,
    input1_shift: int,
    input2_offset: int,
    input2_multiplier: int,
    input2_shift: int,
    left_shift: int,
    output_offset: int,
    output_multiplier: int,
    output_shift: int,
    activation_min: int = -128,
    activation_max: int = 127,
) -> np.ndarray:
    """Sum of two tensors of one shape: each plus its offset, times 2**left_shift, requantised; then the sum.

    Source: CMSIS-NN, arm_elementwise_add_s8.
    """
    first, second = _pair(input1, input2)
    output = np.empty_like(first)
    _core.elementwise_add_s8(
        first,
        second,
        output,
        _numbers(input1_offset=input1_offset, input1_multiplier=input1_multiplier, input1_shift=input1_shift),
        _numbers(input2_offset=input2_offset, input2_multiplier=input2_multiplier, input2_shift=input2_shift),
        _number("left_shift", left_shift),
        _numbers(output_offset=output_offset, output_multiplier=output_multiplier, output_shift=output_shift),
        *_numbers(activation_min=activation_min, activation_max=activation_max),
    )
    return output


def elementwise_mul_s8(
    input1: Any,
    input2: Any,
    *,
    input1_offset: int,
    input2_offset: int,
    output_offset: int,
    output_multiplier: int,
    output_shift: int,
    activation_min: int = -128,
    activation_max: int = 127,
) -> np.ndarray:
    """Product of two tensors of one shape, each plus its offset, requantised.

    Source: CMSIS-NN, arm_elementwise_mul_s8.
    """
    first, second = _pair(input1, input2)
    output = np.empty_like(first)
    _core.elementwise_mul_s8(
        first,
        second,
        output,
        *_numbers(input1_offset=input1_offset, input2_offset=input2_offset),
        _numbers(output_offset=output_offset, output_multiplier=output_multiplier, output_shift=output_shift),
        *_numbers(activation_min=activation_min, activation_max=activation_max),
    )
    return output
