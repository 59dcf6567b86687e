"""Operators that move whole elements: Concat, Split, Slice, Pad, Gather. They take any layout and any element type."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ..graph import Node
from ..layout import Lowering, permuted
from .lower_shape import reshape_logical
from .slicing import resolve_pad, resolve_pad_value, resolve_slice


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
    if not all(node.outputs):
        return False
    start = 0
    for output in node.outputs:
        starts = [0] * rank
        starts[axis] = start
        emit_slice(lowering, node, x, output, starts, [1] * rank)
        start += lowering.shape(output)[axis]
    return True


def lower_slice(lowering: Lowering, node: Node) -> bool:
    x, output = node.inputs[0], node.outputs[0]
    ranges = resolve_slice(node, lowering.shape(x), lowering.constants_of(node))
    if ranges is None or 0 in lowering.shape(output):
        return False
    emit_slice(lowering, node, x, output, ranges.starts, ranges.steps)
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
    constants = lowering.constants_of(node)
    resolved, value = resolve_pad(node, lowering.shape(x), constants), resolve_pad_value(node, constants)
    mode = node.attrs.get("mode", "constant")
    if resolved is None or value is None or mode not in ("constant", "reflect", "edge"):
        return False
    if lowering.dtype(x).kind not in "fiub" or 0 in lowering.shape(x) or 0 in lowering.shape(output):
        return False
    if not any(resolved[0]) and not any(resolved[1]):
        lowering.alias(output, x)
        return True
    physical, order = lowering.use_home(x)
    begin, end = permuted(resolved[0], order), permuted(resolved[1], order)
    if min(*begin, *end) < 0:
        # negative paddings take elements away, before anything is added
        cropped = [
            size + min(a, 0) + min(b, 0) for size, a, b in zip(lowering.shape(physical), begin, end, strict=True)
        ]
        attrs = {"starts": tuple([max(-pad, 0) for pad in begin]), "steps": (1,) * len(order)}
        if max(*begin, *end) <= 0:
            lowering.emit(node, "Slice", [physical], order, attrs)
            return True
        if 0 in cropped:
            return False
        physical = lowering.step(node, "Slice", [physical], cropped, attrs)
        begin, end = [max(pad, 0) for pad in begin], [max(pad, 0) for pad in end]
    lowering.emit(node, "Pad", [physical], order, {"pads": (*begin, *end), "value": value, "mode": mode})
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
        reshape_logical(lowering, node, picked, output)
    return True
