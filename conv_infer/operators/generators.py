"""Operators that make tensors from values: ConstantOfShape, Range, OneHot, EyeLike; and data-dependent ones."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node
from .checks import integer, model_error, normalise_axis, scalar, tensor, vector
from .shapes import element_type

# ConstantOfShape ----------------------------------------------------------------------------------------------------


def _fill_value(node: Node) -> np.ndarray:
    value = node.attrs.get("value")
    if value is None:
        return np.zeros((), np.float32)
    if not isinstance(value, np.ndarray) or value.size != 1:
        raise model_error(node, "attribute 'value' must be a tensor of one element")
    return value.reshape(())


def constant_of_shape(node: Node, shapes: list, constants: list) -> list:
    """ConstantOfShape-9/20/21."""
    target = vector(node, constants, 0)
    return [None if target is None else tuple(target)]


def constant_of_shape_type(node: Node, dtypes: list) -> list:
    """ConstantOfShape: the type of attribute `value`, float32 without it."""
    return [_fill_value(node).dtype]


def evaluate_constant_of_shape(node: Node, arrays: list) -> list:
    """ConstantOfShape: a view of one element, whatever the size."""
    return [np.broadcast_to(_fill_value(node), arrays[0].reshape(-1).tolist())]


# Range, OneHot, EyeLike ---------------------------------------------------------------------------------------------


def range_(node: Node, shapes: list, constants: list) -> list:
    """Range-11/27: max(ceil((limit - start) / delta), 0) numbers."""
    start, limit, delta = (scalar(node, constants, index) for index in range(3))
    if delta == 0:
        raise model_error(node, f"input '{node.inputs[2]}' (delta) is 0")
    if None in (start, limit, delta):
        return [(None,)]
    count = (limit - start) / delta
    if not math.isfinite(count):
        raise model_error(node, f"the range from {start} to {limit} in steps of {delta} has no length")
    return [(max(math.ceil(count), 0),)]


def evaluate_range(node: Node, arrays: list) -> list:
    """Range."""
    start, _, delta = (array.reshape(()) for array in arrays)
    (count,) = range_(node, [()] * 3, arrays)[0]
    return [np.asarray(start + np.arange(count, dtype=start.dtype) * delta, dtype=start.dtype)]


def one_hot(node: Node, shapes: list, constants: list) -> list:
    """OneHot-9/11: the new dimension of size `depth` at `axis`."""
    indices = shapes[0]
    axis = normalise_axis(node, integer(node, "axis", -1), len(indices) + 1)
    depth = scalar(node, constants, 1)
    if depth is not None and not 1 <= depth < math.inf:
        raise model_error(node, f"input '{node.inputs[1]}' (depth) is {depth}; at least 1 is expected")
    if shapes[2] != (2,):
        raise model_error(node, f"{tensor(node, 2, shapes[2])} must hold two values")
    return [(*indices[:axis], None if depth is None else int(depth), *indices[axis:])]


def evaluate_one_hot(node: Node, arrays: list) -> list:
    """OneHot: indices outside -depth..depth-1 give a row without the on value."""
    indices, depth, values = arrays
    depth = int(depth.reshape(-1)[0])
    axis = normalise_axis(node, integer(node, "axis", -1), indices.ndim + 1)
    positions = np.arange(depth).reshape((depth,) + (1,) * (indices.ndim - axis))
    wrapped = np.where(indices < 0, indices + depth, indices)
    return [np.where(np.expand_dims(wrapped, axis) == positions, values[1], values[0])]


def eye_like(node: Node, shapes: list, constants: list) -> list:
    """EyeLike-9/22."""
    if len(shapes[0]) != 2:
        raise model_error(node, f"{tensor(node, 0, shapes[0])} must have 2 dimensions")
    return [shapes[0]]


def eye_like_type(node: Node, dtypes: list) -> list:
    """EyeLike: attribute `dtype`, else the input's type."""
    return [element_type(node, "dtype") if "dtype" in node.attrs else dtypes[0]]


def evaluate_eye_like(node: Node, arrays: list) -> list:
    """EyeLike."""
    dtype = eye_like_type(node, [arrays[0].dtype])[0]
    return [np.eye(*arrays[0].shape, k=integer(node, "k", 0), dtype=dtype)]


# Sizes that depend on the data --------------------------------------------------------------------------------------


def non_zero(node: Node, shapes: list, constants: list) -> list:
    """NonZero-9/13: [rank, found]."""
    return [(max(len(shapes[0]), 1), None)]


def evaluate_non_zero(node: Node, arrays: list) -> list:
    """NonZero."""
    return [np.array(np.nonzero(np.atleast_1d(arrays[0])), dtype=np.int64)]


def non_max_suppression(node: Node, shapes: list, constants: list) -> list:
    """NonMaxSuppression-10/11: [found, 3]."""
    boxes, scores = shapes[:2]
    if len(boxes) != 3 or boxes[-1] != 4 or len(scores) != 3 or scores[0] != boxes[0] or scores[2] != boxes[1]:
        raise model_error(
            node, f"{tensor(node, 0, boxes)} and {tensor(node, 1, scores)} must be [n,boxes,4] and [n,classes,boxes]"
        )
    return [(None, 3)]


def unknown(node: Node, shapes: list, constants: list) -> list:
    """Shapes that only the data can tell, or that are left to the reference."""
    return [None] * len(node.outputs)


def compress(node: Node, shapes: list, constants: list) -> list:
    """Compress-9/11: as many as the condition has ones."""
    shape = shapes[0]
    if "axis" not in node.attrs:
        return [(None,)]
    axis = normalise_axis(node, integer(node, "axis"), len(shape))
    return [(*shape[:axis], None, *shape[axis + 1 :])]
