"""int8 transposed convolution and fully connected layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core
from .errors import InputError
from .ops_s8_arguments import (
    allowed_of,
    bias_of,
    empty_output,
    number,
    pads_of,
    positive,
    quantisation_of,
    run_in_scratch,
    tensor_of,
    with_parameters_of,
)


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
    input, filter = tensor_of("input", input, 4), tensor_of("filter", filter, 4)
    channels = filter.shape[0]
    if input.shape[3] != filter.shape[3]:
        raise InputError(f"filter: {filter.shape[3]} channels in place of the input's {input.shape[3]}")
    stride, pad = positive(stride_y=stride_y, stride_x=stride_x), pads_of(pad_y=pad_y, pad_x=pad_x)
    sizes = []
    for axis, (name, given) in enumerate((("output_height", output_height), ("output_width", output_width))):
        whole = (input.shape[1 + axis] - 1) * stride[axis] + filter.shape[1 + axis]
        (size,) = positive(**{name: whole - 2 * pad[axis] if given is None else given})
        sizes.append(size)
    output = empty_output((input.shape[0], *sizes, channels))
    allowed = allowed_of(allowed)
    return input, filter, bias_of(bias, channels), output, quantisation_of(channels, quantised), stride, pad, allowed


@with_parameters_of(_transposed)
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
    run_in_scratch(_core.transpose_conv_s8, arguments, scratch)
    return arguments[3]


@with_parameters_of(_transposed)
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
    input, filter = tensor_of("input", input, 2), tensor_of("filter", filter, 2)
    if input.shape[1] != filter.shape[1]:
        raise InputError(f"filter: depth {filter.shape[1]} in place of the input's {input.shape[1]}")
    channels = filter.shape[0]
    output = empty_output((input.shape[0], channels))
    offset, allowed = number("filter_offset", filter_offset, -127, 128), allowed_of(allowed)
    return input, filter, bias_of(bias, channels), output, quantisation_of(channels, quantised), offset, allowed


@with_parameters_of(_connected)
def fully_connected_s8(
    input: Any, filter: Any, bias: Any = None, *, scratch: Any = None, **parameters: Any
) -> np.ndarray:
    """Fully connected layer: `input` [batch, channels], `filter` [output channels, channels], `bias` int32 or None.

    Parameters, by name: input_offset, output_offset, multiplier, shift, activation_min=-128, activation_max=127,
    filter_offset=0 (added to the weights), allowed=0. Returns [batch, output channels].

    Source: CMSIS-NN, arm_fully_connected_s8, arm_fully_connected_per_channel_s8.
    """
    arguments = _connected(input, filter, bias, **parameters)
    run_in_scratch(_core.fully_connected_s8, arguments, scratch)
    return arguments[3]


@with_parameters_of(_connected)
def fully_connected_s8_scratch_bytes(input: Any, filter: Any, bias: Any = None, **parameters: Any) -> int:
    """Bytes of scratch that `fully_connected_s8` needs for these arguments."""
    return _core.fully_connected_s8(*_connected(input, filter, bias, **parameters))
