"""Recognises normalisations spelt out in nodes.

(x - mean) / sqrt(variance + epsilon) becomes a planned LayerNorm without scale and shift, which lists the axes of the
ONNX layout that it normalises over. InstanceNormalization of channels that a Reshape joined into groups, and a Reshape
back, become a planned InstanceNorm of groups. What multiplies and adds afterwards is folded into it later. Nodes in
between may have readers inside the pattern only.
"""

from __future__ import annotations

import numpy as np

from ..graph import INTERNAL, ONNX, Graph, Node
from ..operators.checks import normalise_axes


def recognise_normalisation(graph: Graph) -> Graph:
    if not any(node.op in ("Sqrt", "InstanceNormalization") for node in graph.nodes):
        return graph
    producers, uses = graph.producers(), graph.use_counts()
    graph = graph.with_nodes(list(graph.nodes))  # to which constants may be added
    nodes = []
    changed = False
    for node in graph.nodes:
        if node.op == "Reshape" and node.domain == ONNX:
            grouped = _match_groups(graph, producers, uses, node)
            changed |= grouped is not None
            nodes.append(grouped or node)
            continue
        found = _match(graph, producers, uses, node) if node.op in ("Div", "Mul") and node.domain == ONNX else None
        if found is None:
            nodes.append(node)
            continue
        x, axes, epsilon = found
        attrs = {"axes": axes, "epsilon": epsilon}
        nodes.append(Node("LayerNorm", [x, "", ""], node.outputs, attrs, name=node.name, domain=INTERNAL))
        changed = True
    return graph.with_nodes(nodes) if changed else graph


def _match(graph: Graph, producers, uses, node: Node) -> tuple[str, tuple[int, ...], float] | None:
    """(x, axes, epsilon) where the node divides x - mean(x) by the root of its mean square."""
    if graph.types[node.outputs[0]].dtype != np.float32:
        return None
    top, root = node.inputs
    if node.op == "Mul":  # by the reciprocal
        if not _is_reciprocal(producers, root):
            top, root = root, top
        if not _is_reciprocal(producers, root) or uses[root] != 1:
            return None
        root = producers[root].inputs[0]
    centred = producers.get(top)
    sqrt = producers.get(root)
    if centred is None or centred.op != "Sub" or sqrt is None or sqrt.op != "Sqrt" or uses[root] != 1:
        return None
    mean = _mean(graph, producers, centred.inputs[1])
    if mean is None or mean[0] != centred.inputs[0]:
        return None
    x, axes = mean
    total = producers.get(sqrt.inputs[0])
    if total is None or total.op != "Add" or uses[sqrt.inputs[0]] != 1:
        return None
    for variance, other in (total.inputs, total.inputs[::-1]):
        epsilon = graph.constants.get(other)
        if epsilon is not None and epsilon.size == 1:
            square = _mean(graph, producers, variance)
            if square is not None and square[1] == axes and _is_square(graph, producers, square[0], centred):
                return x, axes, float(epsilon.reshape(-1)[0])
    return None


def _match_groups(graph: Graph, producers, uses, node: Node) -> Node | None:
    """The InstanceNorm of groups where the node gives what was normalised x's shape again."""
    norm = producers.get(node.inputs[0])
    if norm is None or norm.op != "InstanceNormalization" or norm.domain != ONNX or uses[node.inputs[0]] != 1:
        return None
    before = producers.get(norm.inputs[0])
    if before is None or before.op != "Reshape" or before.domain != ONNX:
        return None
    x = before.inputs[0]
    joined, given, back = (graph.types[name] for name in (norm.inputs[0], x, node.outputs[0]))
    if not given.is_static or given.dtype != np.float32 or back != given or len(given.shape) < 3:
        return None
    channels, groups = given.shape[1], joined.shape[1]
    values = [graph.constants.get(name) for name in norm.inputs[1:]]
    if joined.shape[0] != given.shape[0] or channels % max(groups, 1) or any(array is None for array in values):
        return None
    names = [
        graph.add_constant(f"{node.outputs[0]}:{role}", np.repeat(array, channels // groups))  # type: ignore[arg-type]
        for role, array in zip(("scale", "shift"), values, strict=True)
    ]
    attrs = {"groups": groups, "epsilon": float(norm.attrs.get("epsilon", 1e-5))}
    return Node("InstanceNorm", [x, *names], node.outputs, attrs, name=norm.name, domain=INTERNAL)


def _is_reciprocal(producers, name: str) -> bool:
    return name in producers and producers[name].op == "Reciprocal"


def _mean(graph: Graph, producers, name: str) -> tuple[str, tuple[int, ...]] | None:
    """(x, axes) where `name` is the mean of x with its axes kept."""
    node = producers.get(name)
    if node is None or node.domain != ONNX or node.op != "ReduceMean" or not node.attrs.get("keepdims", 1):
        return None
    x = node.inputs[0]
    axes = node.attrs.get("axes")
    if len(node.inputs) > 1 and node.inputs[1]:
        array = graph.constants.get(node.inputs[1])
        axes = None if array is None else array.reshape(-1).tolist()
    if not axes or not graph.types[x].is_static:
        return None
    return x, tuple(sorted(normalise_axes(node, axes, len(graph.shape(x)))))


def _is_square(graph: Graph, producers, name: str, centred: Node) -> bool:
    """Whether `name` is the square of x - mean(x), which some exporters compute a second time."""
    node = producers.get(name)
    if node is None or node.domain != ONNX:
        return False
    base = node.inputs[0]
    if node.op == "Pow":
        exponent = graph.constants.get(node.inputs[1])
        if exponent is None or exponent.size != 1 or float(exponent.reshape(-1)[0]) != 2.0:
            return False
    elif node.op != "Mul" or node.inputs[0] != node.inputs[1]:
        return False
    if base == centred.outputs[0]:
        return True
    other = producers.get(base)
    if other is None or other.op != "Sub" or other.inputs[0] != centred.inputs[0]:
        return False
    return _mean(graph, producers, other.inputs[1]) == _mean(graph, producers, centred.inputs[1])
