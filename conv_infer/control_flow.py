"""If and Loop, run from Python: their subgraphs node by node through the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .errors import ModelError
from .graph import CAPTURES, Graph, Node

RunNode = Callable[[Node, Sequence[np.ndarray | None]], list[np.ndarray]]


def run_if(node: Node, inputs: Sequence[np.ndarray | None], run_node: RunNode) -> list[np.ndarray]:
    """If-1 and later: the outputs of the branch that the condition chooses."""
    condition, captured = inputs[0], _captured(node, inputs)
    branch = _body(node, "then_branch" if _truth(node, condition) else "else_branch")
    return _run_graph(branch, captured, run_node)


def run_loop(node: Node, inputs: Sequence[np.ndarray | None], run_node: RunNode) -> list[np.ndarray]:
    """Loop-1 and later: the carried values after the last iteration, and the scan outputs stacked along a new axis 0.

    Without a trip count and a condition the loop would not end: that is an error. So is a scan output of a loop that
    never runs and whose body does not tell the output's element type and shape.
    """
    body, captured = _body(node, "body"), _captured(node, inputs)
    own = len(inputs) - len(captured)
    if own < 2 or len(body.inputs) != own or len(body.outputs) < own - 1:
        raise ModelError(
            f"node '{node.label}' (Loop): it has {own} inputs, but its body has {len(body.inputs)} inputs and "
            f"{len(body.outputs)} outputs"
        )
    trips, condition, carried = inputs[0], inputs[1], list(inputs[2:own])
    if trips is None and condition is None:
        raise ModelError(f"node '{node.label}' (Loop): without a trip count and a condition it does not end")
    limit = None if trips is None else int(_scalar(node, trips))
    keep_on = condition is None or _truth(node, condition)
    scans: list[list[np.ndarray]] = [[] for _ in body.outputs[own - 1 :]]
    iteration = 0
    while keep_on and (limit is None or iteration < limit):
        feeds = dict(zip(body.inputs, [np.array(iteration), np.array(True), *carried], strict=True))
        results = _run_graph(body, captured | feeds, run_node)
        # Where the condition is left out, only the trip count ends the loop.
        keep_on = condition is None or _truth(node, results[0])
        carried = results[1 : own - 1]
        for scan, value in zip(scans, results[own - 1 :], strict=True):
            scan.append(value)
        iteration += 1
    stacked = [_stacked(node, body, name, scan) for name, scan in zip(body.outputs[own - 1 :], scans, strict=True)]
    return [*carried, *stacked]


def _stacked(node: Node, body: Graph, name: str, values: list[np.ndarray]) -> np.ndarray:
    if values:
        shapes = {value.shape for value in values}
        if len(shapes) > 1:
            raise ModelError(f"node '{node.label}' (Loop): scan output '{name}' changes its shape: {sorted(shapes)}")
        return np.stack(values)
    declared = body.types.get(name)
    if declared is None or not declared.is_static:
        raise ModelError(f"node '{node.label}' (Loop): it never runs, and its body leaves the shape of '{name}' open")
    return np.empty((0, *declared.shape), declared.dtype)


def _run_graph(graph: Graph, outer: dict[str, np.ndarray | None], run_node: RunNode) -> list[np.ndarray]:
    values = {**outer, **graph.constants}
    for node in graph.nodes:
        results = run_node(node, [values[name] if name else None for name in node.inputs])
        values.update(zip(node.outputs, results, strict=False))
    return [values[name] for name in graph.outputs]


def _captured(node: Node, inputs: Sequence[np.ndarray | None]) -> dict[str, np.ndarray | None]:
    names = node.attrs.get(CAPTURES, ())
    return dict(zip(names, inputs[len(inputs) - len(names) :], strict=True))


def _body(node: Node, name: str) -> Graph:
    body = node.attrs.get(name)
    if not isinstance(body, Graph):
        raise ModelError(f"node '{node.label}' ({node.op}): it lacks the graph attribute '{name}'")
    return body


def _truth(node: Node, condition: np.ndarray | None) -> bool:
    return bool(_scalar(node, condition))


def _scalar(node: Node, value: np.ndarray | None) -> int | bool:
    if value is None or value.size != 1:
        found = "nothing" if value is None else f"shape {value.shape}"
        raise ModelError(f"node '{node.label}' ({node.op}): its condition or trip count must be one value, not {found}")
    return value.item()
