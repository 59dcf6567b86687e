"""ValueInfoProto and TypeProto: what a model declares of its inputs and outputs."""

from __future__ import annotations

from .element_types import element_dtype, element_name
from .errors import ModelError
from .graph import Dim, TensorType
from .model import ValueInfo
from .tensors import MAX_RANK, Unsupported
from .wire import LENGTH_DELIMITED, VARINT, Data, fields, key, signed, text

_NAME = key(1, LENGTH_DELIMITED)
_TYPE = key(2, LENGTH_DELIMITED)
_TENSOR_TYPE = key(1, LENGTH_DELIMITED)
_ELEMENT_TYPE = key(1, VARINT)
_SHAPE = key(2, LENGTH_DELIMITED)
_DIM = key(1, LENGTH_DELIMITED)
_DIM_VALUE = key(1, VARINT)
_DIM_PARAM = key(2, LENGTH_DELIMITED)

# Field numbers of TypeProto other than tensors.
_OTHER_TYPES = {4: "a sequence", 5: "a map", 7: "an opaque value", 8: "a sparse tensor", 9: "an optional value"}


class Declared:
    """A declared tensor: `type` is None where the model leaves it out, `Unsupported` where NumPy has no such type."""

    __slots__ = ("name", "type")

    def __init__(self, name: str, type_: TensorType | Unsupported | None):
        self.name = name
        self.type = type_

    def value_info(self, role: str, problems: list[str]) -> ValueInfo:
        """What `Model` tells of it; appends to `problems` where its type is not supported."""
        if isinstance(self.type, Unsupported):
            problems.append(f"graph {role} '{self.name}' {self.type.reason}, which is not supported")
            return ValueInfo(self.name, None, None)
        if self.type is None:
            return ValueInfo(self.name, None, None)
        shape = self.type.shape
        return ValueInfo(self.name, self.type.dtype, None if shape is None else list(shape))


def read_declaration(data: Data, start: int, end: int) -> Declared:
    """A ValueInfoProto."""
    name = ""
    declared: TensorType | Unsupported | None = None
    try:
        for found, first, last in fields(data, start, end):
            if found == _NAME:
                name = text(data, first, last)
            elif found == _TYPE:
                declared = _read_type(data, first, last)
    except ModelError as error:
        raise ModelError(f"input or output '{name}': {error}") from error
    return Declared(name, declared)


def _read_type(data: Data, start: int, end: int) -> TensorType | Unsupported | None:
    for found, first, last in fields(data, start, end):
        if found == _TENSOR_TYPE:
            return _read_tensor_type(data, first, last)
        if found >> 3 in _OTHER_TYPES:
            return Unsupported(f"is {_OTHER_TYPES[found >> 3]}")
    return None


def _read_tensor_type(data: Data, start: int, end: int) -> TensorType | Unsupported | None:
    number = 0
    shape: tuple[Dim, ...] | None = None
    for found, first, last in fields(data, start, end):
        if found == _ELEMENT_TYPE:
            number = first
        elif found == _SHAPE:
            shape = _read_shape(data, first, last)
    if number == 0:
        return None
    dtype = element_dtype(number)
    if dtype is None:
        return Unsupported(f"has element type {element_name(number)}")
    return TensorType(dtype, shape)


def _read_shape(data: Data, start: int, end: int) -> tuple[Dim, ...]:
    dims: list[Dim] = []
    for found, first, last in fields(data, start, end):
        if found == _DIM:
            dims.append(_read_dim(data, first, last))
            if len(dims) > MAX_RANK:
                raise ModelError(f"it has more than {MAX_RANK} dimensions")
    return tuple(dims)


def _read_dim(data: Data, start: int, end: int) -> Dim:
    size: Dim = None
    for found, value, last in fields(data, start, end):
        if found == _DIM_VALUE:
            number = signed(value)
            if number < -1:
                raise ModelError(f"its shape has the size {number}")
            size = None if number == -1 else number  # exporters write -1 for a size left open
        elif found == _DIM_PARAM:
            size = text(data, value, last) or None
    return size
