"""Reductions and Softmax as planned operators, in whatever layout the tensor has."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..graph import Node
from ..layout import Lowering, plain_order

_KINDS = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceSumSquare": "sum_square",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
}

REDUCTIONS = tuple(_KINDS)


def lower_reduce(lowering: Lowering, node: Node) -> bool:
    x = node.inputs[0]
    shape = lowering.shape(x)
    if not lowering.is_float(x) or prod(shape) == 0:
        return False
    axes = node.attrs.get("axes")
    if lowering.has_input(node, 1):
        array = lowering.constant(node, 1)
        if array is None:
            return False
        axes = array.reshape(-1).tolist()
    rank = len(shape)
    if not axes:
        if node.attrs.get("noop_with_empty_axes"):
            return False
        axes = range(rank)
    axes = sorted({axis + rank if axis < 0 else axis for axis in axes})
    emit_reduction(lowering, node, "Reduce", axes, bool(node.attrs.get("keepdims", 1)), {"kind": _KINDS[node.op]})
    return True


def emit_reduction(
    lowering: Lowering, node: Node, op: str, axes: Sequence[int], keep_axes: bool, attrs: dict[str, Any]
) -> None:
    """Appends an operator that reduces some axes of the node's input to size 1, whatever its layout."""
    x, output = node.inputs[0], node.outputs[0]
    rank = lowering.rank(x)
    physical, order = lowering.use_home(x)
    attrs = {**attrs, "axes": tuple(sorted(order.index(axis) for axis in axes))}
    if keep_axes:
        lowering.emit(node, op, [physical], order, attrs)
        return
    kept = [1 if index in attrs["axes"] else size for index, size in enumerate(lowering.shape(physical))]
    reduced = lowering.step(node, op, [physical], kept, attrs, lowering.dtype(output))
    # the axes that remain, in the order they lie in memory, numbered as the output numbers them
    number = {axis: index for index, axis in enumerate(axis for axis in range(rank) if axis not in axes)}
    lowering.emit(node, "Reshape", [reduced], tuple([number[axis] for axis in order if axis in number]))
    assert lowering.rank(output) == len(number)


def lower_softmax(lowering: Lowering, node: Node) -> bool:
    """Softmax, LogSoftmax. Before opset 13 all axes from `axis` on count as one."""
    x = node.inputs[0]
    shape = lowering.shape(x)
    rank = len(shape)
    if not lowering.is_float(x) or rank == 0:
        return False
    axis = node.attrs.get("axis", -1 if node.version >= 13 else 1)
    axis += rank if axis < 0 else 0
    if axis == rank:  # before opset 13 an axis may lie past the last one
        return False
    emit_along_axis(lowering, node, "Softmax", axis, {"log": node.op == "LogSoftmax"})
    return True


def emit_along_axis(lowering: Lowering, node: Node, op: str, axis: int, attrs: dict[str, Any]) -> None:
    """Appends an operator along one axis of the node's input; before opset 13 all axes from there on count as one."""
    x = node.inputs[0]
    shape = lowering.shape(x)
    rank = len(shape)
    if node.version < 13 and prod(shape[axis + 1 :]) != 1:
        spread = [index for index in range(axis, rank) if shape[index] != 1]
        if len(spread) > 1:
            rows = lowering.reshaped(node, lowering.use_plain(x), (prod(shape[:axis]), prod(shape[axis:])))
            rows = lowering.step(node, op, [rows], lowering.shape(rows), {**attrs, "axis": 1})
            lowering.emit(node, "Reshape", [rows], plain_order(rank))
            return
        axis = spread[0]
    physical, order = lowering.use_home(x)
    lowering.emit(node, op, [physical], order, {**attrs, "axis": order.index(axis)})
