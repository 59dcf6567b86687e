"""Checks a decoded graph and brings it into order.

After `settle` every tensor is written once and before it is read, Constant nodes are constants, nothing unsupported is
in use, and nodes with subgraphs list the outer tensors that these read (`graph.CAPTURES`).
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from .attributes import AttributeReference
from .errors import ModelError
from .graph import CAPTURES, ONNX, Graph, Node, TensorType
from .tensors import Unsupported

_SHOWN = 8  # nodes of a cycle that a message names

_SPECIAL = frozenset((Graph, AttributeReference, Unsupported))


def settle(graph: Graph, problems: list[str]) -> tuple[Graph, list[str]]:
    """The settled graph, and the names that it reads but does not define: what a subgraph captures.

    Appends to `problems` a line for every use of something unsupported; raises `ModelError` for contradictions.
    """
    inputs = set(graph.inputs)
    constants: dict[str, Any] = dict(graph.constants)
    types = dict(graph.types)
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.version == 0:
            raise ModelError(
                f"node '{node.label}' ({node.op}): the model imports no version of its operator set '{_domain(node)}', "
                "and defines no such function"
            )
        if not _SPECIAL.isdisjoint(map(type, node.attrs.values())):
            node = _settle_attributes(node, problems)
        if node.op == "Constant" and node.domain == ONNX:
            _add_constant(node, inputs, constants, types)
        else:
            nodes.append(node)
    missing = _missing(graph, nodes, constants)
    unsupported = {name: value for name, value in constants.items() if type(value) is Unsupported}
    unsupported.update({name: value for name, value in types.items() if type(value) is Unsupported})
    nodes = _ordered(graph, nodes, {"", *graph.inputs, *constants, *missing})
    if unsupported:
        _report_uses(graph, nodes, dict(unsupported), problems)
        constants = {name: value for name, value in constants.items() if name not in unsupported}
        types = {name: value for name, value in types.items() if name not in unsupported}
    return Graph(nodes, graph.inputs, graph.outputs, types, constants, graph.opsets, graph.name), missing


def _domain(node: Node) -> str:
    return node.domain or "ai.onnx"


def _settle_attributes(node: Node, problems: list[str]) -> Node:
    attrs = {}
    captures: dict[str, None] = {}
    for name, value in node.attrs.items():
        if isinstance(value, AttributeReference):
            raise ModelError(
                f"node '{node.label}' ({node.op}): attribute '{name}' refers to attribute '{value.name}' of a "
                "function, but the node is in none"
            )
        if isinstance(value, Unsupported) and node.op != "Constant":
            problems.append(
                f"node '{node.label}' ({node.op}, {_domain(node)} {node.version}): attribute '{name}' {value.reason}, "
                "which is not supported"
            )
        if isinstance(value, Graph):
            value, missing = settle(value, problems)
            captures.update(dict.fromkeys(missing))
        attrs[name] = value
    if captures:
        attrs[CAPTURES] = tuple(captures)
        return node.replace(attrs=attrs, inputs=(*node.inputs, *captures))
    return node.replace(attrs=attrs)


def _add_constant(node: Node, inputs: set[str], constants: dict[str, Any], types: dict[str, TensorType]) -> None:
    if len(node.outputs) != 1 or not node.outputs[0] or node.inputs:
        raise ModelError(f"node '{node.label}' (Constant): it must have one output and no inputs")
    if len(node.attrs) != 1:
        raise ModelError(f"node '{node.label}' (Constant): it must have one attribute, found {sorted(node.attrs)}")
    attribute, value = next(iter(node.attrs.items()))
    if attribute in ("value_float", "value_floats"):
        value = np.array(value, np.float32)
    elif attribute in ("value_int", "value_ints"):
        value = np.array(value, np.int64)
    elif attribute in ("value_string", "value_strings"):
        value = Unsupported("has element type string")
    elif attribute == "sparse_value":
        value = Unsupported("is sparse")
    elif attribute != "value" or not isinstance(value, (np.ndarray, Unsupported)):
        raise ModelError(f"node '{node.label}' (Constant): attribute '{attribute}' is not a constant's value")
    (output,) = node.outputs
    if output in constants or output in inputs:
        raise ModelError(f"node '{node.label}' (Constant): its output '{output}' is defined twice")
    constants[output] = value
    if isinstance(value, np.ndarray):
        types[output] = TensorType(value.dtype, value.shape)


def _missing(graph: Graph, nodes: list[Node], constants: dict[str, Any]) -> list[str]:
    """The names that are read but defined nowhere in the graph, each once; raises for names defined twice."""
    defined = {*graph.inputs, *constants}
    for node in nodes:
        for name in node.outputs:
            if name in defined:
                raise ModelError(f"node '{node.label}' ({node.op}): its output '{name}' is defined twice")
            if name:
                defined.add(name)
    missing: dict[str, None] = {}
    for node in nodes:
        for name in node.inputs:
            if name and name not in defined:
                missing[name] = None
    for name in graph.outputs:
        if not name:
            raise ModelError(f"graph '{graph.name}' has an output without a name")
        if name not in defined:
            missing[name] = None
    return list(missing)


def _report_uses(graph: Graph, nodes: list[Node], unsupported: dict[str, Unsupported], problems: list[str]) -> None:
    for name in graph.inputs:  # the declaration of an input tells of its type
        unsupported.pop(name, None)
    for node in nodes:
        for name in node.inputs:
            if name in unsupported:
                problems.append(
                    f"node '{node.label}' ({node.op}, {_domain(node)} {node.version}): its input '{name}' "
                    f"{unsupported[name].reason}, which is not supported"
                )
    for name in graph.outputs:
        if name in unsupported:
            problems.append(f"graph output '{name}' {unsupported[name].reason}, which is not supported")


def _ordered(graph: Graph, nodes: list[Node], known: set[str]) -> list[Node]:
    """The nodes so that each follows those it reads from: as they are where possible, else moved as little as it takes.

    `known` holds the tensors that need no node.
    """
    available = set(known)
    for node in nodes:
        if not available.issuperset(node.inputs):
            break
        available.update(node.outputs)
    else:
        return nodes
    writers = {name: index for index, node in enumerate(nodes) for name in node.outputs if name}
    waits = [{writers[name] for name in node.inputs if name in writers} for node in nodes]
    readers: list[list[int]] = [[] for _ in nodes]
    for index, before in enumerate(waits):
        for writer in before:
            readers[writer].append(index)
    open_counts = [len(before) for before in waits]
    ready = [index for index, count in enumerate(open_counts) if count == 0]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            open_counts[reader] -= 1
            if open_counts[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        raise ModelError(f"graph '{graph.name}' has a cycle: {_cycle(nodes, waits, open_counts)}")
    return [nodes[index] for index in order]


def _cycle(nodes: list[Node], waits: list[set[int]], open_counts: list[int]) -> str:
    # Every node that could not be placed waits for another such node: walking back must come round.
    index = next(index for index, count in enumerate(open_counts) if count)
    path: list[int] = []
    visited: dict[int, int] = {}
    while index not in visited:
        visited[index] = len(path)
        path.append(index)
        index = next(before for before in sorted(waits[index]) if open_counts[before])
    cycle = path[visited[index] :][::-1]
    shown = [f"'{nodes[member].label}' ({nodes[member].op})" for member in cycle[:_SHOWN]]
    more = f" -> ... {len(cycle) - _SHOWN} more" if len(cycle) > _SHOWN else ""
    return " -> ".join(shown) + more + f" -> '{nodes[cycle[0]].label}'"
