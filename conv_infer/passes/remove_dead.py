"""Removes nodes whose outputs nobody reads, and constants likewise."""

from __future__ import annotations

from ..graph import Graph


def remove_dead(graph: Graph) -> Graph:
    live = set(graph.outputs)
    nodes = []
    for node in reversed(graph.nodes):
        if any(output in live for output in node.outputs):
            nodes.append(node)
            live.update(node.inputs)
    nodes.reverse()
    result = graph.with_nodes(nodes)
    known = live.union(graph.inputs, *[node.outputs for node in nodes])
    result.constants = {name: array for name, array in graph.constants.items() if name in live}
    result.types = {name: tensor_type for name, tensor_type in graph.types.items() if name in known}
    return result
