"""From a graph of any input shape to the graph of one: shapes inferred, constants folded, dead nodes dropped.

One walk over the nodes. Each is either evaluated, where its inputs are constant (or only their shapes matter) and the
result is small, or typed by its entry in the operator table. Chains that compute shapes (Shape, Gather, Concat,
Reshape, ...) so become constants as they are met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .errors import InputError, ModelError, UnsupportedError
from .graph import CAPTURES, ONNX, Graph, Node, TensorType
from .operators import OPERATORS, Operator
from .operators.checks import MAX_ELEMENTS, describe, dims, element_count

# The most elements that folding a node may write. Results that are views of their inputs have no limit: reshaped
# weights, or a ConstantOfShape that stands for gigabytes.
FOLD_LIMIT = 1 << 22
_VIEWS = frozenset(
    ("ConstantOfShape", "Dropout", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
)
# What onnx.reference may be asked to compute: it is slow to load and to run.
REFERENCE_LIMIT = 1 << 16
# Folding these would hide that weights are quantised from the passes that look for it.
KEPT = frozenset((("", "DequantizeLinear"), ("com.microsoft", "DequantizeLinear")))
_UNKNOWN = TensorType(None, None)  # type: ignore[arg-type]


def specialise(graph: Graph, input_shapes: Mapping[str, Sequence[int]]) -> Graph:
    """The graph for inputs of the given shapes, one for every graph input.

    All tensors have static types, but for those behind operators that the table does not know (dtype and shape None)
    or whose size depends on data (sizes None). Nodes whose results are constant are gone, as are those that no output
    needs. DequantizeLinear of constants stays, for the passes that look for quantised weights.

    Raises `InputError` where a shape contradicts the declared one, `ModelError` where the model contradicts itself.
    """
    types = check_input_shapes(graph, input_shapes)
    return _Walk(graph, types, KEPT).run()


def fold_constants(graph: Graph) -> Graph:
    """The graph with every node evaluated whose inputs are constant, DequantizeLinear too; of a specialised graph."""
    return _Walk(graph, {name: graph.types[name] for name in graph.inputs}, frozenset()).run()


def check_input_shapes(graph: Graph, input_shapes: Mapping[str, Sequence[int]]) -> dict[str, TensorType]:
    """The static types of the graph's inputs; `InputError` where the shapes do not fit what the model declares.

    A symbol stands for one size wherever the inputs name it. An input declared as a scalar takes any shape, as in
    onnxruntime: some exporters write that where they know none.
    """
    for name in input_shapes:
        if name not in graph.inputs:
            raise InputError(f"there is no input '{name}'; the model's inputs are {_listed(graph.inputs)}")
    symbols: dict[str, tuple[int, str]] = {}
    types: dict[str, TensorType] = {}
    for name in graph.inputs:
        if name not in input_shapes:
            raise InputError(f"the shape of input '{name}' is missing; the model's inputs are {_listed(graph.inputs)}")
        given = tuple(int(size) for size in input_shapes[name])
        declared = graph.types[name]
        if declared.shape == ():
            declared = TensorType(declared.dtype, None)
        if declared.shape is not None and len(given) != len(declared.shape):
            raise InputError(
                f"input '{name}' has {len(given)} dimensions ({dims(given)}); the model expects {len(declared.shape)}: "
                f"{declared}"
            )
        for axis, size in enumerate(given):
            expected = None if declared.shape is None else declared.shape[axis]
            if isinstance(expected, str):
                expected, first = symbols.setdefault(expected, (size, name))
                if expected != size:
                    raise InputError(
                        f"input '{name}' has size {size} in dimension {axis}; '{declared.shape[axis]}' is {expected} "
                        f"in input '{first}'"
                    )
            if size < 0 or (expected is not None and size != expected):
                raise InputError(
                    f"input '{name}' has size {size} in dimension {axis}; the model expects "
                    f"{'0 or more' if expected is None else expected}: {declared}"
                )
        if element_count(given) > MAX_ELEMENTS:
            raise InputError(
                f"input '{name}' has {element_count(given)} elements; at most {MAX_ELEMENTS} are supported"
            )
        types[name] = TensorType(declared.dtype, given)
    return types


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


class _Walk:
    """The one walk over a graph's nodes: what is known so far."""

    __slots__ = ("constants", "graph", "kept", "nodes", "opsets", "taken", "types")

    def __init__(self, graph: Graph, input_types: dict[str, TensorType], kept: frozenset):
        self.graph = graph
        self.kept = kept  # operators that are not folded
        self.opsets = graph.opsets
        self.nodes: list[Node] = []
        self.taken: set[str] = set()  # names, once fresh ones are asked for
        self.constants: dict[str, np.ndarray] = dict(graph.constants)
        self.types: dict[str, TensorType] = {
            name: TensorType(array.dtype, array.shape) for name, array in graph.constants.items()
        }
        self.types.update(input_types)

    def run(self) -> Graph:
        with np.errstate(all="ignore"):
            for node in self.graph.nodes:
                self.visit(node)
        return self.result()

    def visit(self, node: Node) -> None:
        """Evaluates the node, or infers its outputs' types and keeps it."""
        operator = OPERATORS.get((node.domain, node.op))
        if operator is None:
            if node.op == "If" and node.domain == ONNX and node.inputs and node.inputs[0] in self.constants:
                self.inline(node)
            else:
                self.keep(node, [_UNKNOWN] * len(node.outputs))
            return
        types = [self.types[name] if name else None for name in node.inputs]
        constants = [self.constants.get(name) for name in node.inputs]
        results = operator.infer(node, types, constants)
        arrays = self.evaluate(node, operator, types, constants, results)
        if arrays is None:
            self.keep(node, results)
            return
        for name, array in zip(node.outputs, arrays, strict=True):
            if name:
                array = np.asarray(array)  # NumPy's functions answer scalars for arrays without axes
                self.constants[name] = array
                self.types[name] = TensorType(array.dtype, array.shape)

    def keep(self, node: Node, results: Sequence[TensorType]) -> None:
        self.nodes.append(node)
        for name, tensor_type in zip(node.outputs, results, strict=True):
            if name:
                self.types[name] = tensor_type

    def evaluate(
        self,
        node: Node,
        operator: Operator,
        types: Sequence[TensorType | None],
        constants: Sequence[np.ndarray | None],
        results: Sequence[TensorType],
    ) -> list[np.ndarray] | None:
        """The node's outputs where they are constant and cheap enough to have; else None."""
        if operator.shape_only:
            if not types[0].is_static:
                return None
            # An array of the right shape that takes no memory: only its shape will be looked at.
            constants = [np.broadcast_to(np.zeros((), types[0].dtype or np.int8), types[0].shape)]
        else:
            for tensor_type, array in zip(types, constants, strict=True):
                if array is None and tensor_type is not None:
                    return None
        if (node.domain, node.op) in self.kept:
            return None
        if node.op not in _VIEWS:
            sizes = [tensor_type.shape if tensor_type.is_static else None for tensor_type in results]
            if None in sizes:
                sizes = [array.shape for array in constants if array is not None]
            elements = sum(map(element_count, sizes))
            if elements > FOLD_LIMIT or (operator.evaluate is None and elements > REFERENCE_LIMIT):
                return None
        if operator.evaluate is not None:
            arrays = operator.evaluate(node, constants)
            return arrays and arrays[: len(node.outputs)]
        return self.by_reference(node, constants, results)

    def by_reference(
        self, node: Node, constants: Sequence[np.ndarray | None], results: Sequence[TensorType]
    ) -> list[np.ndarray] | None:
        """The outputs as onnx's own implementation computes them; None where it cannot, or its inputs are large."""
        if node.domain != ONNX or sum(array.size for array in constants if array is not None) > REFERENCE_LIMIT:
            return None
        from . import reference  # imports onnx, which few models need

        try:
            arrays = reference.run_node(node, list(constants), self.opsets)
        except (ModelError, UnsupportedError):  # then it stays a node, and what runs it decides
            return None
        for name, array, expected in zip(node.outputs, arrays, results, strict=True):
            if name and expected.is_static and (array.dtype, array.shape) != (expected.dtype, expected.shape):
                raise ModelError(
                    f"{describe(node)}: output '{name}' is {array.dtype} of shape {dims(array.shape)} by reference; "
                    f"{expected} was expected"
                )
        return arrays

    def inline(self, node: Node) -> None:
        """An If whose condition is constant: the nodes of the branch that is taken, in its place."""
        condition = self.constants[node.inputs[0]]
        if condition.size != 1:
            raise ModelError(
                f"{describe(node)}: its condition has shape {dims(condition.shape)}; one element is expected"
            )
        branch = node.attrs.get("then_branch" if condition.reshape(())[()] else "else_branch")
        if not isinstance(branch, Graph) or len(branch.outputs) != len(node.outputs):
            raise ModelError(f"{describe(node)}: its branches do not give its {len(node.outputs)} outputs")
        captured = node.attrs.get(CAPTURES, ())
        renamed = dict(zip(captured, node.inputs[len(node.inputs) - len(captured) :], strict=True))
        # Names inside the branch are its own: each gets a fresh one outside.
        for name, array in branch.constants.items():
            renamed[name] = fresh = self.fresh(f"{node.label}/{name}")
            self.constants[fresh] = array
            self.types[fresh] = TensorType(array.dtype, array.shape)
        for inner in branch.nodes:
            inputs = [renamed[name] if name else "" for name in inner.inputs]
            outputs = [self.fresh(f"{node.label}/{name}") if name else "" for name in inner.outputs]
            renamed.update(zip(inner.outputs, outputs, strict=True))
            self.visit(inner.replace(inputs=inputs, outputs=outputs))
        for outside, inside in zip(node.outputs, branch.outputs, strict=True):
            if outside:
                self.visit(Node("Identity", [renamed[inside]], [outside], version=node.version, name=node.name))

    def fresh(self, base: str) -> str:
        """A name that no tensor has, within this graph or later in it."""
        if not self.taken:
            self.taken.update(self.types, *(node.outputs for node in self.graph.nodes))
        name, number = base, 1
        while name in self.taken:
            name, number = f"{base}.{number}", number + 1
        self.taken.add(name)
        return name

    def result(self) -> Graph:
        """The graph of the kept nodes that an output needs, with the constants and types in use."""
        needed = set(self.graph.outputs)
        alive: list[Node] = []
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.outputs):
                alive.append(node)
                needed.update(node.inputs)
        alive.reverse()
        constants = {name: array for name, array in self.constants.items() if name in needed}
        written = {name for node in alive for name in node.outputs}
        types = {
            name: tensor_type
            for name, tensor_type in self.types.items()
            if name in needed or name in written or name in self.graph.inputs
        }
        return Graph(alive, self.graph.inputs, self.graph.outputs, types, constants, self.opsets, self.graph.name)
