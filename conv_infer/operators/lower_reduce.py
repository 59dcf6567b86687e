"""Reductions and Softmax as planned operators, in whatever layout the tensor has."""

from __future__ import annotations

from math import prod

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
    x, output = node.inputs[0], node.outputs[0]
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
    physical, order = lowering.use_home(x)
    attrs = {"kind": _KINDS[node.op], "axes": tuple(sorted(order.index(axis) for axis in axes))}
    if node.attrs.get("keepdims", 1):
        lowering.emit(node, "Reduce", [physical], order, attrs)
        return True
    kept = [1 if index in attrs["axes"] else size for index, size in enumerate(lowering.shape(physical))]
    reduced = lowering.step(node, "Reduce", [physical], kept, attrs)
    # the axes that remain, in the order they lie in memory, numbered as the output numbers them
    number = {axis: index for index, axis in enumerate(axis for axis in range(rank) if axis not in axes)}
    lowering.emit(node, "Reshape", [reduced], tuple([number[axis] for axis in order if axis in number]))
    assert lowering.rank(output) == len(number)
    return True


def lower_softmax(lowering: Lowering, node: Node) -> bool:
    """Softmax, LogSoftmax. Before opset 13 all axes from `axis` on count as one."""
    x = node.inputs[0]
    shape = lowering.shape(x)
    rank = len(shape)
    if not lowering.is_float(x) or rank == 0:
        return False
    log = node.op == "LogSoftmax"
    axis = node.attrs.get("axis", -1 if node.version >= 13 else 1)
    axis += rank if axis < 0 else 0
    if node.version < 13 and prod(shape[axis + 1 :]) != 1:
        spread = [index for index in range(axis, rank) if shape[index] != 1]
        if len(spread) > 1:
            rows = lowering.reshaped(node, lowering.use_plain(x), (prod(shape[:axis]), prod(shape[axis:])))
            rows = lowering.step(node, "Softmax", [rows], lowering.shape(rows), {"axis": 1, "log": log})
            lowering.emit(node, "Reshape", [rows], plain_order(rank))
            return True
        axis = spread[0]
    if axis == rank:  # before opset 13 an axis may lie past the last one
        return False
    physical, order = lowering.use_home(x)
    lowering.emit(node, "Softmax", [physical], order, {"axis": order.index(axis), "log": log})
    return True
