"""Shapes as values, and operators that keep the elements and change the shape or the element type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..element_types import ELEMENT_TYPES, element_dtype, element_name
from ..graph import Node
from .checks import (
    Constants,
    Shape,
    dims,
    element_count,
    has_input,
    integer,
    integers,
    model_error,
    normalise_axes,
    normalise_axis,
    optional_vector_or_attribute,
    scalar,
    tensor,
    unsupported,
    vector,
)


def element_type(node: Node, name: str, default: int | None = None) -> np.dtype:
    """The element type that an attribute gives by ONNX's number."""
    number = integer(node, name, default)
    dtype = element_dtype(number)
    if dtype is not None:
        return dtype
    if number in ELEMENT_TYPES:
        raise unsupported(node, f"attribute '{name}' asks for the element type {element_name(number)}")
    raise model_error(node, f"attribute '{name}' is {number}, which is no element type")


# Shape, Size --------------------------------------------------------------------------------------------------------


def _shape_range(node: Node, rank: int) -> tuple[int, int]:
    """Where Shape-15's `start` and `end` cut, clamped to the rank."""
    start = integer(node, "start", 0)
    end = integer(node, "end", rank)
    start, end = (min(max(bound + rank if bound < 0 else bound, 0), rank) for bound in (start, end))
    return start, max(start, end)


def shape_of(node: Node, shapes: list, constants: list) -> list:
    """Shape-1/13/15."""
    start, end = _shape_range(node, len(shapes[0]))
    return [(end - start,)]


def evaluate_shape(node: Node, arrays: list) -> list:
    """Shape-1/13/15."""
    start, end = _shape_range(node, arrays[0].ndim)
    return [np.array(arrays[0].shape[start:end], dtype=np.int64)]


def size_of(node: Node, shapes: list, constants: list) -> list:
    """Size."""
    return [()]


def evaluate_size(node: Node, arrays: list) -> list:
    """Size."""
    return [np.array(element_count(arrays[0].shape), dtype=np.int64)]


# Reshape and its like -----------------------------------------------------------------------------------------------


def reshape(node: Node, shapes: list, constants: list) -> list:
    """Reshape-5/13/14: 0 keeps a size (unless `allowzero`), one -1 takes what is left."""
    target = vector(node, constants, 1)
    if target is None:
        return [None]
    return [resolve_reshape(node, shapes[0], target)]


def resolve_reshape(node: Node, source: Shape, target: Sequence[int]) -> Shape:
    """The sizes that a Reshape's target stands for."""
    keep_zero = node.version < 14 or not integer(node, "allowzero", 0)
    result = list(target)
    free = -1
    for axis, size in enumerate(target):
        if size == 0 and keep_zero:
            if axis >= len(source):
                raise model_error(
                    node, f"the shape {list(target)} copies size {axis}, which {tensor(node, 0, source)} lacks"
                )
            result[axis] = source[axis]
        elif size == -1:
            if free >= 0:
                raise model_error(node, f"the shape {list(target)} has -1 more than once")
            free = axis
        elif size < 0:
            raise model_error(node, f"the shape {list(target)} has a negative size")
    count = element_count(source)
    if free >= 0:
        if not keep_zero and 0 in target:
            raise model_error(node, f"the shape {list(target)} has 0 and -1, which 'allowzero' forbids")
        result[free] = 1
        rest = element_count(result)
        if (rest == 0 and count) or (rest and count % rest):
            raise model_error(
                node, f"{tensor(node, 0, source)} of {count} elements does not fit the shape {list(target)}"
            )
        result[free] = count // rest if rest else 0
    elif element_count(result) != count:
        raise model_error(node, f"{tensor(node, 0, source)} of {count} elements does not fit the shape {list(target)}")
    return tuple(result)


def evaluate_reshape(node: Node, arrays: list) -> list:
    """Reshape."""
    return [arrays[0].reshape(resolve_reshape(node, arrays[0].shape, arrays[1].reshape(-1).tolist()))]


def flatten(node: Node, shapes: list, constants: list) -> list:
    """Flatten-1/9/11/13/21: to two dimensions; `axis` may equal the rank."""
    shape = shapes[0]
    axis = integer(node, "axis", 1)
    if axis != len(shape):
        axis = normalise_axis(node, axis, len(shape))
    return [(element_count(shape[:axis]), element_count(shape[axis:]))]


def squeeze(node: Node, shapes: list, constants: list) -> list:
    """Squeeze-1/11 (attribute `axes`), -13 and later (input): drops sizes of 1."""
    known, axes = optional_vector_or_attribute(node, constants, "axes", 1, 13)
    if not known:
        return [None]
    shape = shapes[0]
    if axes is None:
        return [tuple(size for size in shape if size != 1)]
    dropped = set(normalise_axes(node, axes, len(shape)))
    for axis in dropped:
        if shape[axis] != 1:
            raise model_error(
                node, f"{tensor(node, 0, shape)} has size {shape[axis]} in dimension {axis}; only 1 can be dropped"
            )
    return [tuple(size for axis, size in enumerate(shape) if axis not in dropped)]


def unsqueeze(node: Node, shapes: list, constants: list) -> list:
    """Unsqueeze-1/11 (attribute `axes`), -13 and later (input): inserts sizes of 1."""
    known, axes = optional_vector_or_attribute(node, constants, "axes", 1, 13)
    if not known:
        return [None]
    if axes is None:
        raise model_error(node, "its axes are missing")
    rank = len(shapes[0]) + len(axes)
    inserted = set(normalise_axes(node, axes, rank))
    rest = iter(shapes[0])
    return [tuple(1 if axis in inserted else next(rest) for axis in range(rank))]


def reshaped_by(rule):
    """The evaluation of an operator that keeps the elements in order: the rule says the shape."""

    def evaluate(node: Node, arrays: list) -> list:
        return [arrays[0].reshape(rule(node, [array if array is None else array.shape for array in arrays], arrays)[0])]

    return evaluate


def resolve_permutation(node: Node, rank: int) -> list[int]:
    """The permutation of Transpose; reversed dimensions where it is left out."""
    permutation = integers(node, "perm")
    if permutation is None:
        return list(range(rank - 1, -1, -1))
    if sorted(permutation) != list(range(rank)):
        raise model_error(node, f"attribute 'perm' is {permutation}; a permutation of {rank} dimensions is expected")
    return permutation


def transpose(node: Node, shapes: list, constants: list) -> list:
    """Transpose."""
    shape = shapes[0]
    return [tuple(shape[axis] for axis in resolve_permutation(node, len(shape)))]


def evaluate_transpose(node: Node, arrays: list) -> list:
    """Transpose."""
    return [arrays[0].transpose(resolve_permutation(node, arrays[0].ndim))]


def expand(node: Node, shapes: list, constants: list) -> list:
    """Expand-8/13: input and target broadcast against each other."""
    target = vector(node, constants, 1)
    if target is None:
        return [None]
    return [resolve_expand(node, shapes[0], target)]


def resolve_expand(node: Node, source: Shape, target: Sequence[int]) -> Shape:
    """The shape that Expand gives."""
    rank = max(len(source), len(target))
    ours = (1,) * (rank - len(source)) + tuple(source)
    theirs = (1,) * (rank - len(target)) + tuple(target)
    for a, b in zip(ours, theirs, strict=True):
        if a != b and 1 not in (a, b):
            raise model_error(node, f"{tensor(node, 0, source)} does not broadcast to {dims(target)}")
    return tuple(b if a == 1 else a for a, b in zip(ours, theirs, strict=True))


def evaluate_expand(node: Node, arrays: list) -> list:
    """Expand: a view that repeats without storing."""
    return [np.broadcast_to(arrays[0], resolve_expand(node, arrays[0].shape, arrays[1].reshape(-1).tolist()))]


def resolve_tile(node: Node, source: Shape, constants: Constants) -> list[int] | None:
    """How often Tile repeats each dimension; None where that is computed by the graph."""
    repeats = vector(node, constants, 1)
    if repeats is None:
        return None
    if len(repeats) != len(source) or min(repeats, default=0) < 0:
        raise model_error(
            node, f"the repeats are {repeats}; one number of at least 0 per dimension of {tensor(node, 0, source)}"
        )
    return repeats


def tile(node: Node, shapes: list, constants: list) -> list:
    """Tile-6/13."""
    repeats = resolve_tile(node, shapes[0], constants)
    if repeats is None:
        return [None]
    return [tuple(size * count for size, count in zip(shapes[0], repeats, strict=True))]


def evaluate_tile(node: Node, arrays: list) -> list:
    """Tile."""
    return [np.tile(arrays[0], resolve_tile(node, arrays[0].shape, arrays))]


def resolve_blocks(node: Node, shape: Shape) -> int:
    """The block size of DepthToSpace and SpaceToDepth, once the shape is known to fit it."""
    block = integer(node, "blocksize")
    if len(shape) != 4:
        raise model_error(node, f"{tensor(node, 0, shape)} must have 4 dimensions")
    if block < 1:
        raise model_error(node, f"attribute 'blocksize' is {block}; at least 1 is expected")
    if node.op == "DepthToSpace":
        if shape[1] % (block * block):
            raise model_error(node, f"{tensor(node, 0, shape)} has {shape[1]} channels, no multiple of {block}x{block}")
    elif shape[2] % block or shape[3] % block:
        raise model_error(node, f"{tensor(node, 0, shape)} is no multiple of {block}x{block} in height and width")
    return block


def depth_to_space(node: Node, shapes: list, constants: list) -> list:
    """DepthToSpace."""
    block = resolve_blocks(node, shapes[0])
    n, c, h, w = shapes[0]
    return [(n, c // (block * block), h * block, w * block)]


def space_to_depth(node: Node, shapes: list, constants: list) -> list:
    """SpaceToDepth."""
    block = resolve_blocks(node, shapes[0])
    n, c, h, w = shapes[0]
    return [(n, c * block * block, h // block, w // block)]


# Identity, Dropout, Cast --------------------------------------------------------------------------------------------


def identity(node: Node, arrays: list) -> list:
    """The first input, as it is."""
    return [arrays[0]]


def dropout(node: Node, shapes: list, constants: list) -> list:
    """Dropout-6/7/10/12/13/22: the input, and a mask."""
    return [shapes[0]] * len(node.outputs)


def dropout_types(node: Node, dtypes: list) -> list:
    """The mask is of the input's type up to opset 9, bool from 10 on."""
    return [dtypes[0], dtypes[0] if node.version < 10 else np.dtype(bool)][: len(node.outputs)]


def is_plain_dropout(node: Node, constants: Constants) -> bool:
    """Whether a Dropout is known to pass its input on: it is not in training."""
    return node.version < 12 or not has_input(node, 2) or scalar(node, constants, 2) in (0, False)


def evaluate_dropout(node: Node, arrays: list) -> list | None:
    """Dropout, outside training: the input, and a mask that keeps everything."""
    if not is_plain_dropout(node, arrays):
        return None
    mask_type = arrays[0].dtype if node.version < 10 else np.dtype(bool)
    return [arrays[0], np.broadcast_to(np.ones((), mask_type), arrays[0].shape)][: len(node.outputs)]


def cast_type(node: Node, dtypes: list) -> list:
    """Cast: the type in attribute `to`."""
    return [element_type(node, "to")]


def evaluate_cast(node: Node, arrays: list) -> list:
    """Cast and CastLike, between numbers and bool."""
    target = arrays[1].dtype if node.op == "CastLike" else element_type(node, "to")
    return [arrays[0].astype(target)]
