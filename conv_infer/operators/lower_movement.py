"""Operators that move whole elements: Concat, Split, Slice, Pad, Gather. They take any layout and any element type."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ..graph import Node
from ..layout import Lowering, permuted


def _axis(node: Node, rank: int, default: int = 0) -> int:
    axis = node.attrs.get("axis", default)
    return axis + rank if axis < 0 else axis


def lower_concat(lowering: Lowering, node: Node) -> bool:
    output = node.outputs[0]
    rank = lowering.rank(output)
    axis = _axis(node, rank, 1)
    inputs = [name for name in node.inputs if lowering.shape(name)[axis] != 0]
    if len(inputs) == 1:
        lowering.alias(output, inputs[0])
        return True
    if not inputs:
        return False
    order = lowering.common_order(inputs)
    physical = [lowering.use(name, order) for name in inputs]
    lowering.emit(node, "Concat", physical, order, {"axis": order.index(axis)})
    return True


def lower_split(lowering: Lowering, node: Node) -> bool:
    x = node.inputs[0]
    rank = lowering.rank(x)
    axis = _axis(node, rank)
    start = 0
    for output in node.outputs:
        if not output:
            return False
        starts = [0] * rank
        starts[axis] = start
        emit_slice(lowering, node, x, output, starts, [1] * rank)
        start += lowering.shape(output)[axis]
    return True


def lower_slice(lowering: Lowering, node: Node) -> bool:
    x, output = node.inputs[0], node.outputs[0]
    shape = lowering.shape(x)
    rank = len(shape)
    if len(node.inputs) == 1:
        starts = node.attrs.get("starts")
        axes = node.attrs.get("axes")
        steps = None
    else:
        arrays = [lowering.constant(node, index) for index in range(1, 5)]
        given = [lowering.has_input(node, index) for index in range(1, 5)]
        if any(there and array is None for there, array in zip(given, arrays, strict=True)):
            return False
        starts = arrays[0].reshape(-1).tolist()
        axes = None if arrays[2] is None else arrays[2].reshape(-1).tolist()
        steps = None if arrays[3] is None else arrays[3].reshape(-1).tolist()
    axes = list(range(len(starts))) if axes is None else [axis + rank if axis < 0 else axis for axis in axes]
    first, step = [0] * rank, [1] * rank
    for index, axis in enumerate(axes):
        size = shape[axis]
        step[axis] = 1 if steps is None else steps[index]
        start = starts[index] + size if starts[index] < 0 else starts[index]
        low, high = (0, size) if step[axis] > 0 else (0, size - 1)
        first[axis] = min(max(start, low), high)
    if prod(lowering.shape(output)) == 0:
        return False
    emit_slice(lowering, node, x, output, first, step)
    return True


def emit_slice(
    lowering: Lowering, node: Node, x: str, output: str, starts: Sequence[int], steps: Sequence[int]
) -> None:
    """`starts` and `steps` (negative: backwards) are those of the logical axes; the sizes are the output's."""
    if lowering.shape(x) == lowering.shape(output) and all(step == 1 for step in steps):
        lowering.alias(output, x)
        return
    physical, order = lowering.use_home(x)
    attrs = {"starts": permuted(starts, order), "steps": permuted(steps, order)}
    lowering.emit(node, "Slice", [physical], order, attrs, output=output)


def lower_pad(lowering: Lowering, node: Node) -> bool:
    x, output = node.inputs[0], node.outputs[0]
    rank = lowering.rank(x)
    mode = node.attrs.get("mode", "constant")
    pads = node.attrs.get("pads") or node.attrs.get("paddings")
    value = node.attrs.get("value", 0.0)
    if pads is None:
        arrays = [lowering.constant(node, index) for index in range(1, 4)]
        given = [lowering.has_input(node, index) for index in range(1, 4)]
        if any(there and array is None for there, array in zip(given, arrays, strict=True)):
            return False
        pads = arrays[0].reshape(-1).tolist()
        if arrays[1] is not None and arrays[1].size:
            value = arrays[1].reshape(-1)[0].item()
        elif lowering.dtype(x).kind != "f":
            value = 0
        if arrays[2] is not None:
            axes = [axis + rank if axis < 0 else axis for axis in arrays[2].reshape(-1).tolist()]
            begins, ends = [0] * rank, [0] * rank
            for index, axis in enumerate(axes):
                begins[axis], ends[axis] = pads[index], pads[index + len(axes)]
            pads = begins + ends
    if mode not in ("constant", "reflect", "edge") or lowering.dtype(x).kind not in "fiub":
        return False
    if not any(pads):
        lowering.alias(output, x)
        return True
    if min(pads) < 0 and (mode != "constant" or prod(lowering.shape(output)) == 0):
        return False
    physical, order = lowering.use_home(x)
    begins, ends = permuted(pads[:rank], order), permuted(pads[rank:], order)
    if min(pads) < 0:
        shape = lowering.shape(physical)
        cropped = [size + min(a, 0) + min(b, 0) for size, a, b in zip(shape, begins, ends, strict=True)]
        if min(cropped) <= 0:
            return False
        starts = tuple([max(-begin, 0) for begin in begins])
        attrs = {"starts": starts, "steps": (1,) * rank}
        if max(pads) <= 0:
            lowering.emit(node, "Slice", [physical], order, attrs)
            return True
        physical = lowering.step(node, "Slice", [physical], cropped, attrs)
        begins, ends = [max(pad, 0) for pad in begins], [max(pad, 0) for pad in ends]
    lowering.emit(node, "Pad", [physical], order, {"pads": (*begins, *ends), "value": value, "mode": mode})
    return True


def lower_gather(lowering: Lowering, node: Node) -> bool:
    """Gather with constant indices: a Slice where they are evenly spaced, otherwise channels picked one by one."""
    x, output = node.inputs[0], node.outputs[0]
    indices = lowering.constant(node, 1)
    shape = lowering.shape(x)
    if indices is None or indices.size == 0 or x in lowering.constants or prod(shape) == 0:
        return False
    rank = len(shape)
    axis = _axis(node, rank)
    picks = indices.reshape(-1).astype(np.int64)
    picks = np.where(picks < 0, picks + shape[axis], picks)
    if picks.min() < 0 or picks.max() >= shape[axis]:
        return False
    picked_shape = (*shape[:axis], picks.size, *shape[axis + 1 :])
    picked = output
    if indices.ndim != 1:
        picked = lowering.graph.add_tensor(f"{output}:picked", lowering.dtype(x), picked_shape)
    step = int(picks[1] - picks[0]) if picks.size > 1 else 1
    if step != 0 and (np.diff(picks) == step).all():
        starts, steps = [0] * rank, [1] * rank
        starts[axis], steps[axis] = int(picks[0]), step
        emit_slice(lowering, node, x, picked, starts, steps)
    else:
        physical, order = lowering.use_home(x)
        if order[-1] != axis:
            order = (*[other for other in order if other != axis], axis)
            physical = lowering.use(x, order)
        attrs = {"channels": picks.astype(np.int32)}
        lowering.emit(node, "ChannelGather", [physical], order, attrs, output=picked)
    if picked != output:
        from .lower_shape import reshape_logical

        reshape_logical(lowering, node, picked, output)
    return True
