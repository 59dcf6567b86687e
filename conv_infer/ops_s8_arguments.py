"""What the int8 operators accept as tensors, numbers and scratch, and the errors that name the argument."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import InputError
from .isa import allowed_isa_bits
from .ops_geometry import any_array

INT32 = np.iinfo(np.int32)


def with_parameters_of(check: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """For a function that passes its **parameters on to `check`: its signature shows them all, and an error about one
    that is missing or unknown names the function that was called."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(function)
        named = [entry for entry in own.parameters.values() if entry.kind is not entry.VAR_KEYWORD]
        passed = [entry for name, entry in inspect.signature(check).parameters.items() if name not in own.parameters]
        signature = own.replace(parameters=[*named, *passed])

        @functools.wraps(function)
        def checked(*arguments: Any, **parameters: Any) -> Any:
            try:
                return function(*arguments, **parameters)
            except TypeError:
                try:
                    signature.bind(*arguments, **parameters)
                except TypeError as error:
                    raise TypeError(f"{function.__name__}(): {error}") from None
                raise

        checked.__signature__ = signature  # type: ignore[attr-defined]
        return checked

    return decorate


def tensor_of(name: str, array: Any, rank: int, dtype: type = np.int8) -> np.ndarray:
    array = any_array(name, array)
    if array.dtype != dtype or array.ndim != rank or array.size == 0:
        wanted = f"a non-empty {np.dtype(dtype)} array of rank {rank}"
        raise InputError(f"{name}: {array.dtype}{list(array.shape)} is not {wanted}")
    return np.require(array, requirements="CA")


def integers_of(name: str, values: Any, count: int, least: int = INT32.min, most: int = INT32.max) -> np.ndarray:
    """One int32 for each of `count` channels; one value stands for all."""
    array = any_array(name, values)
    if array.dtype.kind not in "iu" or array.size not in (1, count) or array.ndim > 1:
        raise InputError(f"{name}: {array.dtype}{list(array.shape)} is neither one integer nor {count} of them")
    if array.min() < least or array.max() > most:
        raise InputError(f"{name}: values from {array.min()} to {array.max()}, not between {least} and {most}")
    return np.require(np.broadcast_to(array.reshape(-1), count), np.int32, "CA")


def number(name: str, value: Any, least: int = INT32.min, most: int = INT32.max) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InputError(f"{name}: {value!r} is not an integer")
    if not least <= value <= most:
        raise InputError(f"{name}: {int(value)} is not between {least} and {most}")
    return int(value)


def allowed_of(allowed: Any) -> int:
    """Bits of instruction sets; 0 stands for what CONV_INFER_ISA allows."""
    return number("allowed", allowed, 0, 2**32 - 1) or allowed_isa_bits()


def clamp_of(activation_min: Any, activation_max: Any) -> tuple[int, int]:
    low = number("activation_min", activation_min, -128, 127)
    return low, number("activation_max", activation_max, low, 127)


def quantisation_of(channels: int, arguments: dict[str, Any]) -> dict[str, Any]:
    low, high = clamp_of(arguments["activation_min"], arguments["activation_max"])
    return {
        "input_offset": number("input_offset", arguments["input_offset"], -127, 128),
        "output_offset": number("output_offset", arguments["output_offset"], -128, 127),
        "activation_min": low,
        "activation_max": high,
        "multiplier": integers_of("multiplier", arguments["multiplier"], channels, 0, INT32.max),
        "shift": integers_of("shift", arguments["shift"], channels, -31, 30),
    }


def bias_of(bias: Any, channels: int) -> np.ndarray | None:
    if bias is None:
        return None
    bias = any_array("bias", bias)
    if bias.shape != (channels,):
        raise InputError(f"bias: shape {list(bias.shape)}, not [{channels}]")
    return integers_of("bias", bias, channels)


def output_size(given: Any, name: str, padded: int, window: int, stride: int) -> int:
    """An output's size: as given, else as many windows as fit."""
    if given is not None:
        return number(name, given, 1)
    if window > padded:
        axis = name.removeprefix("output_")
        raise InputError(f"filter: a window of {axis} {window} is larger than the padded input's {padded}")
    return (padded - window) // stride + 1


def empty_output(shape: tuple[int, ...]) -> np.ndarray:
    elements = 1
    for size in shape:
        elements *= size
    if elements > INT32.max:
        raise InputError(f"pad, output: an output of {list(shape)} is too large")
    return np.empty(shape, np.int8)


def scratch_of(needed: int, scratch: Any) -> np.ndarray:
    """The caller's scratch, checked; new memory where it is None."""
    if scratch is None:
        return np.empty(needed, np.uint8)
    if not isinstance(scratch, np.ndarray) or scratch.dtype != np.uint8 or not scratch.flags.c_contiguous:
        raise InputError("scratch: not a contiguous uint8 array")
    if not scratch.flags.writeable:
        raise InputError("scratch: not writable")
    if scratch.nbytes < needed:
        raise InputError(f"scratch: the scratch buffer is too small, {scratch.nbytes} bytes where {needed} are needed")
    return scratch


def run_in_scratch(function: Callable[..., int], arguments: tuple[Any, ...], scratch: Any) -> None:
    function(*arguments, scratch_of(function(*arguments), scratch))


def positive(**values: Any) -> tuple[int, ...]:
    return tuple(number(name, value, 1) for name, value in values.items())


def pads_of(**values: Any) -> tuple[int, ...]:
    return tuple(number(name, value, 0) for name, value in values.items())


def windowed(
    input: np.ndarray, filter: np.ndarray, window: tuple[int, ...], channels: int, bias: Any, given: dict, last: int
) -> tuple[Any, ...]:
    """The arguments of a compiled convolution whose parameters `given` holds; `last` is groups or multiplier."""
    stride = positive(stride_y=given["stride_y"], stride_x=given["stride_x"])
    pad = pads_of(pad_y=given["pad_y"], pad_x=given["pad_x"])
    dilation = positive(dilation_y=given["dilation_y"], dilation_x=given["dilation_x"])
    sizes = []
    for axis, name in enumerate(("output_height", "output_width")):
        padded, span = input.shape[1 + axis] + 2 * pad[axis], (window[axis] - 1) * dilation[axis] + 1
        sizes.append(output_size(given[name], name, padded, span, stride[axis]))
    output = empty_output((input.shape[0], *sizes, channels))
    quantisation = quantisation_of(channels, given)
    allowed = allowed_of(given["allowed"])
    return input, filter, bias_of(bias, channels), output, quantisation, stride, pad, dilation, last, allowed
