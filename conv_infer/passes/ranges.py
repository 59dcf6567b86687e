"""Between which bounds the elements of a tensor lie, as far as activations tell."""

from __future__ import annotations

import math

from ..graph import INTERNAL, Graph, Node
from .planned import ACTIVATING, activation_attr

Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)

_KEEPING = frozenset(("MaxPool", "Slice", "ChannelGather", "Reshape", "Transpose", "Expand", "Tile"))
_AVERAGING = frozenset(("AveragePool", "Resize"))
_BOUNDED = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "exp": (0.0, math.inf), "softplus": (0.0, math.inf)}


class Ranges:
    """Filled node by node, in execution order."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._known: dict[str, Range] = {}

    def of(self, name: str) -> Range:
        return self._known.get(name, ANY)

    def note(self, node: Node) -> None:
        """Takes in what a node tells of its output."""
        if node.domain != INTERNAL:
            return
        found = self._range(node)
        if found != ANY:
            self._known[node.outputs[0]] = found

    def _range(self, node: Node) -> Range:
        op = node.op
        if op == "Activation":
            return _of_activation(activation_attr(node))
        if op in ACTIVATING:
            return _of_activation(node.attrs["activation"]) if node.attrs["activation"] else ANY
        low, high = self.of(node.inputs[0])
        if op in _KEEPING or (op == "Reduce" and node.attrs["kind"] in ("max", "min")):
            return low, high
        if op in _AVERAGING or (op == "Reduce" and node.attrs["kind"] in ("mean", "sum")):
            # rounding may lead past the upper bound; padding adds zeros
            return (0.0 if low >= 0.0 else -math.inf), math.inf
        if op == "Concat":
            bounds = [self.of(name) for name in node.inputs]
            return min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)
        if op == "Pad" and node.attrs["mode"] == "constant":
            return min(low, node.attrs["value"]), max(high, node.attrs["value"])
        return ANY


def _of_activation(activation: tuple[str, float, float]) -> Range:
    kind, alpha, beta = activation
    return (alpha, beta) if kind == "clamp" else _BOUNDED.get(kind, ANY)
