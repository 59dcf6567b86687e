"""Computes float16 graphs in float32: every float16 tensor is widened; inputs and outputs keep their declared type."""

from __future__ import annotations

import numpy as np

from ..graph import INTERNAL, Graph, Node, TensorType

_HALF = np.dtype(np.float16)
_SINGLE = np.dtype(np.float32)
_ONNX_HALF, _ONNX_SINGLE = 10, 1  # TensorProto.DataType


def cast(graph: Graph, name: str, source: str, target: str, number: int) -> Node:
    """Converts the input or output `name` to another type; by ONNX's own operator where only the data tell its size, or
    that is zero."""
    known = graph.types[name]
    if known.is_static and 0 not in known.shape:  # type: ignore[operator]
        return Node("Cast", [source], [target], name=name, domain=INTERNAL)
    return Node("Cast", [source], [target], {"to": number}, name=name, version=graph.opsets[""])


def widen_float16(graph: Graph) -> Graph:
    half = [name for name, tensor_type in graph.types.items() if tensor_type.dtype == _HALF]
    if not half:
        return graph
    result = graph.with_nodes([])
    for name in half:
        result.types[name] = TensorType(_SINGLE, graph.types[name].shape)
        if name in result.constants:
            result.constants[name] = graph.constants[name].astype(_SINGLE)
    renamed: dict[str, str] = {}
    for name in graph.inputs:
        if graph.types[name].dtype == _HALF:
            result.types[name] = graph.types[name]
            renamed[name] = result.add_tensor(f"{name}:float32", _SINGLE, graph.types[name].shape)
            result.nodes.append(cast(graph, name, name, renamed[name], _ONNX_SINGLE))
    borders = []
    for name in dict.fromkeys(graph.outputs):
        if graph.types[name].dtype == _HALF and name not in graph.inputs:
            result.types[name] = graph.types[name]
            renamed[name] = result.add_tensor(f"{name}:float32", _SINGLE, graph.types[name].shape)
            if name in graph.constants:
                result.constants[name] = graph.constants[name]
                result.constants[renamed[name]] = graph.constants[name].astype(_SINGLE)
            else:
                borders.append(cast(graph, name, renamed[name], name, _ONNX_HALF))
    for node in graph.nodes:
        names = (*node.inputs, *node.outputs)
        attrs = node.attrs
        for key in ("to", "dtype", "output_dtype"):
            if attrs.get(key) == _ONNX_HALF:
                attrs = {**attrs, key: _ONNX_SINGLE}
        if attrs is not node.attrs or any(name in renamed for name in names):
            node = node.replace(
                attrs=attrs,
                inputs=[renamed.get(name, name) for name in node.inputs],
                outputs=[renamed.get(name, name) for name in node.outputs],
            )
        result.nodes.append(node)
    result.nodes.extend(borders)
    return result
