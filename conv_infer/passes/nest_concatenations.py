"""Lets a concatenation read an earlier one in place of the tensors that both join.

Dense blocks (Huang et al., CVPR 2017, doi 10.1109/CVPR.2017.243) join all the layers before each layer anew. Nested,
every tensor is a piece of one concatenation only, and may be written straight to its place there.
"""

from __future__ import annotations

from ..graph import INTERNAL, Graph, Node


def nest_concatenations(graph: Graph) -> Graph:
    earlier: dict[tuple[str, int], list[Node]] = {}  # by first input and axis
    nodes = []
    for node in graph.nodes:
        if node.op == "Concat" and node.domain == INTERNAL:
            key = node.inputs[0], node.attrs["axis"]
            whole = node
            node = _nested(node, earlier)
            earlier.setdefault(key, []).append(whole)
        nodes.append(node)
    return graph.with_nodes(nodes)


def _nested(node: Node, earlier: dict[tuple[str, int], list[Node]]) -> Node:
    """The node with the longest runs of its inputs that were joined before read as one."""
    inputs: list[str] = []
    index = 0
    while index < len(node.inputs):
        found = _longest(node.inputs[index:], earlier.get((node.inputs[index], node.attrs["axis"]), ()))
        inputs.append(node.inputs[index] if found is None else found.outputs[0])
        index += 1 if found is None else len(found.inputs)
    return node if len(inputs) == len(node.inputs) else node.replace(inputs=inputs)


def _longest(names: tuple[str, ...], candidates) -> Node | None:
    """The concatenation of most tensors among those that begin the row of names, of two or more."""
    fitting = [node for node in candidates if len(node.inputs) > 1 and node.inputs == names[: len(node.inputs)]]
    return max(fitting, key=lambda node: len(node.inputs), default=None)
