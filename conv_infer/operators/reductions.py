"""Reductions, arg max and its like, softmax, top k, running sums."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..graph import Node
from .checks import (
    Constants,
    Shape,
    integer,
    model_error,
    normalise_axes,
    normalise_axis,
    optional_vector_or_attribute,
    scalar,
    tensor,
)

# The opset from which a reduction takes its axes as an input.
_AXES_INPUT_SINCE = {"ReduceSum": 13}


def resolve_reduction(node: Node, rank: int, constants: Constants) -> tuple[list[int], bool] | None:
    """The axes of a Reduce* node, sorted, and whether they are kept as 1; None where the graph computes the axes.

    Axes are an attribute up to opset 17 (ReduceSum: 12) and an input later. Without axes all are reduced, or none
    where `noop_with_empty_axes` says so.
    """
    known, axes = optional_vector_or_attribute(node, constants, "axes", 1, _AXES_INPUT_SINCE.get(node.op, 18))
    if not known:
        return None
    keep = bool(integer(node, "keepdims", 1))
    if not axes:
        axes = [] if integer(node, "noop_with_empty_axes", 0) else range(rank)
    return sorted(normalise_axes(node, axes, rank)), keep


def _reduced(shape: Shape, axes: list[int], keep: bool) -> Shape:
    if keep:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def reduction(node: Node, shapes: list, constants: list) -> list:
    """ReduceSum, ReduceMean and their like, opsets 1 to 20."""
    resolved = resolve_reduction(node, len(shapes[0]), constants)
    return [None if resolved is None else _reduced(shapes[0], *resolved)]


def reduce_with(function: Callable) -> Callable:
    """An evaluation by `function(array, axis=..., keepdims=...)`."""

    def evaluate(node: Node, arrays: list) -> list:
        axes, keep = resolve_reduction(node, arrays[0].ndim, arrays)
        if arrays[0].size == 0:
            return None  # what an empty reduction gives is for the reference to say
        return [np.asarray(function(arrays[0], axis=tuple(axes), keepdims=keep), dtype=arrays[0].dtype)]

    return evaluate


def l1(array: np.ndarray, **how) -> np.ndarray:
    """The sum of magnitudes."""
    return np.sum(np.abs(array), **how)


def l2(array: np.ndarray, **how) -> np.ndarray:
    """The root of the sum of squares."""
    return np.sqrt(np.sum(np.square(array), **how))


def sum_square(array: np.ndarray, **how) -> np.ndarray:
    """The sum of squares."""
    return np.sum(np.square(array), **how)


# ArgMax, TopK -------------------------------------------------------------------------------------------------------


def arg_reduction(node: Node, shapes: list, constants: list) -> list:
    """ArgMax, ArgMin -1/11/12/13."""
    shape = shapes[0]
    axis = normalise_axis(node, integer(node, "axis", 0), len(shape))
    if not shape[axis]:
        raise model_error(node, f"{tensor(node, 0, shape)} is empty in dimension {axis}")
    return [_reduced(shape, [axis], bool(integer(node, "keepdims", 1)))]


def arg_with(function: Callable) -> Callable:
    """An evaluation by np.argmax or np.argmin."""

    def evaluate(node: Node, arrays: list) -> list:
        array = arrays[0]
        axis = normalise_axis(node, integer(node, "axis", 0), array.ndim)
        if integer(node, "select_last_index", 0):
            found = array.shape[axis] - 1 - function(np.flip(array, axis), axis=axis)
        else:
            found = function(array, axis=axis)
        if integer(node, "keepdims", 1):
            found = np.expand_dims(found, axis)
        return [np.asarray(found, dtype=np.int64)]

    return evaluate


def top_k(node: Node, shapes: list, constants: list) -> list:
    """TopK-1 (attribute `k`), -10/11/24 (input): values and indices."""
    shape = shapes[0]
    axis = normalise_axis(node, integer(node, "axis", -1), len(shape))
    count = integer(node, "k") if node.version < 10 else scalar(node, constants, 1)
    if count is not None and not 0 <= count <= shape[axis]:
        raise model_error(node, f"k is {count}; {tensor(node, 0, shape)} has {shape[axis]} in dimension {axis}")
    return [(*shape[:axis], count, *shape[axis + 1 :])] * len(node.outputs)


def cumulative(node: Node, shapes: list, constants: list) -> list:
    """CumSum-11/14, CumProd-26."""
    axis = scalar(node, constants, 1)
    if axis is not None:
        normalise_axis(node, axis, len(shapes[0]))
    return [shapes[0]]


# Softmax ------------------------------------------------------------------------------------------------------------


def resolve_softmax(node: Node, rank: int) -> tuple[int, bool]:
    """The axis of Softmax, LogSoftmax and Hardmax, and whether all from it on count as one (opsets 1 to 12)."""
    together = node.version < 13
    return normalise_axis(node, integer(node, "axis", 1 if together else -1), max(rank, 1)), together


def softmax(node: Node, shapes: list, constants: list) -> list:
    """Softmax, LogSoftmax, Hardmax -1/11/13."""
    if not together_at_rank(node, len(shapes[0])):
        resolve_softmax(node, len(shapes[0]))
    return [shapes[0]]


def together_at_rank(node: Node, rank: int) -> bool:
    """Whether `axis` equals the rank, which the operators up to opset 10 allow: every row is one element."""
    return node.version < 11 and integer(node, "axis", 1) == rank


def evaluate_softmax(node: Node, arrays: list) -> list:
    """Softmax and LogSoftmax."""
    x = arrays[0]
    if together_at_rank(node, x.ndim):
        axes: tuple[int, ...] = ()
    else:
        axis, together = resolve_softmax(node, x.ndim)
        axes = tuple(range(axis, x.ndim)) if together else (axis,)
    shifted = x - x.max(axis=axes, keepdims=True) if axes else x - x
    powers = np.exp(shifted)
    total = powers.sum(axis=axes, keepdims=True) if axes else powers
    return [np.asarray(shifted - np.log(total) if node.op == "LogSoftmax" else powers / total, dtype=x.dtype)]
