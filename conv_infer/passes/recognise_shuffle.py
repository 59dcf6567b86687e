"""Recognises chains of Reshape, Transpose, Slice, Split, Gather that only pick elements along one axis.

A channel shuffle is such a chain in every exporter's spelling: Reshape to five axes (or three, the pixels in one), a
Transpose, a Reshape back, with a Split, Slice or Gather of one half behind or between. Each chain becomes one Gather
along that axis; nodes that nobody reads any more are left to `remove_dead`.

A tensor of a chain is described by where each of its elements comes from in the chain's first tensor: every axis is a
list of factors (size, stride), outermost first, as the axis of a Reshape is the product of others.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..graph import ONNX, Graph, Node
from ..operators.slicing import resolve_slice

_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_MOVERS = frozenset((*_RESHAPES, "Transpose", "Slice", "Split", "Gather", "Identity"))

Factor = tuple[int, int]  # how many, and how far apart in the root
Axis = list[Factor]


class _Picked:
    """What a tensor takes from the root of its chain; `depth` counts the nodes in between."""

    __slots__ = ("axes", "depth", "offset", "root")

    def __init__(self, root: str, axes: list[Axis], offset: int, depth: int):
        self.root = root
        self.axes = axes
        self.offset = offset
        self.depth = depth


def recognise_shuffle(graph: Graph) -> Graph:
    if not any(node.op == "Transpose" for node in graph.nodes):
        return graph
    picked: dict[str, _Picked] = {}
    nodes: list[Node] = []
    result = graph
    for node in graph.nodes:
        if (
            node.domain == ONNX
            and node.op in _MOVERS
            and _is_static(graph, node)
            and node.inputs[0] not in graph.constants
        ):
            source = picked.get(node.inputs[0]) or _root(graph, node.inputs[0])
            for output, description in _follow(graph, node, source):
                picked[output] = description
        gathers = []
        for output in node.outputs:
            description = picked.get(output)
            if description is not None and description.depth > 1:
                gather = _as_gather(graph, output, description)
                if gather is not None:
                    gathers.append((output, *gather))
        if len(gathers) == len(node.outputs) and gathers:
            if result is graph:
                result = graph.with_nodes(nodes)
            for output, axis, channels in gathers:
                root = picked[output].root
                indices = result.add_constant(f"{output}:channels", channels)
                nodes.append(
                    Node("Gather", [root, indices], [output], {"axis": axis}, name=node.name, version=node.version)
                )
        else:
            nodes.append(node)
    return result


def _is_static(graph: Graph, node: Node) -> bool:
    types = [graph.types[name] for name in (node.inputs[0], *node.outputs) if name]
    return all(tensor_type.is_static and 0 not in tensor_type.shape for tensor_type in types)


def _root(graph: Graph, name: str) -> _Picked:
    axes: list[Axis] = []
    stride = 1
    for size in reversed(graph.shape(name)):
        axes.append([(size, stride)])
        stride *= size
    return _Picked(name, axes[::-1], 0, 0)


def _follow(graph: Graph, node: Node, source: _Picked) -> list[tuple[str, _Picked]]:
    """The descriptions of the node's outputs; none where they cannot be described so."""
    axes, offset = source.axes, source.offset
    output = node.outputs[0]
    found: list[tuple[str, list[Axis] | None, int]] = []
    if node.op in _RESHAPES:
        found.append((output, _reshape(axes, graph.shape(output)), offset))
    elif node.op == "Identity":
        found.append((output, axes, offset))
    elif node.op == "Transpose":
        perm = node.attrs.get("perm") or range(len(axes))[::-1]
        found.append((output, [axes[axis] for axis in perm], offset))
    elif node.op == "Slice":
        constants = [graph.constants.get(name) for name in node.inputs]
        ranges = resolve_slice(node, graph.shape(node.inputs[0]), constants)
        if ranges is not None:
            cut, shift = _cut(axes, ranges.starts, ranges.steps, ranges.sizes)
            found.append((output, cut, offset + shift))
    elif node.op == "Split":
        axis = node.attrs.get("axis", 0) % len(axes)
        start = 0
        for name in node.outputs:
            shape = graph.shape(name)
            starts = [0] * len(axes)
            starts[axis] = start
            cut, shift = _cut(axes, starts, [1] * len(axes), shape)
            found.append((name, cut, offset + shift))
            start += shape[axis]
    elif node.op == "Gather":
        indices = graph.constants.get(node.inputs[1])
        axis = node.attrs.get("axis", 0) % len(axes)
        if indices is not None and indices.ndim == 0:
            size = graph.shape(node.inputs[0])[axis]
            starts, sizes = [0] * len(axes), list(graph.shape(node.inputs[0]))
            starts[axis], sizes[axis] = int(indices) % size, 1
            cut, shift = _cut(axes, starts, [1] * len(axes), sizes)
            if cut is not None:
                del cut[axis]
            found.append((output, cut, offset + shift))
    return [
        (name, _Picked(source.root, described, start, source.depth + 1))
        for name, described, start in found
        if described is not None
    ]


def _reshape(axes: list[Axis], shape: tuple[int, ...]) -> list[Axis] | None:
    """Regroups the factors, split where an axis ends inside one; None where sizes do not divide."""
    factors = [factor for axis in axes for factor in axis if factor[0] != 1]
    factors.reverse()
    result: list[Axis] = []
    for size in shape:
        axis: Axis = []
        while size > 1:
            if not factors:
                return None
            count, stride = factors.pop()
            if size % count == 0:
                axis.append((count, stride))
                size //= count
            elif count % size == 0:
                axis.append((size, stride * (count // size)))
                factors.append((count // size, stride))
                size = 1
            else:
                return None
        result.append(axis)
    return None if factors else result


def _cut(axes: list[Axis], starts, steps, sizes) -> tuple[list[Axis] | None, int]:
    """Axes after a slice, and by how much the first element moves; None where the slice ends inside a factor."""
    result: list[Axis] = []
    offset = 0
    for axis, start, step, size in zip(axes, starts, steps, sizes, strict=True):
        run = _merged(axis)
        inner = prod([count for count, _ in run[1:]])
        if not run or (start == 0 and step == 1 and size == run[0][0] * inner):
            result.append(axis)
            continue
        if start % inner or size % inner or (inner > 1 and step != 1):
            return None, 0
        stride = run[0][1]
        offset += start // inner * stride
        result.append([(size // inner, stride * step), *run[1:]])
    return result, offset


def _merged(axis: Axis) -> Axis:
    """The same axis in the fewest factors."""
    result: Axis = []
    for count, stride in axis:
        if count == 1:
            continue
        if result and result[-1][1] == count * stride:
            result[-1] = (result[-1][0] * count, stride)
        else:
            result.append((count, stride))
    return result


def _as_gather(graph: Graph, output: str, description: _Picked) -> tuple[int, np.ndarray] | None:
    """(axis, indices) where the output is a Gather from the root along one axis; None where it is not."""
    shape = graph.shape(description.root)
    if not shape or len(shape) != len(description.axes):
        return None
    found: tuple[int, np.ndarray] | None = None
    stride = 1
    for axis in range(len(shape) - 1, -1, -1):
        size, factors = shape[axis], _merged(description.axes[axis])
        if factors != ([(size, stride)] if size > 1 else []):
            if found is not None:
                return None
            picks = np.full(1, description.offset)
            for count, step in factors:
                picks = (picks[:, None] + np.arange(count) * step).reshape(-1)
            if (picks % stride).any() or picks.min() < 0 or picks.max() >= size * stride:
                return None
            found = axis, picks // stride
        stride *= size
    return found or (0, np.arange(shape[0]))
