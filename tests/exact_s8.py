"""The exact reference of the int8 kernels: NumPy in int64, and both rules of requantising."""

import os

import numpy as np
import pytest

from conv_infer import _core

INT32 = np.iinfo(np.int32)


def kernels_of(operation: str) -> list[_core.Kernel]:
    return [kernel for kernel in _core.kernels() if kernel.operation == operation]


def runnable(kernel: _core.Kernel) -> _core.Kernel:
    needed = "neon" if kernel.isa == "a53" else kernel.isa  # it differs in the order of its instructions
    if needed not in _core.isa_allowed(os.environ.get("CONV_INFER_ISA") or None):
        pytest.skip(f"{kernel.isa}: not on this machine, or not allowed")
    return kernel


def by_scale(sums: np.ndarray, scale: np.ndarray, zero_point: int) -> np.ndarray:
    """ONNX QLinearConv: float32 scale, half to even; sums [..., columns]."""
    assert sums.min(initial=0) >= INT32.min and sums.max(initial=0) <= INT32.max
    with np.errstate(over="ignore"):  # infinity saturates like any large value
        return np.rint(sums.astype(np.float32) * scale.astype(np.float32)).astype(np.float64) + zero_point


def by_multiplier(sums: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, zero_point: int) -> np.ndarray:
    """TFLite: Q31 multiplier and shift, rounded twice."""
    left, right = np.maximum(shift, 0).astype(np.int64), np.maximum(-shift, 0).astype(np.int64)
    high = ((sums.astype(np.int64) << left) * multiplier.astype(np.int64) + (1 << 30)) >> 31
    magnitude = (np.abs(high) + ((1 << right) >> 1)) >> right
    return np.sign(high) * magnitude + zero_point


class Rule:
    """One way to requantise `columns` columns, as a kernel is told and as the reference computes."""

    def __init__(
        self,
        kind: str,
        columns: int,
        spread: float,
        rng: np.random.Generator,
        *,
        minimum=0,
        maximum=255,
        flip=0,
        zero_point=None,
    ):
        """`spread`: how large the sums are; scales are chosen so that some outputs saturate."""
        self.kind, self.minimum, self.maximum, self.flip = kind, minimum, maximum, flip
        self.zero_point = int(rng.integers(0, 256)) if zero_point is None else zero_point
        self.scale = (rng.uniform(0.2, 2.0, columns) * 150 / max(spread, 1)).astype(np.float32)
        mantissa, exponent = np.frexp(self.scale.astype(np.float64))
        self.multiplier = np.minimum(np.rint(mantissa * 2**31), 2**31 - 1).astype(np.int64).astype(np.int32)
        self.shift = exponent.astype(np.int32)

    def argument(self, order=lambda values: values) -> _core.Requantise:
        """`order` brings values of each column into a kernel's own order."""
        if self.kind == "none":
            return _core.Requantise()
        common = {
            "zero_point": self.zero_point, "minimum": self.minimum, "maximum": self.maximum, "flip": self.flip,
        }  # fmt: skip
        if self.kind == "scale":
            return _core.Requantise(scale=order(self.scale), **common)
        return _core.Requantise(multiplier=order(self.multiplier), shift=order(self.shift), **common)

    def unsigned(self, sums: np.ndarray) -> np.ndarray:
        """Outputs in unsigned terms."""
        if self.kind == "scale":
            values = by_scale(sums, self.scale, self.zero_point)
        else:
            values = by_multiplier(sums, self.multiplier, self.shift, self.zero_point)
        return np.clip(values, self.minimum, self.maximum).astype(np.int64)

    def expected(self, sums: np.ndarray) -> np.ndarray:
        if self.kind == "none":
            return sums.astype(np.int32)
        return (self.unsigned(sums) ^ self.flip).astype(np.uint8)


def random_bytes(rng: np.random.Generator, shape, extremes: bool) -> np.ndarray:
    if extremes:
        return rng.choice(np.array([0, 255, 0, 255, 128], np.uint8), shape)
    return rng.integers(0, 256, shape, dtype=np.uint8)


def random_weights(rng: np.random.Generator, shape, dtype, extremes: bool) -> np.ndarray:
    """With extremes: pairs such as (127, 127) and (-128, -128), whose products saturate vpmaddubsw."""
    info = np.iinfo(dtype)
    if extremes:
        return rng.choice(np.array([info.min, info.max], dtype), shape)
    return rng.integers(info.min, info.max + 1, shape, dtype=dtype)
