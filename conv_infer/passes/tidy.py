"""Removes what is left over: repeated copies, Reshapes that change nothing or follow one another, dead nodes."""

from __future__ import annotations

import numpy as np

from ..graph import INTERNAL, Graph, Node
from .remove_dead import remove_dead

_COPIES = frozenset(("Reshape", "Transpose", "Slice", "ChannelGather", "Expand", "Pad", "Cast", "Quantize", "QLookup"))


def tidy(graph: Graph) -> Graph:
    return _name_outputs(remove_dead(_merge_copies(graph)))


def _merge_copies(graph: Graph) -> Graph:
    """Makes each copy once, and lets readers of a Reshape of the same shape read its source."""
    same: dict[str, str] = {}  # a tensor -> the one that holds the same
    sources: dict[str, str] = {}  # the output of a Reshape -> what it reads
    made: dict[tuple, str] = {}
    nodes = []
    outputs = set(graph.outputs)
    for node in graph.nodes:
        if any(name in same for name in node.inputs):
            node = node.replace(inputs=[same.get(name, name) for name in node.inputs])
        if node.domain == INTERNAL and node.op in _COPIES:
            output = node.outputs[0]
            if node.op == "Reshape":
                source = sources.get(node.inputs[0])
                if source is not None:
                    node = node.replace(inputs=[source])
                source = node.inputs[0]
                if graph.types[source] == graph.types[output] and output not in outputs:
                    same[output] = source
                    continue
                sources[output] = source
            key = (node.op, node.inputs, graph.types[output], tuple(map(_key, node.attrs.items())))
            first = made.setdefault(key, output)
            if first != output and output not in outputs:
                same[output] = first
                continue
        nodes.append(node)
    return graph.with_nodes(nodes)


def _key(item: tuple) -> tuple:
    name, value = item
    return (name, value.tobytes()) if isinstance(value, np.ndarray) else (name, value)


def _name_outputs(graph: Graph) -> Graph:
    """A graph output that is another tensor under its own name: the other tensor takes that name."""
    fixed = set(graph.inputs) | set(graph.outputs) | set(graph.constants)
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        if node.op == "Reshape" and node.domain == INTERNAL and node.outputs[0] in graph.outputs:
            source, output = node.inputs[0], node.outputs[0]
            if graph.types[source] == graph.types[output] and source not in fixed and source not in renamed:
                renamed[source] = output
    if not renamed:
        return graph
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op == "Reshape" and node.domain == INTERNAL and renamed.get(node.inputs[0]) == node.outputs[0]:
            continue
        if any(name in renamed for name in (*node.inputs, *node.outputs)):
            node = node.replace(
                inputs=[renamed.get(name, name) for name in node.inputs],
                outputs=[renamed.get(name, name) for name in node.outputs],
            )
        nodes.append(node)
    return graph.with_nodes(nodes)
