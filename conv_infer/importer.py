"""From the bytes of a `.onnx` file to a `Model`.

`read_model` decodes the file (this module, with tensors.py and attributes.py), inlines the model's local functions
(functions.py), then checks and orders the graph (structure.py). Nothing in the file is trusted: counts, sizes, names
and ranges are checked before they are used, and `value_info` is not read at all, because shapes are inferred anew.

Source: the protobuf messages of onnx/onnx.proto, IR versions 3 and up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .attributes import read_attribute
from .declarations import Declared, read_declaration
from .errors import ModelError, UnsupportedError
from .external import ExternalData
from .functions import Function, inline_functions
from .graph import CAPTURES, ONNX, Graph, Node, TensorType
from .model import Model
from .source import Source, open_source
from .structure import settle
from .tensors import Unsupported, read_entry, read_tensor
from .wire import LENGTH_DELIMITED, VARINT, Data, damaged, fields, key, signed, text

OLDEST_IR = 3
OLDEST_OPSET, NEWEST_OPSET = 6, 28
_MAX_DEPTH = 32  # of graphs inside graphs
_SHOWN = 100  # unsupported uses that one message lists

_IR_VERSION = key(1, VARINT)
_PRODUCER_NAME = key(2, LENGTH_DELIMITED)
_PRODUCER_VERSION = key(3, LENGTH_DELIMITED)
_MODEL_DOMAIN = key(4, LENGTH_DELIMITED)
_MODEL_VERSION = key(5, VARINT)
_MODEL_DOC = key(6, LENGTH_DELIMITED)
_MODEL_GRAPH = key(7, LENGTH_DELIMITED)
_OPSET_IMPORT = key(8, LENGTH_DELIMITED)
_METADATA = key(14, LENGTH_DELIMITED)
_FUNCTIONS = key(25, LENGTH_DELIMITED)

_GRAPH_NODE = key(1, LENGTH_DELIMITED)
_GRAPH_NAME = key(2, LENGTH_DELIMITED)
_GRAPH_INITIALIZER = key(5, LENGTH_DELIMITED)
_GRAPH_DOC = key(10, LENGTH_DELIMITED)
_GRAPH_INPUT = key(11, LENGTH_DELIMITED)
_GRAPH_OUTPUT = key(12, LENGTH_DELIMITED)
_GRAPH_SPARSE = key(15, LENGTH_DELIMITED)

_NODE_INPUT = key(1, LENGTH_DELIMITED)
_NODE_OUTPUT = key(2, LENGTH_DELIMITED)
_NODE_NAME = key(3, LENGTH_DELIMITED)
_NODE_OP = key(4, LENGTH_DELIMITED)
_NODE_ATTRIBUTE = key(5, LENGTH_DELIMITED)
_NODE_DOMAIN = key(7, LENGTH_DELIMITED)
_NODE_OVERLOAD = key(8, LENGTH_DELIMITED)

Opsets = dict[str, int]


def read_model(model: Any) -> Model:
    """Imports a model given as a path, bytes, or an object with `SerializeToString` (an onnx.ModelProto).

    Raises `ModelError` for a damaged or contradictory model, `UnsupportedError` (all reasons at once) for a legal one
    that asks for what conv_infer does not do, `InputError` for an argument of another kind, and OSError (such as
    FileNotFoundError) as `open` does.
    """
    source = open_source(model)
    try:
        return _Decoder(source).model()
    except ModelError as error:
        kind = source.mistaken_for()
        if kind:
            raise ModelError(f"{source.name} is not an ONNX model: it looks like {kind}") from error
        if source.path is not None:
            raise ModelError(f"{source.name}: {error}") from error
        raise


class _Decoder:
    """Decodes the messages of one model; ranges are byte positions in its data."""

    def __init__(self, source: Source):
        self.source = source
        self.data: Data = source.data
        self.external = ExternalData(source)
        self.depth = 0

    def model(self) -> Model:
        data, model = self.data, Model(self.source)
        graphs: list[tuple[int, int]] = []
        imports: list[tuple[str, int]] = []
        functions: list[tuple[int, int]] = []
        for found, value, last in fields(data, 0, len(data)):
            if found == _IR_VERSION:
                model.ir_version = signed(value)
            elif found == _PRODUCER_NAME:
                model.producer_name = text(data, value, last)
            elif found == _PRODUCER_VERSION:
                model.producer_version = text(data, value, last)
            elif found == _MODEL_DOMAIN:
                model.domain = text(data, value, last)
            elif found == _MODEL_VERSION:
                model.version = signed(value)
            elif found == _MODEL_DOC:
                model.doc = text(data, value, last)
            elif found == _MODEL_GRAPH:
                graphs.append((value, last))
            elif found == _OPSET_IMPORT:
                imports.append(self.opset(value, last))
            elif found == _METADATA:
                name, content = read_entry(data, value, last)
                model.metadata[name] = content
            elif found == _FUNCTIONS:
                functions.append((value, last))
        if len(graphs) != 1:
            raise ModelError(f"this is not an ONNX model: it holds {len(graphs) or 'no'} graphs")
        if model.ir_version < 1:
            raise ModelError(f"this is not an ONNX model: its IR version is {model.ir_version or 'missing'}")
        if model.ir_version < OLDEST_IR:
            raise UnsupportedError(
                f"the model has IR version {model.ir_version}; supported are {OLDEST_IR} and up: convert it with a "
                "newer exporter or onnx.version_converter"
            )
        model.opsets = _checked_opsets(imports)
        self._graph(model, graphs[0], functions)
        return model

    def _graph(self, model: Model, span: tuple[int, int], functions: list[tuple[int, int]]) -> None:
        graph, inputs, outputs, model.graph_doc = self.graph(*span, model.opsets)
        if functions:
            graph = inline_functions(graph, [self.function(first, last, model.opsets) for first, last in functions])
        problems: list[str] = []
        model.graph, missing = settle(graph, problems)
        if missing:
            raise _undefined(model.graph, missing[0])
        if not graph.outputs:
            raise ModelError(f"graph '{graph.name}' has no outputs")
        _refuse_twice(graph, "outputs", graph.outputs)
        open_inputs = set(model.graph.inputs)
        for declared in inputs:
            if declared.name in open_inputs:
                if declared.type is None:
                    raise ModelError(f"graph input '{declared.name}' has no type")
                model.inputs.append(declared.value_info("input", problems))
        model.outputs = [declared.value_info("output", problems) for declared in outputs]
        if problems:
            more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
            raise UnsupportedError("\n".join(problems[:_SHOWN] + more))

    def opset(self, start: int, end: int) -> tuple[str, int]:
        domain, version = ONNX, 0
        for found, value, last in fields(self.data, start, end):
            if found == key(1, LENGTH_DELIMITED):
                domain = text(self.data, value, last)
            elif found == key(2, VARINT):
                version = signed(value)
        return ONNX if domain == "ai.onnx" else domain, version

    def function(self, start: int, end: int, model_opsets: Opsets) -> Function:
        data = self.data
        name = domain = overload = ""
        inputs: list[str] = []
        outputs: list[str] = []
        defaults: dict[str, Any] = {}
        nodes: list[tuple[int, int]] = []
        imports: list[tuple[str, int]] = []
        for found, value, last in fields(data, start, end):
            if found == key(1, LENGTH_DELIMITED):
                name = text(data, value, last)
            elif found == key(4, LENGTH_DELIMITED):
                inputs.append(text(data, value, last))
            elif found == key(5, LENGTH_DELIMITED):
                outputs.append(text(data, value, last))
            elif found == key(7, LENGTH_DELIMITED):
                nodes.append((value, last))
            elif found == key(9, LENGTH_DELIMITED):
                imports.append(self.opset(value, last))
            elif found == key(10, LENGTH_DELIMITED):
                domain = text(data, value, last)
            elif found == key(11, LENGTH_DELIMITED):
                attribute, content = read_attribute(data, value, last, self.external, self._no_graph)
                defaults[attribute] = content
            elif found == key(13, LENGTH_DELIMITED):
                overload = text(data, value, last)
        opsets = _checked_opsets(imports) if imports else model_opsets
        return Function(
            ONNX if domain == "ai.onnx" else domain,
            _function_name(name, overload),
            inputs,
            outputs,
            defaults,
            [self.node(first, last, opsets) for first, last in nodes],
        )

    def graph(self, start: int, end: int, opsets: Opsets) -> tuple[Graph, list[Declared], list[Declared], str]:
        data = self.data
        name = doc = ""
        nodes: list[Node] = []
        inputs: list[Declared] = []
        outputs: list[Declared] = []
        constants: dict[str, Any] = {}
        types: dict[str, Any] = {}
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ModelError(f"graphs lie more than {_MAX_DEPTH} deep inside one another")
        for found, first, last in fields(data, start, end):
            if found == _GRAPH_NODE:
                nodes.append(self.node(first, last, opsets))
            elif found == _GRAPH_INITIALIZER:
                tensor, array = read_tensor(data, first, last, self.external)
                _add_initializer(constants, types, tensor, array)
            elif found == _GRAPH_INPUT:
                inputs.append(read_declaration(data, first, last))
            elif found == _GRAPH_OUTPUT:
                outputs.append(read_declaration(data, first, last))
            elif found == _GRAPH_NAME:
                name = text(data, first, last)
            elif found == _GRAPH_DOC:
                doc = text(data, first, last)
            elif found == _GRAPH_SPARSE:
                _add_initializer(constants, types, self.sparse_name(first, last), Unsupported("is sparse"))
        is_subgraph = self.depth > 1
        self.depth -= 1
        for declared in inputs:
            if not declared.name:
                raise ModelError(f"graph '{name}' has an input without a name")
            # Up to IR version 3 every initializer was listed as an input too; it is a constant all the same.
            if declared.name not in constants and declared.type is not None:
                types[declared.name] = declared.type
        if is_subgraph:  # the main graph's outputs get the types that inference finds
            for declared in outputs:
                if declared.type is not None:
                    types.setdefault(declared.name, declared.type)
        open_inputs = [declared.name for declared in inputs if declared.name not in constants]
        output_names = [declared.name for declared in outputs]
        graph = Graph(nodes, open_inputs, output_names, types, constants, opsets, name)
        _refuse_twice(graph, "inputs", [declared.name for declared in inputs])
        return graph, inputs, outputs, doc

    def node(self, start: int, end: int, opsets: Opsets) -> Node:
        data, external = self.data, self.external
        op = domain = name = overload = ""
        inputs: list[str] = []
        outputs: list[str] = []
        attrs: dict[str, Any] = {}

        def read_graph(first: int, last: int) -> Graph:
            return self.graph(first, last, opsets)[0]

        try:
            for found, first, last in fields(data, start, end):
                if found == _NODE_ATTRIBUTE:
                    attribute, value = read_attribute(data, first, last, external, read_graph)
                    if attribute in attrs:
                        raise ModelError(f"attribute '{attribute}' is given twice")
                    attrs[attribute] = value
                elif found == _NODE_INPUT:
                    inputs.append(data[first:last].decode())
                elif found == _NODE_OUTPUT:
                    outputs.append(data[first:last].decode())
                elif found == _NODE_OP:
                    op = data[first:last].decode()
                elif found == _NODE_NAME:
                    name = data[first:last].decode()
                elif found == _NODE_DOMAIN:
                    domain = data[first:last].decode()
                elif found == _NODE_OVERLOAD:
                    overload = data[first:last].decode()
        except UnicodeDecodeError:
            raise damaged(start, "a name in this node is not UTF-8") from None
        except ModelError as error:
            raise ModelError(f"node '{name or ', '.join(outputs)}' ({op}): {error}") from error
        if not op:
            raise ModelError(f"node '{name}' names no operator (at byte {start})")
        if domain == "ai.onnx":
            domain = ONNX
        return Node(
            _function_name(op, overload) if overload else op,
            inputs,
            outputs,
            attrs,
            name=name,
            domain=domain,
            version=opsets.get(domain, 0),
        )

    def sparse_name(self, start: int, end: int) -> str:
        for found, first, last in fields(self.data, start, end):
            if found == key(1, LENGTH_DELIMITED):
                for inner, begin, stop in fields(self.data, first, last):
                    if inner == key(8, LENGTH_DELIMITED):
                        return text(self.data, begin, stop)
        return ""

    def _no_graph(self, start: int, end: int) -> Graph:
        raise ModelError("the default value of a function's attribute is a graph")


def _function_name(name: str, overload: str) -> str:
    return f"{name}:{overload}" if overload else name


def _checked_opsets(imports: list[tuple[str, int]]) -> Opsets:
    opsets: Opsets = {}
    for domain, version in imports:
        shown = domain or "ai.onnx"
        if version < 1:
            raise ModelError(f"the model imports version {version} of operator set '{shown}'")
        if opsets.setdefault(domain, version) != version:
            raise ModelError(f"the model imports operator set '{shown}' in versions {opsets[domain]} and {version}")
        if domain == ONNX and not OLDEST_OPSET <= version <= NEWEST_OPSET:
            raise UnsupportedError(
                f"the model uses version {version} of operator set 'ai.onnx'; supported are {OLDEST_OPSET} to "
                f"{NEWEST_OPSET}: convert it with onnx.version_converter, or export it anew"
            )
    if not opsets:
        raise ModelError("the model imports no operator set (opset_import is missing)")
    return opsets


def _add_initializer(constants: dict[str, Any], types: dict[str, Any], name: str, array: Any) -> None:
    if not name:
        raise ModelError("an initializer has no name")
    if name in constants:
        raise ModelError(f"two initializers are named '{name}'")
    constants[name] = array
    if isinstance(array, np.ndarray):
        types[name] = TensorType(array.dtype, array.shape)


def _refuse_twice(graph: Graph, role: str, names: list[str]) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ModelError(f"graph '{graph.name}' has two {role} named '{name}'")
        seen.add(name)


def _undefined(graph: Graph, name: str) -> ModelError:
    reader = next((node for node in graph.nodes if name in node.inputs), None)
    if reader is None:
        return ModelError(f"graph output '{name}' is written by no node")
    read = "a subgraph of it reads" if name in reader.attrs.get(CAPTURES, ()) else "it reads"
    return ModelError(
        f"node '{reader.label}' ({reader.op}): {read} '{name}', which is written by no node, and is neither a graph "
        "input nor an initializer"
    )
