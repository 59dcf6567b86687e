"""ONNX element types (`TensorProto.DataType`): their numbers, names and NumPy dtypes."""

from __future__ import annotations

import numpy as np

# Number -> name as in "tensor(float)", NumPy's dtype or None where NumPy has none: such tensors are not supported.
ELEMENT_TYPES: dict[int, tuple[str, np.dtype | None]] = {
    1: ("float", np.dtype(np.float32)),
    2: ("uint8", np.dtype(np.uint8)),
    3: ("int8", np.dtype(np.int8)),
    4: ("uint16", np.dtype(np.uint16)),
    5: ("int16", np.dtype(np.int16)),
    6: ("int32", np.dtype(np.int32)),
    7: ("int64", np.dtype(np.int64)),
    8: ("string", None),
    9: ("bool", np.dtype(np.bool_)),
    10: ("float16", np.dtype(np.float16)),
    11: ("double", np.dtype(np.float64)),
    12: ("uint32", np.dtype(np.uint32)),
    13: ("uint64", np.dtype(np.uint64)),
    14: ("complex64", np.dtype(np.complex64)),
    15: ("complex128", np.dtype(np.complex128)),
    16: ("bfloat16", None),
    17: ("float8e4m3fn", None),
    18: ("float8e4m3fnuz", None),
    19: ("float8e5m2", None),
    20: ("float8e5m2fnuz", None),
    21: ("uint4", None),
    22: ("int4", None),
    23: ("float4e2m1", None),
    24: ("float8e8m0", None),
    25: ("uint2", None),
    26: ("int2", None),
    27: ("float6e2m3", None),
    28: ("float6e3m2", None),
}

_NUMBERS = {dtype: number for number, (_, dtype) in ELEMENT_TYPES.items() if dtype is not None}


def element_name(number: int) -> str:
    """The name of an element type, "float" for 1; unknown numbers are named as such."""
    return ELEMENT_TYPES[number][0] if number in ELEMENT_TYPES else f"element type {number}"


def element_dtype(number: int) -> np.dtype | None:
    """NumPy's dtype of an element type; None where NumPy has none, or the number is unknown."""
    return ELEMENT_TYPES[number][1] if number in ELEMENT_TYPES else None


def element_number(dtype: np.dtype) -> int:
    """The ONNX number of a NumPy dtype; raises KeyError where ONNX has none."""
    return _NUMBERS[np.dtype(dtype)]


def type_string(dtype: np.dtype) -> str:
    """The type of a tensor as onnxruntime writes it: "tensor(float)" for float32."""
    return f"tensor({ELEMENT_TYPES[_NUMBERS[np.dtype(dtype)]][0]})"
