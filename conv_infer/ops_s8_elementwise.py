"""int8 pooling, softmax, sums and products."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core
from .errors import InputError
from .ops_geometry import any_array
from .ops_s8_arguments import INT32, clamp_of, empty_output, number, output_size, pads_of, positive, tensor_of


def _pool(name: str, input: Any, given: dict[str, Any]) -> np.ndarray:
    input = tensor_of("input", input, 4)
    window = positive(filter_height=given["filter_height"], filter_width=given["filter_width"])
    stride = positive(stride_y=given["stride_y"], stride_x=given["stride_x"])
    pad = pads_of(pad_y=given["pad_y"], pad_x=given["pad_x"])
    sizes = [
        output_size(given[size], size, input.shape[1 + axis] + 2 * pad[axis], window[axis], stride[axis])
        for axis, size in enumerate(("output_height", "output_width"))
    ]
    for axis, (padding, size) in enumerate((("pad_y", "output_height"), ("pad_x", "output_width"))):
        if pad[axis] >= window[axis]:
            raise InputError(f"{padding}: {pad[axis]}, so that the first window of {window[axis]} misses the input")
        if (sizes[axis] - 1) * stride[axis] - pad[axis] >= input.shape[1 + axis]:
            raise InputError(f"{size}: {sizes[axis]}, so that the last window misses the input")
    clamp = clamp_of(given["activation_min"], given["activation_max"])
    output = empty_output((input.shape[0], *sizes, input.shape[3]))
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
    input = tensor_of("input", input, 2)
    output = np.empty_like(input)
    _core.softmax_s8(
        input,
        output,
        number("multiplier", multiplier, 0),
        number("shift", shift, 0, 30),
        number("diff_min", diff_min, most=0),
    )
    return output


def _pair(input1: Any, input2: Any) -> tuple[np.ndarray, np.ndarray]:
    first, second = any_array("input1", input1), any_array("input2", input2)
    first, second = tensor_of("input1", first, first.ndim), tensor_of("input2", second, second.ndim)
    if first.shape != second.shape or first.size > INT32.max:
        raise InputError(f"input1 {list(first.shape)} and input2 {list(second.shape)}: shapes differ, or are too large")
    return first, second


def _moved(**values: Any) -> tuple[int, ...]:
    """Offsets, multipliers and shifts, each in the range that its name has."""
    ranges = {"input1_offset": (-127, 128), "input2_offset": (-127, 128), "output_offset": (-128, 127)}
    ranges |= {f"{name}_multiplier": (0, INT32.max) for name in ("input1", "input2", "output")}
    ranges |= {f"{name}_shift": (-31, 30) for name in ("input1", "input2", "output")}
    return tuple(number(name, value, *ranges[name]) for name, value in values.items())


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
        _moved(input1_offset=input1_offset, input1_multiplier=input1_multiplier, input1_shift=input1_shift),
        _moved(input2_offset=input2_offset, input2_multiplier=input2_multiplier, input2_shift=input2_shift),
        number("left_shift", left_shift, 0, 22),
        _moved(output_offset=output_offset, output_multiplier=output_multiplier, output_shift=output_shift),
        *clamp_of(activation_min, activation_max),
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
        *(_moved(input1_offset=input1_offset) + _moved(input2_offset=input2_offset)),
        _moved(output_offset=output_offset, output_multiplier=output_multiplier, output_shift=output_shift),
        *clamp_of(activation_min, activation_max),
    )
    return output
