"""Quantised tensors as the passes see them: 8-bit levels, the numbers they stand for, and functions as tables.

A float32 tensor that is an elementwise function of a quantised one has at most 256 different values. As long as nobody
needs it in float32 it exists only as `Levels`: the quantised tensor and a table of the function.
"""

from __future__ import annotations

import numpy as np

INT8 = np.dtype(np.int8)
UINT8 = np.dtype(np.uint8)
QUANTISED = (INT8, UINT8)


def every_level(dtype: np.dtype) -> np.ndarray:
    """All 256 levels of int8 or uint8, in the order of their unsigned byte patterns: the order of every table."""
    return np.arange(256, dtype=np.uint8).view(dtype)


def saturate(levels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.clip(levels, limits.min, limits.max).astype(dtype)


class Quantisation:
    """Levels of one 8-bit type that stand for (level - zero_point) * scale, in float32."""

    __slots__ = ("dtype", "scale", "zero_point")

    def __init__(self, scale: np.float32, zero_point: int, dtype: np.dtype):
        self.scale = np.float32(scale)
        self.zero_point = int(zero_point)
        self.dtype = np.dtype(dtype)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantisation) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> tuple:
        return self.scale, self.zero_point, self.dtype

    @property
    def lowest(self) -> int:
        return int(np.iinfo(self.dtype).min)

    @property
    def highest(self) -> int:
        return int(np.iinfo(self.dtype).max)

    def reals(self) -> np.ndarray:
        """What every level stands for: float32 [256]."""
        return (every_level(self.dtype).astype(np.int32) - self.zero_point).astype(np.float32) * self.scale

    def levels(self, reals: np.ndarray) -> np.ndarray:
        """QuantizeLinear: saturate(round half to even(x / scale) + zero_point)."""
        rounded = np.rint(np.asarray(reals, np.float32) / self.scale)
        return saturate(np.nan_to_num(rounded, nan=0.0).astype(np.float64) + self.zero_point, self.dtype)

    def level(self, real: float) -> int:
        return int(self.levels(np.array(real, np.float32)))


class Levels:
    """A float32 tensor that is not computed so far: reals[level] of each element of the quantised tensor `source`.

    `quantisation` says how, where the tensor is just `source` dequantised; else it is None.
    """

    __slots__ = ("quantisation", "reals", "source")

    def __init__(self, source: str, quantisation: Quantisation | None, reals: np.ndarray | None = None):
        self.source = source
        self.quantisation = quantisation
        self.reals = quantisation.reals() if reals is None else reals  # type: ignore[union-attr]

    def ascends(self, dtype: np.dtype) -> bool:
        """Whether a greater level never stands for a smaller number."""
        if self.quantisation is not None:
            return True
        in_order = self.reals[np.argsort(every_level(dtype), kind="stable")]
        return bool((np.diff(in_order) >= 0).all())


class Weights:
    """A constant float32 tensor that is given as integers: (array - zero_point) * scale.

    `scale` (float32) and `zero_point` (int64) hold one element, or one for each index along `axis`.
    """

    __slots__ = ("array", "axis", "scale", "zero_point")

    def __init__(self, array: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, axis: int | None):
        self.array = array
        self.scale = scale
        self.zero_point = zero_point
        self.axis = axis

    def reals(self) -> np.ndarray:
        shape = () if self.axis is None else (-1,) + (1,) * (self.array.ndim - self.axis - 1)
        zero_point, scale = self.zero_point.reshape(shape), self.scale.reshape(shape)
        if not zero_point.any():
            return self.array.astype(np.float32) * scale
        return (self.array.astype(np.int64) - zero_point).astype(np.float32) * scale

    def quantisation(self) -> Quantisation | None:
        """That of the whole tensor, where it has one and is of 8 bits."""
        if self.axis is not None or self.array.dtype not in QUANTISED:
            return None
        return Quantisation(self.scale.reshape(-1)[0], self.zero_point.reshape(-1)[0], self.array.dtype)


def table_of_clip(table: np.ndarray, dtype: np.dtype) -> tuple[int, int] | None:
    """The bounds, where a table only limits levels of its own type to a range."""
    if table.dtype != dtype:
        return None
    low, high = int(table.min()), int(table.max())
    return (low, high) if (table == np.clip(every_level(dtype), low, high)).all() else None


def multiply_add(a: np.ndarray, b: np.float32, c) -> np.ndarray:
    """The fused multiply-add of float32: a * b is exact in float64, and so is the sum at these magnitudes."""
    return (a.astype(np.float64) * np.float64(b) + np.float64(c)).astype(np.float32)


def add_levels(a: np.ndarray, qa: Quantisation, b: np.ndarray, qb: Quantisation, qy: Quantisation) -> np.ndarray:
    """The planned operator QBinary, kind "add": round(fma(a, ra, fma(b, rb, c))), ra and rb the ratios of scales."""
    ra, rb = qa.scale / qy.scale, qb.scale / qy.scale
    zeros = [np.float32(each.zero_point) for each in (qa, qb, qy)]
    constant = zeros[2] - multiply_add(zeros[0], ra, rb * zeros[1])
    inner = multiply_add(b.astype(np.float32), rb, constant)
    return saturate(np.rint(multiply_add(a.astype(np.float32), ra, inner)), qy.dtype)


def multiply_levels(a: np.ndarray, qa: Quantisation, b: np.ndarray, qb: Quantisation, qy: Quantisation) -> np.ndarray:
    """The planned operator QBinary, kind "mul": round(float32(product of a and b less zero points) * ratio + zero)."""
    product = (a.astype(np.int32) - qa.zero_point) * (b.astype(np.int32) - qb.zero_point)
    ratio = qa.scale * qb.scale / qy.scale
    return saturate(np.rint(product.astype(np.float32) * ratio + np.float32(qy.zero_point)), qy.dtype)
