"""What the functions of `conv_infer.ops` accept as sizes, arrays and layouts, and the errors that name the argument."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InputError

LARGEST = 2**31 - 1
FLOATS = ("float32", "float64")
DTYPES = (*FLOATS, "int8", "uint8")
SUMS = {"float32": np.float32, "float64": np.float64, "int8": np.int32, "uint8": np.int32}


def any_array(name: str, value: Any) -> np.ndarray:
    """An array of any rank and dtype."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: not an array: {error}") from None


def array_of(name: str, value: Any, ranks: tuple[int, ...], dtypes: tuple[str, ...] = DTYPES) -> np.ndarray:
    """A non-empty array of one of the ranks and dtypes."""
    array = any_array(name, value)
    if array.dtype.name not in dtypes:
        raise InputError(f"{name}: dtype {array.dtype} is not supported; supported: {', '.join(dtypes)}")
    if array.ndim not in ranks:
        wanted = " or ".join(str(rank) for rank in ranks)
        raise InputError(f"{name}: rank {array.ndim} (shape {list(array.shape)}), expected rank {wanted}")
    if array.size == 0:
        raise InputError(f"{name}: shape {list(array.shape)} has no elements")
    if not array.dtype.isnative or not array.flags.aligned:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def integer(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InputError(f"{name}: {value!r} is not an integer")
    if not least <= value <= LARGEST:
        raise InputError(f"{name}: {int(value)} is not between {least} and {LARGEST}")
    return int(value)


def pair(name: str, value: Any, least: int = 1) -> tuple[int, int]:
    """(y, x), from that or one integer for both."""
    if isinstance(value, int | np.integer):
        return (integer(name, value, least),) * 2
    values = _sequence(name, value, (2,))
    return integer(f"{name}[0]", values[0], least), integer(f"{name}[1]", values[1], least)


def pads_of(name: str, value: Any) -> tuple[int, int, int, int]:
    """(top, left, bottom, right), from that, a pair (y, x), or one integer for all sides."""
    if isinstance(value, int | np.integer):
        return (integer(name, value, 0),) * 4
    values = [integer(f"{name}[{at}]", entry, 0) for at, entry in enumerate(_sequence(name, value, (2, 4)))]
    return tuple(values * 2) if len(values) == 2 else tuple(values)


def _sequence(name: str, value: Any, lengths: tuple[int, ...]) -> list[Any]:
    try:
        values = list(value)
    except TypeError:
        values = []
    if len(values) not in lengths:
        wanted = " or ".join(str(length) for length in lengths)
        raise InputError(f"{name}: {value!r} is neither an integer nor {wanted} of them")
    return values


def check_layout(layout: Any) -> bool:
    """Whether channels come last."""
    if not isinstance(layout, str) or layout not in ("NCHW", "NHWC"):
        raise InputError(f"layout: {layout!r} is neither 'NCHW' nor 'NHWC'")
    return layout == "NHWC"


class Geometry:
    """A window moving over images of one size: kernel, strides and dilations (y, x), pads (top, left, bottom, right).

    With `ceil_mode` the last windows may reach past the padding, as pooling has it: the pads after the image grow."""

    __slots__ = ("dilations", "height", "image_name", "kernel", "out_height", "out_width", "pads", "strides", "width")

    def __init__(
        self,
        size: tuple[int, int],
        kernel: tuple[int, int],
        stride: Any,
        pad: Any,
        dilation: Any,
        ceil_mode: bool = False,
        kernel_name: str = "kernel",
        image_name: str = "x",
    ):
        self.image_name = image_name
        self.height, self.width = size
        self.kernel = kernel
        if not isinstance(ceil_mode, bool | int | np.bool_) or ceil_mode not in (0, 1):
            raise InputError(f"ceil_mode: {ceil_mode!r} is neither True nor False")
        self.strides = pair("stride", stride)
        self.dilations = pair("dilation", dilation)
        pads = list(pads_of("pad", pad))
        outputs = []
        for axis, name in enumerate(("height", "width")):
            window = (kernel[axis] - 1) * self.dilations[axis] + 1
            padded = size[axis] + pads[axis] + pads[axis + 2]
            if window > padded:
                raise InputError(
                    f"{kernel_name}: a window of {name} {window} ({kernel[axis]} with dilation "
                    f"{self.dilations[axis]}) is larger than the padded input's {padded}"
                )
            if padded > LARGEST:
                raise InputError(f"pad: a padded {name} of {padded} is too large")
            count, rest = divmod(padded - window, self.strides[axis])
            # A window that would begin in the padding after the image is not taken.
            if ceil_mode and rest and (count + 1) * self.strides[axis] < size[axis] + pads[axis]:
                count += 1
                pads[axis + 2] += self.strides[axis] - rest
            outputs.append(count + 1)
        self.out_height, self.out_width = outputs
        self.pads = tuple(pads)

    @property
    def positions(self) -> int:
        return self.out_height * self.out_width
