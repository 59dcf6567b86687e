"""Convolution in the sense of signal processing: the second operand is turned round."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InputError
from .ops_conv import Convolution
from .ops_geometry import DTYPES, Geometry, array_of

MODES = ("full", "same", "valid")
CONVERTED = ("bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16")


def convolve1d(a: Any, b: Any, mode: str = "full") -> np.ndarray:
    """The convolution of two sequences, of lengths m and n: sum over k of a[k] * b[i - k].

    `mode`: "full", all m + n - 1 places where they overlap (it commutes: a and b may change places); "same", the middle
    m of these, from number (n - 1) // 2 on, as SciPy has it (MATLAB's conv begins at n // 2, one later where n is
    even); "valid", the m - n + 1 places where b lies wholly inside a (it does not commute: b must not be the longer
    one).

    Two arrays of one dtype among float32, float64, int8 and uint8 are computed in it, the 8-bit ones exactly, to int32;
    everything else in float64 (exact for integers up to 2**53). Raises `conv_infer.InputError` naming the argument that
    is at fault.

    Source: MATLAB's conv, scipy.signal.convolve.
    """
    a, b = _operands(a, b, 1)
    return _convolve(a[None], b[None], mode)[0]


def convolve2d(a: Any, b: Any, mode: str = "full") -> np.ndarray:
    """The convolution of two matrices: `convolve1d` along both axes, [m0, m1] with [n0, n1].

    Source: MATLAB's conv2, scipy.signal.convolve2d with zeros at the boundary.
    """
    a, b = _operands(a, b, 2)
    return _convolve(a, b, mode)


def _operands(a: Any, b: Any, rank: int) -> tuple[np.ndarray, np.ndarray]:
    a = array_of("a", a, (rank,), (*DTYPES, *CONVERTED))
    b = array_of("b", b, (rank,), (*DTYPES, *CONVERTED))
    if a.dtype == b.dtype and a.dtype.name in DTYPES:
        return a, b
    return a.astype(np.float64), b.astype(np.float64)


def _convolve(a: np.ndarray, b: np.ndarray, mode: str) -> np.ndarray:
    if not isinstance(mode, str) or mode not in MODES:
        raise InputError(f"mode: {mode!r} is not one of {', '.join(MODES)}")
    if mode == "valid":
        pads = (0, 0, 0, 0)
        if b.shape[0] > a.shape[0] or b.shape[1] > a.shape[1]:
            raise InputError(f"b: of shape {list(b.shape)}, does not lie inside a, of shape {list(a.shape)}")
    elif mode == "full":
        pads = (b.shape[0] - 1, b.shape[1] - 1) * 2
    else:
        pads = (b.shape[0] // 2, b.shape[1] // 2, (b.shape[0] - 1) // 2, (b.shape[1] - 1) // 2)
    geometry = Geometry(a.shape, b.shape, 1, pads, 1, kernel_name="b")
    image = np.ascontiguousarray(a)[None, :, :, None]
    kernel = np.ascontiguousarray(b[::-1, ::-1])[None, :, :, None]
    return Convolution(image, kernel, None, geometry).run()[0, :, :, 0]
