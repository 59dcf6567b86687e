"""int8 convolutions, dense, in groups and depthwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core
from .errors import InputError
from .ops_s8_arguments import positive, run_in_scratch, tensor_of, windowed


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
    input, filter = tensor_of("input", input, 4), tensor_of("filter", filter, 4)
    (groups,) = positive(groups=groups)
    channels = filter.shape[0]
    if input.shape[3] != filter.shape[3] * groups or channels % groups:
        raise InputError(
            f"input channels {input.shape[3]}, filter {list(filter.shape)} and groups {groups} do not fit together"
        )
    return windowed(input, filter, filter.shape[1:3], channels, bias, quantised, groups)


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
    run_in_scratch(_core.convolve_s8, arguments, scratch)
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
    input, filter = tensor_of("input", input, 4), np.asarray(filter)
    if filter.ndim == 4 and filter.shape[0] == 1:
        filter = filter[0]
    filter = tensor_of("filter", filter, 3)
    if filter.shape[2] % input.shape[3]:
        raise InputError(f"filter: its {filter.shape[2]} channels are no multiple of the input's {input.shape[3]}")
    return windowed(
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
    run_in_scratch(_core.depthwise_conv_s8, arguments, scratch)
    return arguments[3]


def depthwise_conv_s8_scratch_bytes(input: Any, filter: Any, bias: Any = None, **parameters: Any) -> int:
    """Bytes of scratch that `depthwise_conv_s8` needs for these arguments."""
    return _core.depthwise_conv_s8(*_depthwise(input, filter, bias, **parameters))
