"""What the operator rules share: errors that name the node, attributes of the right kind, axes, integer inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ModelError, UnsupportedError
from ..graph import Node

MAX_ELEMENTS = 2**31 - 1  # of one tensor: what 32-bit counts inside the kernels can hold
MAX_RANK = 32  # what every supported NumPy can hold

Shape = tuple[int, ...]
Constants = Sequence[np.ndarray | None]


def describe(node: Node) -> str:
    """How messages name a node: `node 'conv1' (Conv, opset 11)`."""
    domain = f"{node.domain}." if node.domain else ""
    return f"node '{node.label}' ({domain}{node.op}, opset {node.version})"


def model_error(node: Node, text: str) -> ModelError:
    """The error to raise where a node contradicts the specification of its operator."""
    return ModelError(f"{describe(node)}: {text}")


def unsupported(node: Node, text: str) -> UnsupportedError:
    """The error to raise where a node is legal, but beyond what conv_infer does."""
    return UnsupportedError(f"{describe(node)}: {text}")


def dims(shape: Sequence[int | None]) -> str:
    """A shape in the manner of messages: `1x3x224x224`, `scalar`."""
    return "x".join("?" if size is None else str(size) for size in shape) or "scalar"


def tensor(node: Node, index: int, shape: Sequence[int]) -> str:
    """Input `index` and its shape in the manner of messages: `input 'x' (1x3x224x224)`."""
    return f"input '{node.inputs[index]}' ({dims(shape)})"


def has_input(node: Node, index: int) -> bool:
    """Whether the optional input is there."""
    return index < len(node.inputs) and bool(node.inputs[index])


def integer(node: Node, name: str, default: int | None = None) -> int:
    """An integer attribute; without a default it is required."""
    value = node.attrs.get(name, default)
    if isinstance(value, int):
        return value
    if value is None:
        raise model_error(node, f"attribute '{name}' is missing; the operator requires it")
    raise model_error(node, f"attribute '{name}' is {value!r}; an integer is expected")


def integers(node: Node, name: str, default: Sequence[int] | None = None) -> list[int] | None:
    """An attribute that is a list of integers, or the default."""
    value = node.attrs.get(name)
    if value is None:
        return None if default is None else list(default)
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, int) for item in value):
        raise model_error(node, f"attribute '{name}' is {value!r}; a list of integers is expected")
    return list(value)


def number(node: Node, name: str, default: float) -> float:
    """A float attribute."""
    value = node.attrs.get(name, default)
    if not isinstance(value, (int, float)):
        raise model_error(node, f"attribute '{name}' is {value!r}; a number is expected")
    return float(value)


def choice(node: Node, name: str, default: str, allowed: Sequence[str]) -> str:
    """A string attribute that must be one of a few words."""
    value = node.attrs.get(name, default)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value not in allowed:
        raise model_error(node, f"attribute '{name}' is {value!r}; one of {', '.join(allowed)} is expected")
    return value


def normalise_axis(node: Node, axis: int, rank: int) -> int:
    """An axis counted from the front; `ModelError` unless -rank <= axis < rank."""
    if -rank <= axis < rank:
        return axis + rank if axis < 0 else axis
    raise model_error(node, f"axis {axis} is outside the {rank} dimensions of input '{node.inputs[0]}'")


def normalise_axes(node: Node, axes: Sequence[int], rank: int) -> list[int]:
    """Axes counted from the front, in the order given; `ModelError` where one is out of range or named twice."""
    result = [normalise_axis(node, axis, rank) for axis in axes]
    if len(set(result)) != len(result):
        raise model_error(node, f"axes {list(axes)} name a dimension twice")
    return result


def vector(node: Node, constants: Constants, index: int) -> list[int] | None:
    """A constant integer input of one dimension (or none) as a list; None where its values are not known."""
    array = constants[index]
    if array is None:
        return None
    if array.ndim > 1 or array.dtype.kind not in "iu":
        raise model_error(
            node,
            f"input '{node.inputs[index]}' is {array.dtype} of shape {dims(array.shape)}; integers are expected",
        )
    if array.size > 4 * MAX_RANK:
        raise model_error(
            node, f"input '{node.inputs[index]}' holds {array.size} values; at most one per axis is expected"
        )
    return array.reshape(-1).tolist()


def scalar(node: Node, constants: Constants, index: int):
    """A constant input of one element as a Python number; None where its value is not known."""
    array = constants[index]
    if array is None:
        return None
    if array.size != 1:
        raise model_error(node, f"input '{node.inputs[index]}' has shape {dims(array.shape)}; one element is expected")
    return array.reshape(()).item()


def element_count(shape: Sequence[int]) -> int:
    """The number of elements of a tensor, in Python's unbounded integers."""
    count = 1
    for size in shape:
        count *= size
    return count


def check_sizes(node: Node, index: int, shape: Sequence[int | None]) -> None:
    """Raises unless output `index` may have this shape: no negative size, not too many elements or dimensions."""
    count = 1
    for size in shape:
        if size is not None:
            if size < 0:
                raise model_error(node, f"output '{node.outputs[index]}' would have the shape {dims(shape)}")
            count *= size
    if count > MAX_ELEMENTS:
        raise unsupported(
            node,
            f"output '{node.outputs[index]}' would have the shape {dims(shape)}, {count} elements; "
            f"at most {MAX_ELEMENTS} are supported",
        )
    if len(shape) > MAX_RANK:
        raise unsupported(
            node, f"output '{node.outputs[index]}' would have {len(shape)} dimensions; at most {MAX_RANK} are supported"
        )


def optional_vector_or_attribute(
    node: Node, constants: Constants, name: str, index: int, since: int
) -> tuple[bool, list[int] | None]:
    """Integers that are attribute `name` before opset `since` and input `index` from then on.

    Returns (known, values): values is None where they were left out; known is False where the input is computed.
    """
    if node.version < since:
        return True, integers(node, name)
    if not has_input(node, index):
        return True, None
    values = vector(node, constants, index)
    return values is not None, values
