"""Recognises activations that exporters spell out in several nodes, and turns each into one planned Activation.

Every pattern ends in a known operator; it is matched backwards from there, operands of commutative operators in either
order. Nodes in between must have no other reader. The layout is still that of the ONNX graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..graph import INTERNAL, ONNX, Graph, Node

Activation = tuple[str, float, float]
_CLOSE = 1e-3  # exporters write 1/6 or sqrt(2 / pi) with few digits


class _Matcher:
    """Reads a graph backwards."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.producers = graph.producers()
        self.uses = graph.use_counts()
        self.last = ""  # the output of the pattern that is being matched

    def node(self, name: str, op: str) -> Node | None:
        """The node that makes `name`, if it is an `op` and only the pattern reads it."""
        node = self.producers.get(name)
        if node is None or node.op != op or node.domain != ONNX:
            return None
        return node if name == self.last or self.uses[name] == 1 else None

    def number(self, name: str) -> float | None:
        """The value of a constant of one element."""
        array = self.graph.constants.get(name)
        return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None

    def operands(self, node: Node) -> Iterator[tuple[str, str]]:
        """Both orders of a commutative operator's operands."""
        if len(node.inputs) == 2:
            yield node.inputs[0], node.inputs[1]
            yield node.inputs[1], node.inputs[0]

    def with_number(self, node: Node | None) -> tuple[str, float] | None:
        """(x, c) of a commutative operator on a tensor and a number."""
        if node is not None:
            for x, other in self.operands(node):
                value = self.number(other)
                if value is not None and x not in self.graph.constants:
                    return x, value
        return None

    def scaled(self, name: str) -> tuple[str, float] | None:
        """(x, c) where `name` is x * c or x / (1 / c)."""
        multiplied = self.with_number(self.node(name, "Mul"))
        if multiplied is not None:
            return multiplied
        node = self.node(name, "Div")
        divisor = self.number(node.inputs[1]) if node is not None else None
        return (node.inputs[0], 1.0 / divisor) if divisor else None  # type: ignore[union-attr]

    def shifted(self, name: str) -> tuple[str, float] | None:
        """(x, c) where `name` is x + c."""
        return self.with_number(self.node(name, "Add"))

    def bounds(self, node: Node) -> tuple[float, float] | None:
        """The bounds of a Clip or Relu."""
        if node.op == "Relu":
            return 0.0, math.inf
        low, high = float(node.attrs.get("min", -math.inf)), float(node.attrs.get("max", math.inf))
        numbers = [self.number(name) if name else default for name, default in zip(node.inputs[1:], (low, high))]  # noqa: B905
        numbers += [low, high][len(numbers) :]
        return None if None in numbers else (numbers[0], numbers[1])  # type: ignore[return-value]


def recognise_activations(graph: Graph) -> Graph:
    if not any(node.op in _LAST for node in graph.nodes):
        return graph
    matcher = _Matcher(graph)
    nodes = []
    changed = False
    for node in graph.nodes:
        found = None
        if node.domain == ONNX and node.outputs[0] and graph.types[node.outputs[0]].dtype == np.float32:
            matcher.last = node.outputs[0]
            for match in _LAST.get(node.op, ()):
                found = match(matcher, node)
                if found is not None:
                    break
        if found is not None and _same_shape(graph, found[0], node.outputs[0]):
            x, (kind, alpha, beta) = found
            attrs = {"kind": kind, "alpha": alpha, "beta": beta}
            nodes.append(Node("Activation", [x], node.outputs, attrs, name=node.name, domain=INTERNAL))
            changed = True
        else:
            nodes.append(node)
    return graph.with_nodes(nodes) if changed else graph


def _same_shape(graph: Graph, x: str, y: str) -> bool:
    return graph.types[x].is_static and graph.types[x].shape == graph.types[y].shape


def _close(value: float, expected: float) -> bool:
    return abs(value - expected) <= _CLOSE * abs(expected)


Found = tuple[str, Activation] | None


def _hard_sigmoid_of(matcher: _Matcher, name: str) -> tuple[str, float, float, float] | None:
    """(x, alpha, beta, factor) where `name` is factor * min(max(alpha * x + beta, 0), 1)."""
    node = matcher.node(name, "HardSigmoid")
    if node is not None:
        return node.inputs[0], float(node.attrs.get("alpha", 0.2)), float(node.attrs.get("beta", 0.5)), 1.0
    scaled = matcher.scaled(name)
    factor = 1.0
    if scaled is not None:
        name, factor = scaled
    clip = matcher.node(name, "Clip") or matcher.node(name, "Min")
    if clip is None:
        return None
    if clip.op == "Min":  # Min(Max(x, 0), 6) or Min(Relu(x), 6)
        upper = matcher.with_number(clip)
        if upper is None:
            return None
        inner, high = upper
        lower = matcher.node(inner, "Relu")
        if lower is not None:
            low, inner = 0.0, lower.inputs[0]
        else:
            other = matcher.with_number(matcher.node(inner, "Max"))
            if other is None:
                return None
            inner, low = other
    else:
        bounds = matcher.bounds(clip)
        if bounds is None:
            return None
        (low, high), inner = bounds, clip.inputs[0]
        relu = matcher.node(inner, "Relu")
        if relu is not None and low <= 0.0:
            low, inner = 0.0, relu.inputs[0]
    if low != 0.0 or not 0.0 < high < math.inf:
        return None
    # factor * clip(s * (x + c), 0, high) = (factor * high) * clip((s / high) * x + ..., 0, 1)
    shift = matcher.shifted(inner)
    slope = 1.0
    if shift is not None:
        inner, offset = shift
        scaled = matcher.scaled(inner)
        if scaled is not None:
            inner, slope = scaled
    else:
        offset = 0.0
    return inner, slope / high, offset / high, factor * high


def _hard_swish(matcher: _Matcher, node: Node) -> Found:
    """x * hard_sigmoid(x), in every order of the factor 1/6: HardSwish-14, Howard et al. (2019)."""
    factor = 1.0
    product = node
    if node.op == "Div" or matcher.with_number(node) is not None:
        value = matcher.number(node.inputs[1]) if node.op == "Div" else None
        if node.op == "Div":
            if not value:
                return None
            name, factor = node.inputs[0], 1.0 / value
        else:
            name, factor = matcher.with_number(node)  # type: ignore[misc]
        inner = matcher.node(name, "Mul")
        if inner is None:
            return None
        product = inner
    for x, gate in matcher.operands(product):
        scaled = matcher.scaled(x)  # (x / 6) * clip(x + 3)
        for base, extra in ((x, 1.0), *((scaled,) if scaled is not None else ())):
            found = _hard_sigmoid_of(matcher, gate)
            if found is None or found[0] != base:
                continue
            _, alpha, beta, whole = found
            if _close(whole * factor * extra, 1.0) and beta > 0.0:
                return base, ("hard_swish", alpha, beta)
    return None


def _hard_sigmoid(matcher: _Matcher, node: Node) -> Found:
    """clip(x + 3, 0, 6) / 6, where no product with x follows."""
    found = _hard_sigmoid_of(matcher, node.outputs[0])
    if found is None:
        return None
    x, alpha, beta, whole = found
    return (x, ("hard_sigmoid", alpha, beta)) if _close(whole, 1.0) and beta > 0.0 else None


def _silu(matcher: _Matcher, node: Node) -> Found:
    """x * sigmoid(alpha * x): Swish-24, Ramachandran et al. (2017)."""
    for x, gate in matcher.operands(node):
        sigmoid = matcher.node(gate, "Sigmoid")
        if sigmoid is None:
            continue
        if sigmoid.inputs[0] == x:
            return x, ("silu", 1.0, 0.0)
        scaled = matcher.scaled(sigmoid.inputs[0])
        if scaled is not None and scaled[0] == x:
            return x, ("silu", scaled[1], 0.0)
    return None


def _product(matcher: _Matcher, node: Node) -> tuple[list[str], float] | None:
    """The tensors and the number that a tree of Mul and Div by numbers multiplies, three levels deep."""
    tensors: list[str] = []
    factor = 1.0
    pending = [(name, 0) for name in node.inputs]
    while pending:
        name, depth = pending.pop()
        value = matcher.number(name)
        if value is not None:
            factor *= value
            continue
        inner = matcher.node(name, "Mul")
        scaled = None if inner is not None else matcher.scaled(name)
        if inner is not None and depth < 3:
            pending.extend((other, depth + 1) for other in inner.inputs)
        elif scaled is not None:
            factor *= scaled[1]
            pending.append((scaled[0], depth + 1))
        else:
            tensors.append(name)
    return (tensors, factor) if len(tensors) == 2 else None


def _gelu(matcher: _Matcher, node: Node) -> Found:
    """x * (1 + erf(x / sqrt(2))) / 2, and its approximation by tanh: Gelu-20, Hendrycks and Gimpel (2016)."""
    product = _product(matcher, node)
    if product is None or not _close(product[1], 0.5):
        return None
    for x, gate in (product[0], product[0][::-1]):
        shifted = matcher.shifted(gate)
        if shifted is None or shifted[1] != 1.0:
            continue
        erf = matcher.node(shifted[0], "Erf")
        if erf is not None:
            scaled = matcher.scaled(erf.inputs[0])
            if scaled is not None and scaled[0] == x and _close(scaled[1], math.sqrt(0.5)):
                return x, ("gelu", 0.0, 0.0)
        tanh = matcher.node(shifted[0], "Tanh")
        if tanh is not None and _is_gelu_argument(matcher, tanh.inputs[0], x):
            return x, ("gelu_tanh", 0.0, 0.0)
    return None


def _is_gelu_argument(matcher: _Matcher, name: str, x: str) -> bool:
    """Whether `name` is sqrt(2 / pi) * (x + 0.044715 * x^3), or the same with an x taken out of the bracket."""
    outer = matcher.scaled(name)
    factor = 1.0
    if outer is not None:
        name, factor = outer
    if not _close(factor, math.sqrt(2.0 / math.pi)):
        return False
    total = matcher.node(name, "Add")
    if total is None:
        return False
    for first, second in matcher.operands(total):
        if first == x:
            cubic = matcher.scaled(second)
            if cubic is not None and _close(cubic[1], 0.044715) and _is_power(matcher, cubic[0], x, 3):
                return True
    return False


def _is_power(matcher: _Matcher, name: str, x: str, exponent: int) -> bool:
    node = matcher.node(name, "Pow")
    if node is not None:
        return node.inputs[0] == x and matcher.number(node.inputs[1]) == exponent
    node = matcher.node(name, "Mul")
    if node is None:
        return False
    if exponent == 2:
        return node.inputs == (x, x)
    return any(first == x and _is_power(matcher, second, x, exponent - 1) for first, second in matcher.operands(node))


def _mish(matcher: _Matcher, node: Node) -> Found:
    """x * tanh(softplus(x)), also with log(1 + exp(x)): Mish-18, Misra (2019)."""
    for x, gate in matcher.operands(node):
        tanh = matcher.node(gate, "Tanh")
        if tanh is None:
            continue
        softplus = matcher.node(tanh.inputs[0], "Softplus")
        if softplus is not None and softplus.inputs[0] == x:
            return x, ("mish", 0.0, 0.0)
        log = matcher.node(tanh.inputs[0], "Log")
        shifted = matcher.shifted(log.inputs[0]) if log is not None else None
        exp = matcher.node(shifted[0], "Exp") if shifted is not None and shifted[1] == 1.0 else None
        if exp is not None and exp.inputs[0] == x:
            return x, ("mish", 0.0, 0.0)
    return None


# The operator that a pattern ends in -> the patterns to try
_LAST = {
    "Mul": (_hard_swish, _silu, _gelu, _mish, _hard_sigmoid),
    "Div": (_hard_swish, _hard_sigmoid),
}
