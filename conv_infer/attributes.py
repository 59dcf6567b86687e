"""AttributeProto to Python: int, float, str, lists of them, arrays, graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import ModelError
from .external import ExternalData
from .graph import Graph
from .tensors import Unsupported, read_tensor
from .wire import FIXED32, LENGTH_DELIMITED, VARINT, Data, Varints, fields, float32, key, signed, text

_NAME = key(1, LENGTH_DELIMITED)
_FLOAT = key(2, FIXED32)
_INT = key(3, VARINT)
_STRING = key(4, LENGTH_DELIMITED)
_TENSOR = key(5, LENGTH_DELIMITED)
_GRAPH = key(6, LENGTH_DELIMITED)
_FLOATS = key(7, FIXED32)
_FLOATS_PACKED = key(7, LENGTH_DELIMITED)
_INTS = key(8, VARINT)
_INTS_PACKED = key(8, LENGTH_DELIMITED)
_STRINGS = key(9, LENGTH_DELIMITED)
_TENSORS = key(10, LENGTH_DELIMITED)
_GRAPHS = key(11, LENGTH_DELIMITED)
_TYPE = key(20, VARINT)
_REFERENCE = key(21, LENGTH_DELIMITED)

# AttributeProto.AttributeType
FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, STRINGS, TENSORS, GRAPHS = range(1, 11)
_TYPE_NAMES = {
    FLOAT: "FLOAT",
    INT: "INT",
    STRING: "STRING",
    TENSOR: "TENSOR",
    GRAPH: "GRAPH",
    FLOATS: "FLOATS",
    INTS: "INTS",
    STRINGS: "STRINGS",
    TENSORS: "TENSORS",
    GRAPHS: "GRAPHS",
    11: "SPARSE_TENSOR",
    12: "SPARSE_TENSORS",
    13: "TYPE_PROTO",
    14: "TYPE_PROTOS",
}
_ABSENT = {FLOAT: 0.0, INT: 0, STRING: ""}  # protobuf writers may leave a default value out


class AttributeReference:
    """The value of an attribute inside a local function: what the caller's attribute of that name says."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name


def read_attribute(
    data: Data, start: int, end: int, external: ExternalData, read_graph: Callable[[int, int], Graph]
) -> tuple[str, Any]:
    """The name and the value of an AttributeProto.

    Values are int, float, str (bytes where it is not UTF-8), array, `Graph`, lists of these, `AttributeReference`
    inside functions, or `Unsupported`. `read_graph` reads a subgraph from a byte range.
    """
    name = reference = ""
    declared = found_type = 0
    value: Any = None
    values: list[Any] = []
    integers: Varints | None = None
    for found, first, last in fields(data, start, end):
        if found == _NAME:
            name = text(data, first, last)
        elif found == _TYPE:
            declared = first
        elif found == _INTS:
            found_type = INTS
            values.append(signed(first))
        elif found == _INT:
            found_type, value = INT, signed(first)
        elif found == _FLOAT:
            found_type, value = FLOAT, float32(data, first)
        elif found == _STRING:
            found_type, value = STRING, _string(data, first, last)
        elif found == _FLOATS:
            found_type = FLOATS
            values.append(float32(data, first))
        elif found == _STRINGS:
            found_type = STRINGS
            values.append(_string(data, first, last))
        elif found == _INTS_PACKED:
            found_type = INTS
            integers = Varints()
            integers.add_packed(data, first, last)
            values += integers.signed_list()
        elif found == _FLOATS_PACKED:
            found_type = FLOATS
            if (last - first) % 4:
                raise ModelError(f"attribute '{name}': its {last - first} bytes of floats are not a multiple of 4")
            values += [float32(data, position) for position in range(first, last, 4)]
        elif found == _TENSOR:
            found_type, value = TENSOR, read_tensor(data, first, last, external)[1]
        elif found == _TENSORS:
            found_type = TENSORS
            values.append(read_tensor(data, first, last, external)[1])
        elif found == _GRAPH:
            found_type, value = GRAPH, read_graph(first, last)
        elif found == _GRAPHS:
            found_type = GRAPHS
            values.append(read_graph(first, last))
        elif found == _REFERENCE:
            reference = text(data, first, last)
    if not name:
        raise ModelError(f"an attribute has no name (at byte {start})")
    if reference:
        return name, AttributeReference(reference)
    kind = declared or found_type
    if kind in (TENSORS, GRAPHS) or kind not in _TYPE_NAMES or kind > GRAPHS:
        return name, Unsupported(f"is of type {_TYPE_NAMES.get(kind, kind)}")
    if found_type not in (0, kind):
        raise ModelError(f"attribute '{name}' is declared as {_TYPE_NAMES[kind]}, but holds {_TYPE_NAMES[found_type]}")
    if kind >= FLOATS:
        return name, values
    if found_type == 0:
        if kind not in _ABSENT:
            raise ModelError(f"attribute '{name}' is declared as {_TYPE_NAMES[kind]}, but holds nothing")
        return name, _ABSENT[kind]
    return name, value


def _string(data: Data, start: int, end: int) -> str | bytes:
    stored = data[start:end]
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored
