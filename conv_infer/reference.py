"""Single ONNX nodes run by the onnx package's own NumPy implementation (`onnx.reference`).

This folds constants through operators without an evaluator of their own, and runs the nodes for which there is no
native step. onnx is imported on the first use, not before: it costs as much as loading a network.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from .control_flow import run_if, run_loop
from .element_types import element_number
from .errors import ModelError, UnsupportedError
from .graph import CAPTURES, NOTE, ONNX, Graph, Node

# Operators whose meaning changed at a version that onnx.reference has no older implementation of.
_REFERENCE_SINCE = {"Hardmax": 13, "LogSoftmax": 13, "Resize": 11, "Softmax": 13, "Upsample": 99}

# onnx.reference stacks the scan outputs of a Loop wrongly, and ends one without a condition at once.
_CONTROL_FLOW = {"If": run_if, "Loop": run_loop}

_CACHE_SIZE = 1024
_cache: dict[int, tuple[Node, ReferenceNode]] = {}
_cache_lock = threading.Lock()  # while it is made smaller


def run_node(node: Node, inputs: Sequence[np.ndarray | None], opsets: dict[str, int] | None = None) -> list[np.ndarray]:
    """The outputs of a node for the given inputs (None for one left out).

    `opsets` adds operator sets that only subgraphs need. Raises `UnsupportedError` where onnx.reference does not know
    the operator, `ModelError` where it rejects the attributes or inputs.
    """
    control_flow = _CONTROL_FLOW.get(node.op) if node.domain == ONNX else None
    if control_flow is not None:
        if len(inputs) != len(node.inputs):
            raise _wrong_count(node, inputs)
        return control_flow(node, inputs, run_node)
    return reference_node(node, opsets)(inputs)


def reference_node(node: Node, opsets: dict[str, int] | None = None) -> ReferenceNode:
    """The `ReferenceNode` of a node, made once; raises `UnsupportedError` where onnx.reference does not know it."""
    cached = _cache.get(id(node))
    if cached is not None and cached[0] is node:  # the entry keeps its node alive, so an id stands for one node only
        return cached[1]
    made = ReferenceNode(node, opsets)
    with _cache_lock:
        while len(_cache) >= _CACHE_SIZE:
            del _cache[next(iter(_cache))]
        _cache[id(node)] = (node, made)
    return made


class ReferenceNode:
    """One node as a model of its own, ready to be called with arrays."""

    def __init__(self, node: Node, opsets: dict[str, int] | None = None):
        self.node = node
        self._captures: tuple[str, ...] = tuple(node.attrs.get(CAPTURES, ()))
        self._opsets = dict(opsets or {})
        _collect_opsets(node, self._opsets, {})
        self._evaluators: dict[tuple[Any, ...], Any] = {}
        self._check_known()

    def __call__(self, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        node = self.node
        if len(inputs) != len(node.inputs):
            raise _wrong_count(node, inputs)
        names = self._input_names(inputs)
        # Functions of the operator sets may be built for the element types that they meet.
        types = tuple(None if array is None else array.dtype for array in inputs)
        evaluator = self._evaluators.get(types)
        try:
            if evaluator is None:
                evaluator = self._evaluators[types] = self._build(names, inputs)
            feeds = {name: array for name, array in zip(names, inputs, strict=True) if name and array is not None}
            results = evaluator.run(None, feeds)
        except MemoryError:
            raise
        except NotImplementedError as error:
            raise UnsupportedError(f"{_describe(node)}: onnx.reference does not support it: {error}") from error
        except Exception as error:
            raise ModelError(f"{_describe(node)}: onnx.reference rejects it: {error}") from error
        return self._outputs(results)

    def _outputs(self, results: list[Any]) -> list[np.ndarray]:
        filled = iter(results)
        outputs = [next(filled) if name else np.empty(0) for name in self.node.outputs]
        for name, output in zip(self.node.outputs, outputs, strict=True):
            if not isinstance(output, np.ndarray):
                raise UnsupportedError(
                    f"{_describe(self.node)}: its output '{name}' is a {type(output).__name__}; only tensors are "
                    "supported"
                )
            _tensor_number(self.node, name, output.dtype)
        return outputs

    def _input_names(self, inputs: Sequence[np.ndarray | None]) -> list[str]:
        # Captured tensors go by the names that the subgraphs use; the others must not meet those.
        own = len(inputs) - len(self._captures)
        given = [f"<input {index}>" if array is not None else "" for index, array in enumerate(inputs[:own])]
        return [*given, *self._captures]

    def _check_known(self) -> None:
        node = self.node
        try:
            from onnx import defs
        except ImportError:
            raise UnsupportedError(
                f"{_describe(node)}: there is no native step for this, and onnx, which would run it, is not installed: "
                "pip install onnx"
            ) from None
        domain, version = node.domain, node.version
        if domain == ONNX and version < _REFERENCE_SINCE.get(node.op, 0):
            raise UnsupportedError(f"{_describe(node)}: onnx.reference implements only newer versions of this operator")
        if not defs.has(node.op, domain):
            raise UnsupportedError(
                f"{_describe(node)}: no such operator is known to conv_infer, nor to onnx.reference; replace it by "
                "ONNX's own operators when exporting the model"
            )
        try:
            defs.get_schema(node.op, version, domain)
        except defs.SchemaError as error:
            raise UnsupportedError(f"{_describe(node)}: the operator set has no such operator") from error

    def _build(self, names: list[str], inputs: Sequence[np.ndarray | None]) -> Any:
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        node = self.node
        proto = _node_proto(node, names[: len(names) - len(self._captures)])
        declared = [
            helper.make_tensor_value_info(name, _tensor_number(node, name, array.dtype), list(array.shape))
            for name, array in zip(names, inputs, strict=True)
            if name and array is not None
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.outputs if name]
        graph = helper.make_graph([proto], "reference", declared, outputs)
        imports = [helper.make_opsetid(domain, version) for domain, version in self._opsets.items()]
        return ReferenceEvaluator(helper.make_model(graph, opset_imports=imports))


def _describe(node: Node) -> str:
    return f"node '{node.label}' ({node.op}, {node.domain or 'ai.onnx'} {node.version})"


def _wrong_count(node: Node, inputs: Sequence[np.ndarray | None]) -> ModelError:
    return ModelError(f"{_describe(node)}: it has {len(node.inputs)} inputs, but {len(inputs)} were given")


def _tensor_number(node: Node, name: str, dtype: np.dtype) -> int:
    try:
        return element_number(dtype)
    except KeyError:
        raise UnsupportedError(f"{_describe(node)}: tensor '{name}' has element type {dtype}") from None


def _collect_opsets(node: Node, opsets: dict[str, int], users: dict[str, Node]) -> None:
    """The operator sets of a node and its subgraphs; one model can hold each in one version only."""
    other = users.setdefault(node.domain, node)
    if other.version != node.version:
        raise UnsupportedError(
            f"{_describe(node)} and {_describe(other)} need two versions of one operator set inside one node"
        )
    opsets[node.domain] = node.version
    for value in node.attrs.values():
        if isinstance(value, Graph):
            for inner in value.nodes:
                _collect_opsets(inner, opsets, users)


def _node_proto(node: Node, inputs: Sequence[str]) -> Any:
    from onnx import defs, helper

    proto = helper.make_node(node.op, inputs, node.outputs, name=node.name, domain=node.domain)
    schema = defs.get_schema(node.op, node.version, node.domain)
    for name, value in node.attrs.items():
        if name not in (CAPTURES, NOTE):
            proto.attribute.append(_attribute_proto(name, value, schema))
    # onnx.reference fills in the newest version's default values, which need not be those of the node's version.
    newest = defs.get_schema(node.op, node.domain)
    for name, attribute in schema.attributes.items():
        default, later = attribute.default_value, newest.attributes.get(name)
        if name not in node.attrs and default.name and later is not None and later.default_value != default:
            proto.attribute.append(default)
    return proto


def _attribute_proto(name: str, value: Any, schema: Any) -> Any:
    from onnx import helper, numpy_helper

    if isinstance(value, Graph):
        return helper.make_attribute(name, _graph_proto(value))
    if isinstance(value, np.ndarray):
        return helper.make_attribute(name, numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape)))
    if isinstance(value, (list, tuple)) and not value:
        # An empty list does not tell its type.
        return helper.make_attribute(name, [], attr_type=int(schema.attributes[name].type.value))
    return helper.make_attribute(name, value)


def _graph_proto(graph: Graph) -> Any:
    from onnx import helper, numpy_helper

    def declared(name: str) -> Any:
        known = graph.types.get(name)
        if known is None:
            return helper.make_empty_tensor_value_info(name)
        return helper.make_tensor_value_info(name, element_number(known.dtype), known.shape)

    nodes = []
    for node in graph.nodes:
        own = len(node.inputs) - len(node.attrs.get(CAPTURES, ()))
        nodes.append(_node_proto(node, node.inputs[:own]))
    constants = [
        numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        for name, array in graph.constants.items()
    ]
    return helper.make_graph(
        nodes,
        graph.name or "subgraph",
        [declared(name) for name in graph.inputs],
        [declared(name) for name in graph.outputs],
        constants,
    )
