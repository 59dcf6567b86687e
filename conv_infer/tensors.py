"""TensorProto to NumPy array: all storage forms, nothing copied that can be viewed, every size checked first."""

from __future__ import annotations

import sys

import numpy as np

from .element_types import element_dtype, element_name
from .errors import ModelError
from .external import ExternalData
from .wire import FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, Data, Varints, fields, key, signed, text

MAX_RANK = 32  # NumPy 1.26's limit
_MAX_BYTES = 1 << 62

_DIMS = key(1, VARINT)
_DIMS_PACKED = key(1, LENGTH_DELIMITED)
_DATA_TYPE = key(2, VARINT)
_SEGMENT = key(3, LENGTH_DELIMITED)
_FLOAT_DATA = (key(4, LENGTH_DELIMITED), key(4, FIXED32))
_INT32_DATA = (key(5, LENGTH_DELIMITED), key(5, VARINT))
_INT64_DATA = (key(7, LENGTH_DELIMITED), key(7, VARINT))
_NAME = key(8, LENGTH_DELIMITED)
_RAW_DATA = key(9, LENGTH_DELIMITED)
_DOUBLE_DATA = (key(10, LENGTH_DELIMITED), key(10, FIXED64))
_UINT64_DATA = (key(11, LENGTH_DELIMITED), key(11, VARINT))
_EXTERNAL_DATA = key(13, LENGTH_DELIMITED)
_DATA_LOCATION = key(14, VARINT)

_FIXED_DATA = frozenset(_FLOAT_DATA + _DOUBLE_DATA)
_VARINT_DATA = frozenset(_INT32_DATA + _INT64_DATA + _UINT64_DATA)

# Kind and item size of a dtype -> the typed field that stores it.
_FIELD_OF = {
    "f4": _FLOAT_DATA,
    "c8": _FLOAT_DATA,
    "f8": _DOUBLE_DATA,
    "c16": _DOUBLE_DATA,
    "i8": _INT64_DATA,
    "u4": _UINT64_DATA,
    "u8": _UINT64_DATA,
    "i1": _INT32_DATA,
    "i2": _INT32_DATA,
    "i4": _INT32_DATA,
    "u1": _INT32_DATA,
    "u2": _INT32_DATA,
    "b1": _INT32_DATA,
    "f2": _INT32_DATA,
}
_FIELD_NAMES = {4: "float_data", 5: "int32_data", 7: "int64_data", 10: "double_data", 11: "uint64_data"}


class Unsupported:
    """Stands for a tensor or type that conv_infer has no array for: an error only where something uses it."""

    __slots__ = ("reason",)

    def __init__(self, reason: str):
        self.reason = reason


class _Stored:
    """The typed data fields of one tensor as they come by: ranges of the file, or integers."""

    __slots__ = ("field", "second_field", "span", "loose", "varints")

    def __init__(self) -> None:
        self.field = 0  # number of the field that holds the data
        self.second_field = 0
        self.span: tuple[int, int] | None = None  # one packed run of fixed-size values, the usual case
        self.loose: bytearray | None = None  # several runs, joined
        self.varints: Varints | None = None

    def add(self, data: Data, found: int, value: int, last: int) -> None:
        number, wire_type = found >> 3, found & 7
        if self.field not in (0, number):
            self.second_field = number  # refused once the tensor's name is known
            return
        self.field = number
        if found in _FIXED_DATA:
            if self.span is None and self.loose is None:
                self.span = (value, last)
                return
            if self.loose is None:
                self.loose = bytearray(data[self.span[0] : self.span[1]])
                self.span = None
            self.loose += data[value:last]
            return
        if self.varints is None:
            self.varints = Varints()
        if wire_type == VARINT:
            self.varints.add(value)
        else:
            self.varints.add_packed(data, value, last)


def read_tensor(data: Data, start: int, end: int, external: ExternalData) -> tuple[str, np.ndarray | Unsupported]:
    """The name and the array of a TensorProto.

    Raw, packed and external data become read-only views, which need not be aligned; other forms become new arrays.
    Tensors of element types that NumPy lacks become `Unsupported`. Raises `ModelError` where the data does not fit the
    shape and element type.
    """
    name, data_type, segmented, is_external = "", 0, False, False
    dims: list[int] = []
    raw: tuple[int, int] | None = None
    stored: _Stored | None = None
    entries: dict[str, str] | None = None
    try:
        for found, value, last in fields(data, start, end):
            if found == _DIMS:
                dims.append(signed(value))
                if len(dims) > MAX_RANK:
                    raise ModelError(f"has more than {MAX_RANK} dimensions")
            elif found == _RAW_DATA:
                raw = (value, last)
            elif found == _DATA_TYPE:
                data_type = value
            elif found == _NAME:
                name = text(data, value, last)
            elif found in _FIXED_DATA or found in _VARINT_DATA:
                if last > value or found & 7 != LENGTH_DELIMITED:
                    stored = stored or _Stored()
                    stored.add(data, found, value, last)
            elif found == _DIMS_PACKED:
                packed = Varints()
                packed.add_packed(data, value, last)
                dims += packed.signed_list()
                if len(dims) > MAX_RANK:
                    raise ModelError(f"has more than {MAX_RANK} dimensions")
            elif found == _EXTERNAL_DATA:
                entries = entries or {}
                entry_key, entry_value = read_entry(data, value, last)
                entries[entry_key] = entry_value
            elif found == _DATA_LOCATION:
                is_external = value == 1
            elif found == _SEGMENT:
                segmented = True
        if segmented:
            return name, Unsupported("is stored in segments")
        if data_type == 0:
            raise ModelError("states no element type")
        dtype = element_dtype(data_type)
        if dtype is None:
            return name, Unsupported(f"has element type {element_name(data_type)}")
        size = _checked_bytes(dims, dtype)
        if is_external:
            where, offset = external.find(name, entries or {}, size)
            return name, _view(where, offset, dims, dtype, size)
        if raw is not None and (stored is None or raw[1] > raw[0]):
            if stored is not None:
                raise ModelError(f"stores its data twice, in raw_data and {_FIELD_NAMES[stored.field]}")
            if raw[1] - raw[0] != size:
                raise _wrong_size(dims, data_type, f"{size} bytes", f"raw_data holds {raw[1] - raw[0]}")
            return name, _view(data, raw[0], dims, dtype, size)
        return name, _from_typed(data, stored, dims, data_type, dtype, size)
    except ModelError as error:
        raise _named(name, error, start) from error


def read_entry(data: Data, start: int, end: int) -> tuple[str, str]:
    """A StringStringEntryProto."""
    entry_key = entry_value = ""
    for found, first, last in fields(data, start, end):
        if found == 10:
            entry_key = text(data, first, last)
        elif found == 18:
            entry_value = text(data, first, last)
    return entry_key, entry_value


def _named(name: str, error: ModelError, start: int) -> ModelError:
    message = str(error)
    if message.startswith(("tensor '", "the model is damaged")):
        return error
    return ModelError(f"tensor '{name}' {message} (at byte {start})")


def _checked_bytes(dims: list[int], dtype: np.dtype) -> int:
    size = dtype.itemsize
    bound = size  # leaves zeros out: NumPy bounds the product of the other sizes too
    for dim in dims:
        if dim < 0:
            raise ModelError(f"has a negative size in its shape {dims}")
        size *= dim
        bound *= dim or 1
        if bound > _MAX_BYTES:
            raise ModelError(f"has a shape, {dims}, of more bytes than memory can have")
    return size


def _view(data: Data, offset: int, dims: list[int], dtype: np.dtype, size: int) -> np.ndarray:
    if size == 0:
        return np.empty(dims, dtype)
    if sys.byteorder == "little":
        return np.frombuffer(data, dtype, size // dtype.itemsize, offset).reshape(dims)
    return np.frombuffer(data, dtype.newbyteorder("<"), size // dtype.itemsize, offset).reshape(dims).astype(dtype)


def _from_typed(
    data: Data, stored: _Stored | None, dims: list[int], data_type: int, dtype: np.dtype, size: int
) -> np.ndarray:
    field = _FIELD_OF[f"{dtype.kind}{dtype.itemsize}"]
    number = field[0] >> 3
    count = size // dtype.itemsize
    if stored is None:
        if size:
            raise _wrong_size(dims, data_type, f"{size} bytes", "it holds no data")
        return np.empty(dims, dtype)
    if stored.second_field:
        first, second = _FIELD_NAMES[stored.field], _FIELD_NAMES[stored.second_field]
        raise ModelError(f"stores its data twice, in {first} and {second}")
    if stored.field != number:
        raise ModelError(
            f"stores its data in {_FIELD_NAMES[stored.field]}, but element type {element_name(data_type)} belongs in "
            f"{_FIELD_NAMES[number]}"
        )
    if stored.varints is None:
        if stored.span is not None:
            where, offset, found = data, stored.span[0], stored.span[1] - stored.span[0]
        else:
            where, offset, found = bytes(stored.loose or b""), 0, len(stored.loose or b"")
        if found != size:
            raise _wrong_size(dims, data_type, f"{size} bytes", f"{_FIELD_NAMES[number]} holds {found}")
        return _view(where, offset, dims, dtype, size)
    values = stored.varints.values()
    if values.size != count:
        raise _wrong_size(dims, data_type, f"{count} numbers", f"{_FIELD_NAMES[number]} holds {values.size}")
    return _narrowed(values, data_type, dtype).reshape(dims)


def _narrowed(values: np.ndarray, data_type: int, dtype: np.dtype) -> np.ndarray:
    """The uint64 varints of a typed field as the element type; float16 is stored as its bit pattern."""
    if dtype.kind == "b":
        return values != 0
    if dtype.kind == "u":
        wide, bits = values, dtype
    else:
        wide, bits = values.view(np.int64), np.dtype(np.uint16) if dtype.kind == "f" else dtype
    limits = np.iinfo(bits)
    if wide.size and not (limits.min <= int(wide.min()) and int(wide.max()) <= limits.max):
        raise ModelError(f"holds a number that does not fit element type {element_name(data_type)}")
    return wide.astype(bits, copy=False).view(dtype)


def _wrong_size(dims: list[int], data_type: int, needed: str, found: str) -> ModelError:
    return ModelError(f"of shape {dims} and element type {element_name(data_type)} needs {needed}, but {found}")
