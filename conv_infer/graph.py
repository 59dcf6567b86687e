"""The graph that importer, passes and planner hand to one another.

A `Graph` is a list of immutable `Node`s in execution order that name the tensors they read and write, with the
element type and shape of every tensor and the arrays of the constant ones. A pass takes a graph and returns another;
because nodes are immutable, graphs may share them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .errors import ModelError

ONNX = ""  # the default operator domain, "ai.onnx"
MICROSOFT = "com.microsoft"
INTERNAL = "conv_infer"  # operators that only passes create: channels-last, fused

# Attribute of a node with subgraphs (If, Loop, Scan): the names by which its subgraphs know the tensors of the outer
# graph that they read. The node lists those tensors too, as its last inputs and in the same order, so that a node's
# inputs are always all it reads and a pass may rename them.
CAPTURES = "captures"

# The attribute in which a node says why it is not run as it could be, for people who read the plan.
NOTE = "note"

Dim = int | str | None  # a size, a symbol's name, or unknown
Shape = tuple[Dim, ...]


class TensorType:
    """Element type and shape of a tensor; `shape` is None where even the rank is unknown."""

    __slots__ = ("dtype", "shape")

    def __init__(self, dtype: np.dtype, shape: Shape | None):
        self.dtype = dtype
        self.shape = shape

    @property
    def is_static(self) -> bool:
        """True where every size is known."""
        return self.shape is not None and all(isinstance(size, int) for size in self.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorType) and (self.dtype, self.shape) == (other.dtype, other.shape)

    def __hash__(self) -> int:
        return hash((self.dtype, self.shape))

    def __repr__(self) -> str:
        shape = "?" if self.shape is None else "x".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.dtype}[{shape}]"


class Node:
    """One operator: what it is, which tensors it reads ("" stands for an optional input left out) and writes."""

    __slots__ = ("attrs", "domain", "inputs", "name", "op", "outputs", "version")

    def __init__(
        self,
        op: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        attrs: dict[str, Any] | None = None,
        *,
        name: str = "",
        domain: str = ONNX,
        version: int = 0,
    ):
        self.op = op
        self.domain = domain
        self.version = version  # the operator set version that gives the node its meaning
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.attrs = attrs or {}
        self.name = name

    def replace(self, **changes: Any) -> Node:
        """A copy with some fields changed: `node.replace(outputs=["y"], attrs={**node.attrs, "alpha": 0.1})`."""
        fields = {field: changes.get(field, getattr(self, field)) for field in self.__slots__}
        return Node(
            fields["op"],
            fields["inputs"],
            fields["outputs"],
            fields["attrs"],
            name=fields["name"],
            domain=fields["domain"],
            version=fields["version"],
        )

    @property
    def label(self) -> str:
        """How messages name the node: its own name, else its first output."""
        return self.name or next((output for output in self.outputs if output), "?")

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(self.inputs)}) -> {', '.join(self.outputs)}"


class Graph:
    """Nodes in execution order over named tensors.

    `types` holds the `TensorType` of every tensor, `constants` the arrays of those known at load (initializers and
    folded results), `inputs` and `outputs` the names that the caller feeds and receives, in the model's order.
    """

    __slots__ = ("constants", "inputs", "name", "nodes", "opsets", "outputs", "types")

    def __init__(
        self,
        nodes: list[Node],
        inputs: list[str],
        outputs: list[str],
        types: dict[str, TensorType],
        constants: dict[str, np.ndarray],
        opsets: dict[str, int],
        name: str = "",
    ):
        self.nodes = nodes
        self.inputs = inputs
        self.outputs = outputs
        self.types = types
        self.constants = constants
        self.opsets = opsets
        self.name = name

    def with_nodes(self, nodes: list[Node]) -> Graph:
        """The same graph with other nodes; types and constants are copied so that a pass may add to them."""
        return Graph(nodes, self.inputs, self.outputs, dict(self.types), dict(self.constants), self.opsets, self.name)

    def producers(self) -> dict[str, Node]:
        """The node that writes each tensor (graph inputs and constants have none)."""
        return {output: node for node in self.nodes for output in node.outputs if output}

    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that read each tensor, once per reading input."""
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                if name:
                    readers.setdefault(name, []).append(node)
        return readers

    def use_counts(self) -> dict[str, int]:
        """How often each tensor is read, being a graph output counted as one reading."""
        counts: dict[str, int] = {}
        for name in self._all_reads():
            counts[name] = counts.get(name, 0) + 1
        return counts

    def _all_reads(self) -> Iterator[str]:
        for node in self.nodes:
            yield from (name for name in node.inputs if name)
        yield from self.outputs

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor whose sizes are all known."""
        tensor_type = self.types[name]
        if not tensor_type.is_static:
            raise ModelError(f"tensor '{name}': its shape {tensor_type} is not known yet")
        return tensor_type.shape  # type: ignore[return-value]

    def dtype(self, name: str) -> np.dtype:
        return self.types[name].dtype

    def fresh_name(self, base: str) -> str:
        """A tensor name that is not taken, made from `base`."""
        if base not in self.types:
            return base
        number = 1
        while f"{base}.{number}" in self.types:
            number += 1
        return f"{base}.{number}"

    def add_constant(self, base: str, array: np.ndarray) -> str:
        """Adds a constant under a fresh name made from `base`; returns the name."""
        name = self.fresh_name(base)
        self.constants[name] = array
        self.types[name] = TensorType(array.dtype, array.shape)
        return name

    def add_tensor(self, base: str, dtype: np.dtype, shape: Shape | None) -> str:
        """Declares a computed tensor under a fresh name made from `base`; returns the name."""
        name = self.fresh_name(base)
        self.types[name] = TensorType(np.dtype(dtype), shape)
        return name

    def validate(self) -> None:
        """Raises `ModelError` unless every tensor is written once, before it is read, and has a type."""
        known = set(self.inputs) | set(self.constants)
        for node in self.nodes:
            for name in node.inputs:
                if name and name not in known:
                    raise ModelError(
                        f"node '{node.label}' ({node.op}): its input '{name}' is written by no earlier node, and is "
                        "neither a graph input nor an initializer"
                    )
            for name in node.outputs:
                if not name:
                    continue
                if name in known:
                    raise ModelError(f"node '{node.label}' ({node.op}): its output '{name}' is defined twice")
                if name not in self.types:
                    raise ModelError(f"node '{node.label}' ({node.op}): its output '{name}' has no type")
                known.add(name)
        for name in self.outputs:
            if name not in known:
                raise ModelError(f"graph output '{name}' is written by no node")
