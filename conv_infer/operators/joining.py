"""Concat and Split."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from .checks import (
    Constants,
    Shape,
    dims,
    has_input,
    integer,
    model_error,
    normalise_axis,
    optional_vector_or_attribute,
    tensor,
)
from .quantisation import check_scale


def resolve_concat_axis(node: Node, rank: int) -> int:
    """The axis of Concat-4/11/13, counted from the front."""
    return normalise_axis(node, integer(node, "axis"), rank)


def concat(node: Node, shapes: list, constants: list) -> list:
    """Concat-4/11/13."""
    first = shapes[0]
    axis = resolve_concat_axis(node, len(first))
    return [joined(node, dict(enumerate(shapes)), axis)]


def joined(node: Node, shapes: dict[int, Shape], axis: int) -> Shape:
    """The shape of inputs (by their index) put together along an axis."""
    first_index, first = next(iter(shapes.items()))
    total = 0
    for index, shape in shapes.items():
        if len(shape) != len(first) or shape[:axis] != first[:axis] or shape[axis + 1 :] != first[axis + 1 :]:
            raise model_error(
                node,
                f"{tensor(node, index, shape)} does not match {tensor(node, first_index, first)}; "
                f"all dimensions but {axis} must be equal",
            )
        total += shape[axis]
    return (*first[:axis], total, *first[axis + 1 :])


def evaluate_concat(node: Node, arrays: list) -> list:
    """Concat."""
    return [np.concatenate(arrays, axis=resolve_concat_axis(node, arrays[0].ndim))]


def resolve_split(node: Node, shape: Shape, constants: Constants) -> tuple[int, list[int]] | None:
    """The axis and the sizes of Split's outputs; None where the graph computes the sizes.

    Sizes are attribute `split` up to opset 12 and an input from 13 on. Without them the parts are equal; from opset 18
    on `num_outputs` allows a smaller last part.
    """
    axis = normalise_axis(node, integer(node, "axis", 0), len(shape))
    count = len(node.outputs)
    size = shape[axis]
    known, sizes = optional_vector_or_attribute(node, constants, "split", 1, 13)
    if not known:
        return None
    if sizes is None:
        if "num_outputs" in node.attrs and integer(node, "num_outputs") != count:
            raise model_error(node, f"attribute 'num_outputs' is {node.attrs['num_outputs']}; it has {count} outputs")
        part = -(-size // count)
        sizes = [part] * (count - 1) + [size - part * (count - 1)]
        if sizes[-1] < 0 or (size % count and node.version < 18):
            raise model_error(
                node,
                f"{tensor(node, 0, shape)} has size {size} in dimension {axis}, which {count} outputs do not divide",
            )
    elif "num_outputs" in node.attrs:
        raise model_error(node, f"it has both attribute 'num_outputs' and input '{node.inputs[1]}'")
    if len(sizes) != count or sum(sizes) != size or min(sizes) < 0:
        raise model_error(
            node, f"the sizes {sizes} do not divide dimension {axis} of {tensor(node, 0, shape)} among {count} outputs"
        )
    return axis, sizes


def split(node: Node, shapes: list, constants: list) -> list:
    """Split-2/11/13/18."""
    shape = shapes[0]
    resolved = resolve_split(node, shape, constants)
    if resolved is None:
        return [None] * len(node.outputs)
    axis, sizes = resolved
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def evaluate_split(node: Node, arrays: list) -> list:
    """Split."""
    axis, sizes = resolve_split(node, arrays[0].shape, arrays)
    return np.split(arrays[0], np.cumsum(sizes[:-1]), axis=axis)


def qlinear_concat(node: Node, shapes: list, constants: list) -> list:
    """com.microsoft.QLinearConcat: scale and zero point of the output, then (tensor, scale, zero point)..."""
    if len(shapes) < 5 or (len(shapes) - 2) % 3 or not has_input(node, 2):
        raise model_error(node, f"it has {len(shapes)} inputs; 2 and then 3 for every tensor are expected")
    tensors = {index: shapes[index] for index in range(2, len(shapes), 3)}
    axis = resolve_concat_axis(node, len(shapes[2]))
    for index in range(len(shapes)):
        if index in tensors:
            continue
        if any(size != 1 for size in shapes[index] or ()):
            raise model_error(node, f"{tensor(node, index, shapes[index])} must be a scalar, not {dims(shapes[index])}")
        if index % 3 == 0:
            check_scale(node, constants, index)
        elif constants[index] is not None and constants[1] is not None and constants[index].dtype != constants[1].dtype:
            raise model_error(
                node, f"input '{node.inputs[index]}' is {constants[index].dtype}; {constants[1].dtype} is expected"
            )
    return [joined(node, tensors, axis)]
