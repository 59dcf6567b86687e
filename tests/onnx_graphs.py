"""ONNX models as conv_infer graphs by way of the onnx package, independent of conv_infer's own importer."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from conv_infer.graph import Graph, Node, TensorType


def graph_of(model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]] | None = None) -> Graph:
    """The graph of a model with all shapes static and constant nodes folded."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for value in model.graph.input:
        for index, size in enumerate((shapes or {}).get(value.name, ())):
            value.type.tensor_type.shape.dim[index].dim_value = size
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    model = shape_inference.infer_shapes(model, data_prop=True)
    types: dict[str, TensorType] = {}
    for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
        tensor = value.type.tensor_type
        sizes = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
        types[value.name] = TensorType(helper.tensor_dtype_to_np_dtype(tensor.elem_type), sizes)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    nodes = []
    for proto in model.graph.node:
        attrs = {a.name: _attribute(a) for a in proto.attribute}
        version = opsets[proto.domain]
        node = Node(
            proto.op_type, proto.input, proto.output, attrs, name=proto.name, domain=proto.domain, version=version
        )
        folded = _fold(node, proto, constants, types, opsets)
        if folded is None:
            nodes.append(node)
        else:
            constants.update(zip(proto.output, folded, strict=True))
    for name, array in constants.items():
        types[name] = TensorType(array.dtype, array.shape)
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    outputs = [value.name for value in model.graph.output]
    graph = Graph(nodes, inputs, outputs, types, constants, opsets, model.graph.name)
    graph.validate()
    return graph


def _attribute(proto):
    value = helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if isinstance(value, (int, float)) else list(value)


def _fold(node: Node, proto, constants, types, opsets):
    if node.op == "Shape" and types[node.inputs[0]].is_static:
        return [np.array(types[node.inputs[0]].shape, np.int64)]
    if any(name and name not in constants for name in node.inputs):
        return None

    def declare(name):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(constants[name].dtype), None)

    names = [name for name in dict.fromkeys(node.inputs) if name]
    outputs = [helper.make_tensor_value_info(name, 0, None) for name in node.outputs]
    graph = helper.make_graph([proto], "fold", [declare(name) for name in names], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*entry) for entry in opsets.items()])
    results = ReferenceEvaluator(model).run(None, {name: constants[name] for name in names})
    return [np.asarray(result) for result in results]
