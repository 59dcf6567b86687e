"""Computes in float32 what is quantised by the range that an image happens to have.

DynamicQuantizeLinear -> ConvInteger or MatMulInteger -> Cast is how dynamic quantisers write a layer. Its zero point is
not known before the image is, so it cannot be folded into packed weights. Levels minus zero point are whole numbers
that float32 holds, and so are their products with weights, and the sums of these below 2^24; beyond that they are
rounded as the Cast would round them.
"""

from __future__ import annotations

import numpy as np

from ..graph import ONNX, Graph, Node

_FLOAT = np.dtype(np.float32)
_ONNX_FLOAT = 1  # TensorProto.DataType
_PRODUCTS = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}
_LEVELS = 255


def widen_dynamic(graph: Graph) -> Graph:
    if not any(node.op == "DynamicQuantizeLinear" for node in graph.nodes):
        return graph
    readers = graph.consumers()
    result = graph.with_nodes([])
    whole: dict[str, str] = {}  # the results of products to be widened, and the levels that they multiply
    done: set[int] = set()
    for node in graph.nodes:
        if node.op == "DynamicQuantizeLinear" and node.domain == ONNX:
            products = _products(graph, readers, node)
            if products:
                levels = _emit_levels(result, node)
                whole.update({product.outputs[0]: levels for product in products})
                continue
        if node.outputs[0] in whole and node.op in _PRODUCTS:
            done.update(id(cast) for cast in readers[node.outputs[0]])
            _emit_product(result, node, whole[node.outputs[0]], readers[node.outputs[0]])
        elif id(node) not in done:
            result.nodes.append(node)
    return result


def _products(graph: Graph, readers: dict[str, list[Node]], node: Node) -> list[Node]:
    """The integer products that alone read the levels, where all of them can be widened; else none."""
    levels, scale, zero_point = node.outputs
    products = readers.get(levels, [])
    if not graph.types[node.inputs[0]].is_static or 0 in graph.shape(node.inputs[0]):
        return []
    if any(name in graph.outputs for name in (levels, scale, zero_point)):
        return []
    if any(reader not in products for reader in readers.get(zero_point, [])):
        return []
    return products if all(_is_product(graph, readers, node, product) for product in products) else []


def _is_product(graph: Graph, readers: dict[str, list[Node]], node: Node, product: Node) -> bool:
    """Of these levels and constant weights, cast to float32 by all who read it."""
    if product.op not in _PRODUCTS or product.domain != ONNX or product.outputs[0] in graph.outputs:
        return False
    inputs = (*product.inputs, "", "")
    weights = graph.constants.get(inputs[1])
    if inputs[0] != node.outputs[0] or inputs[2] != node.outputs[2] or weights is None:
        return False
    if product.op == "MatMulInteger" and weights.ndim != 2:
        return False
    if inputs[3]:
        zero = graph.constants.get(inputs[3])
        channels = weights.shape[0 if product.op == "ConvInteger" else 1]
        if zero is None or zero.size not in (1, channels):
            return False
    return all(
        reader.op == "Cast" and reader.domain == ONNX and reader.attrs.get("to") == _ONNX_FLOAT
        for reader in readers.get(product.outputs[0], [])
    )


def _emit_levels(graph: Graph, node: Node) -> str:
    """Appends ONNX nodes that compute levels minus zero point as DynamicQuantizeLinear defines them, and its scale."""
    x, shape = node.inputs[0], graph.shape(node.inputs[0])
    version = graph.opsets[""]

    def append(op: str, *inputs: str, shape: tuple[int, ...] = (), **attrs) -> str:
        output = graph.add_tensor(f"{x}:{op}", _FLOAT, shape)
        graph.nodes.append(Node(op, list(inputs), [output], attrs, name=node.name, version=version))
        return output

    def number(value: float) -> str:
        return graph.add_constant(f"{x}:{value}", np.array(value, _FLOAT))

    zero, most = number(0.0), number(_LEVELS)
    low = append("Min", append("ReduceMin", x, keepdims=0), zero)
    high = append("Max", append("ReduceMax", x, keepdims=0), zero)
    # An image of zeros has no range; any scale will do then but zero itself.
    scale = append("Max", append("Div", append("Sub", high, low), most), number(np.finfo(_FLOAT).tiny))
    zero_point = append("Round", append("Neg", append("Div", low, scale)))
    levels = append("Round", append("Div", x, scale, shape=shape), shape=shape)
    levels = append("Min", levels, append("Sub", most, zero_point), shape=shape)
    graph.nodes.append(Node("Identity", [scale], [node.outputs[1]], name=node.name, version=version))
    return levels


def _emit_product(graph: Graph, node: Node, levels: str, casts: list[Node]) -> None:
    weights = graph.constants[node.inputs[1]].astype(_FLOAT)
    if len(node.inputs) > 3 and node.inputs[3]:
        zero = graph.constants[node.inputs[3]].astype(_FLOAT).reshape(-1)
        weights = weights - (zero.reshape(-1, *[1] * (weights.ndim - 1)) if node.op == "ConvInteger" else zero)
    name = graph.add_constant(f"{node.inputs[1]}:float32", weights)
    output = graph.add_tensor(f"{node.outputs[0]}:float32", _FLOAT, graph.shape(node.outputs[0]))
    version = graph.opsets[""]
    op = _PRODUCTS[node.op]
    graph.nodes.append(Node(op, [levels, name], [output], node.attrs, name=node.name, version=version))
    for cast in casts:
        graph.nodes.append(Node("Identity", [output], cast.outputs, name=cast.name, version=version))
