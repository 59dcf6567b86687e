"""int8 convolutions, dense, in groups and depthwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core
from .errors import InputError
from .ops_forms import AUTO, check_form, fastest, strip_for
from .ops_geometry import Geometry, any_array
from .ops_s8_arguments import positive, run_in_scratch, scratch_of, tensor_of, windowed, with_parameters_of


def arguments_of(
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
            f"groups: {groups}, with {input.shape[3]} input channels and filter {list(filter.shape)}, do not fit"
        )
    return windowed(input, filter, filter.shape[1:3], channels, bias, quantised, groups)


@with_parameters_of(arguments_of)
def convolve_s8(input: Any, filter: Any, bias: Any = None, *, scratch: Any = None, **parameters: Any) -> np.ndarray:
    """Convolution, dense or in groups, 1x1, 1xN or any window.

    `input` [batch, height, width, channels], `filter` [output channels, filter height, filter width, channels /
    groups], `bias` int32 [output channels] or None; returns [batch, output_height, output_width, output channels].
    Parameters, by name: input_offset, output_offset, multiplier, shift, activation_min=-128, activation_max=127,
    stride_y=1, stride_x=1, pad_y=0, pad_x=0 (rows above, columns to the left), dilation_y=1, dilation_x=1, groups=1,
    output_height, output_width (default: the same padding on both sides), allowed=0.

    Source: CMSIS-NN, arm_convolve_s8, arm_convolve_1x1_s8, arm_convolve_1_x_n_s8.
    """
    arguments = arguments_of(input, filter, bias, **parameters)
    run_in_scratch(_core.convolve_s8, arguments, scratch)
    return arguments[3]


@with_parameters_of(arguments_of)
def convolve_s8_scratch_bytes(input: Any, filter: Any, bias: Any = None, **parameters: Any) -> int:
    """Bytes of scratch that `convolve_s8` needs for these arguments."""
    return _core.convolve_s8(*arguments_of(input, filter, bias, **parameters))


class ConvolutionS8:
    """One `conv2d_s8`, ready to be run again and again where the input changes in place.

    `lowering` is the form that was asked for, or that "auto" has chosen; `output` is what `run` answers each time."""

    __slots__ = ("_core", "_is_checked", "_scratch", "lowering", "output", "scratch_bytes")

    def __init__(self, arguments: tuple[Any, ...], lowering: str, scratch: np.ndarray | None = None):
        check_form(lowering)
        input, filter, _, output, _, stride, pad, dilation, groups, _ = arguments
        pads = list(pad)
        for axis in (0, 1):
            reach = (output.shape[1 + axis] - 1) * stride[axis] + (filter.shape[1 + axis] - 1) * dilation[axis] + 1
            pads.append(max(0, reach - pad[axis] - input.shape[1 + axis]))
        geometry = Geometry(
            input.shape[1:3], filter.shape[1:3], stride, pads, dilation, kernel_name="filter", image_name="input"
        )
        if lowering == AUTO:
            lowering = fastest(geometry, filter.shape[3], filter.shape[0] // groups, "int8")
        self.lowering, self.output = lowering, output
        self._core = _core.Conv2dS8(*arguments, lowering, strip_for(lowering, geometry))
        self.scratch_bytes = self._core.scratch_bytes
        self._scratch, self._is_checked = scratch, False

    def run(self) -> np.ndarray:
        if not self._is_checked:
            self._scratch, self._is_checked = scratch_of(self.scratch_bytes, self._scratch), True
        self._core.run(self._scratch)
        return self.output


@with_parameters_of(arguments_of)
def conv2d_s8(
    input: Any, filter: Any, bias: Any = None, *, lowering: str = AUTO, scratch: Any = None, **parameters: Any
) -> np.ndarray:
    """`convolve_s8` by any form of lowering, all to the same bits.

    `input`, `filter`, `bias` and the parameters are those of `convolve_s8`. `lowering`: "im2row" (traditional),
    "two_patch" (two patches in int16, two columns at a time, as CMSIS-NN has it), "mec", "reusable" (the reusable
    buffer, strips of columns), "reusable_rows", "in_place", "indirect", or "auto", the one that the planner's cost
    model takes to be fastest. Copies turn int8 into the unsigned bytes that the micro-kernels read; in_place and
    indirect therefore copy the image once.

    Sources: as `conv2d`; CMSIS-NN, arm_convolve_s8.
    """
    return ConvolutionS8(arguments_of(input, filter, bias, **parameters), lowering, scratch).run()


@with_parameters_of(arguments_of)
def conv2d_s8_scratch_bytes(
    input: Any, filter: Any, bias: Any = None, *, lowering: str = AUTO, **parameters: Any
) -> int:
    """Bytes of scratch that `conv2d_s8` needs for these arguments."""
    return ConvolutionS8(arguments_of(input, filter, bias, **parameters), lowering).scratch_bytes


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
    input, filter = tensor_of("input", input, 4), any_array("filter", filter)
    if filter.ndim == 4 and filter.shape[0] == 1:
        filter = filter[0]
    filter = tensor_of("filter", filter, 3)
    if filter.shape[2] % input.shape[3]:
        raise InputError(f"filter: its {filter.shape[2]} channels are no multiple of the input's {input.shape[3]}")
    return windowed(
        input, filter, filter.shape[:2], filter.shape[2], bias, quantised, filter.shape[2] // input.shape[3]
    )


@with_parameters_of(_depthwise)
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


@with_parameters_of(_depthwise)
def depthwise_conv_s8_scratch_bytes(input: Any, filter: Any, bias: Any = None, **parameters: Any) -> int:
    """Bytes of scratch that `depthwise_conv_s8` needs for these arguments."""
    return _core.depthwise_conv_s8(*_depthwise(input, filter, bias, **parameters))
