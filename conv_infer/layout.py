"""How the lowering pass keeps track of memory layouts: which physical arrays hold each tensor of the ONNX graph.

A tensor of the ONNX graph, here called *logical*, may live in memory with its axes in another order: an *order* is a
tuple that says which logical axis each axis of the physical array is, so that an image kept as NHWC has the order
(0, 2, 3, 1). A Transpose node then only renames axes; a copy happens where an operator asks for an order that no
array has yet. Operators that treat all axes alike take whatever order they find.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .graph import INTERNAL, Graph, Node

Order = tuple[int, ...]

NHWC: Order = (0, 2, 3, 1)
FLOAT32 = np.dtype(np.float32)


def plain_order(rank: int) -> Order:
    """The order of the ONNX graph itself."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """The order with axis 1 moved to the end: NHWC for images, NLC for signals."""
    return (0, *range(2, rank), 1)


def is_plain(order: Order) -> bool:
    return all(axis == position for position, axis in enumerate(order))


def permuted(values: Sequence, order: Sequence[int]) -> tuple:
    return tuple([values[axis] for axis in order])


def only_reshapes(shape: Sequence[int], perm: Sequence[int]) -> bool:
    """Whether transposing an array of this shape leaves its elements where they are: only axes of size 1 move."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return all(first < second for first, second in pairwise(moved))


class Lowering:
    """The graph that is being built, and where the tensors of the ONNX graph live in it.

    Lowering functions ask for physical inputs with `use`, append planned operators with `step` (a new physical tensor)
    or `emit` (a logical one), and may declare that a logical tensor is an array that exists with `bind`.
    """

    def __init__(self, graph: Graph):
        self.source = graph
        self.graph = graph.with_nodes([])
        self.nodes = self.graph.nodes
        self.constants = self.graph.constants
        self.types = self.graph.types
        self.readers = graph.consumers()
        self._forms: dict[str, dict[Order, str]] = {}
        self._homes: dict[str, Order] = {}

    # What is known about logical tensors

    def shape(self, name: str) -> tuple[int, ...]:
        return self.types[name].shape  # type: ignore[return-value]

    def rank(self, name: str) -> int:
        return len(self.types[name].shape)  # type: ignore[arg-type]

    def dtype(self, name: str) -> np.dtype:
        return self.types[name].dtype

    def is_float(self, *names: str) -> bool:
        """Whether all tensors are float32 (a missing optional one is)."""
        return all(not name or self.types[name].dtype == FLOAT32 for name in names)

    def constant(self, node: Node, index: int) -> np.ndarray | None:
        """The array of a constant input; None where it is computed or left out."""
        if index >= len(node.inputs):
            return None
        return self.constants.get(node.inputs[index])

    def constants_of(self, node: Node) -> list[np.ndarray | None]:
        """The arrays of all the node's inputs; None where they are computed or left out."""
        return [self.constants.get(name) for name in node.inputs]

    def has_input(self, node: Node, index: int) -> bool:
        return index < len(node.inputs) and bool(node.inputs[index])

    def home(self, name: str) -> Order:
        """The order that the tensor was made in."""
        return self._homes.get(name) or plain_order(self.rank(name))

    # Physical arrays

    def use(self, name: str, order: Order) -> str:
        """The physical tensor that holds the logical one in the given order; transposes it where there is none yet."""
        forms = self._forms.get(name)
        if forms is None:
            forms = self._forms[name] = {plain_order(self.rank(name)): name}
        physical = forms.get(order)
        if physical is None:
            home = self.home(name)
            perm = tuple([home.index(axis) for axis in order])
            physical = forms[order] = self._transpose(forms[home], perm, name, order)
        return physical

    def use_plain(self, name: str) -> str:
        if name not in self._forms:
            return name
        return self.use(name, plain_order(self.rank(name)))

    def use_home(self, name: str) -> tuple[str, Order]:
        """The physical tensor as it was made, and its order."""
        home = self.home(name)
        return self.use(name, home), home

    def _transpose(self, source: str, perm: Order, logical: str, order: Order) -> str:
        array = self.constants.get(source)
        if array is not None:
            return self.graph.add_constant(logical + _suffix(order), np.transpose(array, perm))
        shape = self.shape(source)
        output = logical
        if not is_plain(order):
            output = self.graph.add_tensor(logical + _suffix(order), self.dtype(source), permuted(shape, perm))
        if only_reshapes(shape, perm):
            self.nodes.append(Node("Reshape", [source], [output], name=logical, domain=INTERNAL))
        else:
            self.nodes.append(Node("Transpose", [source], [output], {"perm": perm}, name=logical, domain=INTERNAL))
        return output

    # Appending operators

    def step(
        self,
        node: Node,
        op: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        attrs: dict[str, Any] | None = None,
        dtype=None,
    ) -> str:
        """Appends an operator on physical tensors whose output is an intermediate array; returns its name."""
        dtype = self.dtype(inputs[0]) if dtype is None else dtype
        output = self.graph.add_tensor(f"{node.outputs[0]}:{op}", dtype, tuple(shape))
        self.nodes.append(Node(op, inputs, [output], attrs, name=node.name, domain=INTERNAL))
        return output

    def emit(
        self,
        node: Node,
        op: str,
        inputs: Sequence[str],
        order: Order | None = None,
        attrs=None,
        output: str | None = None,
    ) -> None:
        """Appends an operator on physical tensors whose output is the node's (first) output in the given order."""
        output = node.outputs[0] if output is None else output
        rank = self.rank(output)
        order = order or plain_order(rank)
        physical = output
        if not is_plain(order):
            physical = self.graph.add_tensor(
                output + _suffix(order), self.dtype(output), permuted(self.shape(output), order)
            )
        self.nodes.append(Node(op, inputs, [physical], attrs, name=node.name, domain=INTERNAL))
        self._forms[output] = {order: physical}
        self._homes[output] = order

    def bind(self, output: str, physical: str, order: Order) -> None:
        """Declares that the logical tensor `output` is held by an array that exists."""
        self._forms[output] = {order: physical}
        self._homes[output] = order

    def alias(self, output: str, source: str, perm: Sequence[int] | None = None) -> None:
        """Declares that `output` is `source`, its axes renamed as Transpose with `perm` would."""
        self.use_home(source)  # makes sure that the source has an entry
        forms, home = self._forms[source], self.home(source)
        if perm is None:
            self._forms[output], self._homes[output] = forms, home
            return
        renamed = [0] * len(perm)
        for axis, old in enumerate(perm):
            renamed[old] = axis
        self._forms[output] = {permuted(renamed, order): physical for order, physical in forms.items()}
        self._homes[output] = permuted(renamed, home)

    def reshaped(self, node: Node, physical: str, shape: Sequence[int]) -> str:
        """The physical tensor under another shape of as many elements."""
        shape = tuple(shape)
        if self.shape(physical) == shape:
            return physical
        array = self.constants.get(physical)
        if array is not None:
            return self.graph.add_constant(f"{physical}:Reshape", array.reshape(shape))
        return self.step(node, "Reshape", [physical], shape)

    def transposed(self, node: Node, physical: str, perm: Order) -> str:
        """A computed physical tensor with its axes permuted."""
        shape = self.shape(physical)
        if is_plain(perm):
            return physical
        if only_reshapes(shape, perm):
            return self.reshaped(node, physical, permuted(shape, perm))
        return self.step(node, "Transpose", [physical], permuted(shape, perm), {"perm": tuple(perm)})

    def keep(self, node: Node) -> None:
        """Keeps an ONNX node as it is; it runs on plain layouts."""
        inputs = [name and self.use_plain(name) for name in node.inputs]
        self.nodes.append(node.replace(inputs=inputs))

    def common_order(self, names: Sequence[str]) -> Order:
        """The order that most bytes of these tensors of one rank have; on a tie one that is not plain."""
        weights: dict[Order, int] = {}
        for name in names:
            if name in self.constants:
                continue
            size = 1
            for length in self.shape(name):
                size *= length
            home = self.home(name)
            weights[home] = weights.get(home, 0) + size
        if not weights:
            return plain_order(self.rank(names[0]))
        return max(weights, key=lambda order: (weights[order], not is_plain(order)))

    def finish(self) -> Graph:
        """Gives the graph's outputs their names and layouts; returns the graph."""
        for name in dict.fromkeys(self.graph.outputs):
            if name in self._forms:
                physical = self.use_plain(name)
                if physical != name:
                    self._name_output(name, physical)
        return self.graph

    def _name_output(self, name: str, physical: str) -> None:
        array = self.constants.get(physical)
        if array is not None:
            self.constants[name] = array
        else:
            self.nodes.append(Node("Reshape", [physical], [name], name=name, domain=INTERNAL))


def _suffix(order: Order) -> str:
    if order == NHWC:
        return ":nhwc"
    return "" if is_plain(order) else ":" + "".join(map(str, order))
