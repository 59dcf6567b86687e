"""Local functions: a model may define operators of its own as graphs; they are replaced by their bodies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .attributes import AttributeReference
from .errors import ModelError, UnsupportedError
from .graph import ONNX, Graph, Node

_MAX_DEPTH = 64  # of functions calling functions, and of subgraphs
_MAX_NODES = 100_000  # functions that call one another can describe graphs without bound in a few bytes


class Function:
    """A FunctionProto; the name carries the overload, and `attrs` holds the default values of its attributes."""

    __slots__ = ("attrs", "domain", "inputs", "name", "nodes", "outputs")

    def __init__(
        self,
        domain: str,
        name: str,
        inputs: list[str],
        outputs: list[str],
        attrs: dict[str, Any],
        nodes: list[Node],
    ):
        self.domain = domain
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.attrs = attrs
        self.nodes = nodes

    @property
    def label(self) -> str:
        """How messages name the function."""
        return f"{self.domain}.{self.name}"


def inline_functions(graph: Graph, functions: list[Function]) -> Graph:
    """The graph with every call of a local function replaced by the function's nodes, subgraphs included."""
    return _Inliner(functions, graph).graph(graph)


class _Inliner:
    def __init__(self, functions: list[Function], graph: Graph):
        self.functions: dict[tuple[str, str], Function] = {}
        for function in functions:
            if (function.domain, function.name) in self.functions:
                raise ModelError(f"the model defines function '{function.label}' twice")
            self.functions[function.domain, function.name] = function
        _check_expansion(self.functions, graph)
        self.taken: set[str] = set()
        self.version = graph.opsets.get(ONNX, 13)
        _collect_names(graph, self.taken)

    def graph(self, graph: Graph) -> Graph:
        inlined = graph.with_nodes([])
        for node in graph.nodes:
            self._expand(node, inlined.nodes)
        return inlined

    def _expand(self, node: Node, nodes: list[Node]) -> None:
        function = self.functions.get((node.domain, node.op))
        if function is None:
            nodes.append(self._with_inlined_subgraphs(node))
            return
        if len(node.inputs) > len(function.inputs) or len(node.outputs) > len(function.outputs):
            raise ModelError(
                f"node '{node.label}' gives {len(node.inputs)} inputs and takes {len(node.outputs)} outputs, but "
                f"function '{function.label}' has {len(function.inputs)} and {len(function.outputs)}"
            )
        formal_inputs = set(function.inputs)
        names = dict.fromkeys(function.inputs, "") | dict(zip(function.inputs, node.inputs, strict=False))
        passed_on: list[tuple[str, str]] = []
        for formal, actual in zip(function.outputs, node.outputs, strict=False):
            if formal in formal_inputs:
                passed_on.append((names[formal], actual))
            elif actual:
                names[formal] = actual
        self._give_names((name for inner in function.nodes for name in inner.outputs), names, node.label)
        attrs = {**function.attrs, **node.attrs}
        for inner in function.nodes:
            self._expand(self._renamed(inner, names, attrs, node.label), nodes)
        for value, actual in passed_on:
            nodes.append(Node("Identity", [value], [actual], name=node.label, version=self.version))

    def _with_inlined_subgraphs(self, node: Node) -> Node:
        if not any(isinstance(value, Graph) for value in node.attrs.values()):
            return node
        attrs = {name: self.graph(value) if isinstance(value, Graph) else value for name, value in node.attrs.items()}
        return node.replace(attrs=attrs)

    def _renamed(self, node: Node, names: dict[str, str], attrs: dict[str, Any], prefix: str) -> Node:
        """A node of a function's body for one call: tensors renamed, attribute references filled in."""
        filled = {}
        for name, value in node.attrs.items():
            if isinstance(value, AttributeReference):
                if value.name not in attrs:
                    continue  # the caller left an optional attribute out
                value = attrs[value.name]
            elif isinstance(value, Graph):
                value = self._renamed_graph(value, names, attrs, prefix)
            filled[name] = value
        return node.replace(
            inputs=[self._name(name, names, prefix) for name in node.inputs],
            outputs=[self._name(name, names, prefix) for name in node.outputs],
            attrs=filled,
            name=f"{prefix}/{node.label}",
        )

    def _renamed_graph(self, graph: Graph, names: dict[str, str], attrs: dict[str, Any], prefix: str) -> Graph:
        # Its own names get fresh ones too: a captured tensor's new name must not meet them.
        own = {*graph.inputs, *graph.constants, *(name for node in graph.nodes for name in node.outputs)}
        inner = {name: given for name, given in names.items() if name not in own}
        self._give_names(own, inner, prefix)
        nodes = [self._renamed(node, inner, attrs, prefix) for node in graph.nodes]

        def new(name: str) -> str:
            return self._name(name, inner, prefix)

        return Graph(
            nodes,
            [new(name) for name in graph.inputs],
            [new(name) for name in graph.outputs],
            {new(name): value for name, value in graph.types.items()},
            {new(name): value for name, value in graph.constants.items()},
            graph.opsets,
            graph.name,
        )

    def _give_names(self, inner: Iterable[str], names: dict[str, str], prefix: str) -> None:
        for name in inner:
            if name and name not in names:
                fresh = f"{prefix}/{name}"
                if fresh in self.taken:
                    fresh = f"{fresh}.{len(self.taken)}"
                while fresh in self.taken:
                    fresh += "."
                self.taken.add(fresh)
                names[name] = fresh

    def _name(self, name: str, names: dict[str, str], prefix: str) -> str:
        return names.get(name, f"{prefix}/{name}") if name else ""


def _check_expansion(functions: dict[tuple[str, str], Function], graph: Graph) -> None:
    """Raises unless inlining ends, and ends in a graph of bounded size; looks at every function once."""
    sizes: dict[Function, tuple[int, int]] = {}  # nodes after inlining, and how deep calls and subgraphs nest
    active: list[Function] = []

    def measure(nodes: list[Node], level: int) -> tuple[int, int]:
        total = depth = 0
        for node in nodes:
            inner = [measure(value.nodes, level + 1) for value in node.attrs.values() if isinstance(value, Graph)]
            function = functions.get((node.domain, node.op))
            if function is not None:
                inner.append(measure_function(function, level + 1))
            total += 1 + sum(size for size, _ in inner)
            depth = max([depth, *(1 + below for _, below in inner)])
        if total > _MAX_NODES:
            raise UnsupportedError(f"the model's local functions expand to more than {_MAX_NODES} nodes")
        if level + depth > _MAX_DEPTH:
            raise UnsupportedError(f"the model's local functions and subgraphs nest more than {_MAX_DEPTH} deep")
        return total, depth

    def measure_function(function: Function, level: int) -> tuple[int, int]:
        if function in active:
            raise ModelError(f"function '{function.label}' calls itself")
        if level > _MAX_DEPTH:
            raise UnsupportedError(f"the model's local functions and subgraphs nest more than {_MAX_DEPTH} deep")
        if function not in sizes:
            active.append(function)
            sizes[function] = measure(function.nodes, level)
            active.pop()
        return sizes[function]

    measure(graph.nodes, 0)


def _collect_names(graph: Graph, names: set[str]) -> None:
    names.update(graph.inputs, graph.constants)
    for node in graph.nodes:
        names.update(node.outputs)
        for value in node.attrs.values():
            if isinstance(value, Graph):
                _collect_names(value, names)
