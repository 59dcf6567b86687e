"""The importer against onnx: the same nodes, attributes, constants and declarations, for every model at hand."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conv_infer.errors import UnsupportedError
from conv_infer.graph import CAPTURES, Graph
from conv_infer.importer import NEWEST_OPSET, read_model
from conv_infer.model import UNKNOWN_VERSION

BACKEND_MODELS = sorted((Path(onnx.__file__).parent / "backend/test/data").rglob("*.onnx"))
DATA = os.environ.get("CONV_INFER_TEST_DATA")
OUTSIDE_MODELS = sorted(Path(DATA).rglob("*.onnx")) if DATA else []


def expected_attribute(attribute: onnx.AttributeProto) -> object:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    if attribute.type == onnx.AttributeProto.STRINGS:
        return [text.decode() for text in value]
    return value if isinstance(value, (int, float, onnx.GraphProto)) else list(value)


def assert_same_array(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.view(f"V{found.itemsize}"), np.asarray(expected).view(f"V{found.itemsize}"))


def assert_same_graph(graph: Graph, proto: onnx.GraphProto, opsets: dict[str, int]) -> None:
    """Compares a graph with the message it came from; reordered nodes are found by their first output."""
    initializers = {tensor.name: tensor for tensor in proto.initializer}
    assert graph.inputs == [value.name for value in proto.input if value.name not in initializers]
    assert graph.outputs == [value.name for value in proto.output]
    for name, tensor in initializers.items():
        if name in graph.constants:
            assert_same_array(graph.constants[name], numpy_helper.to_array(tensor))
    nodes = [node for node in proto.node if node.op_type != "Constant"]
    assert len(graph.nodes) == len(nodes)
    for node in proto.node:
        if node.op_type == "Constant":
            constant = helper.get_attribute_value(node.attribute[0])
            if isinstance(constant, TensorProto):
                assert_same_array(graph.constants[node.output[0]], numpy_helper.to_array(constant))
            else:
                np.testing.assert_array_equal(graph.constants[node.output[0]], np.asarray(constant))
    found_nodes = {node.outputs: node for node in graph.nodes}
    for expected in nodes:
        found = found_nodes[tuple(expected.output)]
        captures = found.attrs.get(CAPTURES, ())
        domain = "" if expected.domain == "ai.onnx" else expected.domain
        assert (found.op, found.domain, found.name) == (expected.op_type, domain, expected.name)
        assert found.version == opsets[domain]
        assert found.inputs == (*expected.input, *captures)
        assert found.attrs.keys() - {CAPTURES} == {attribute.name for attribute in expected.attribute}
        for attribute in expected.attribute:
            value, wanted = found.attrs[attribute.name], expected_attribute(attribute)
            if isinstance(value, Graph):
                assert_same_graph(value, attribute.g, opsets)
            elif isinstance(value, np.ndarray):
                assert_same_array(value, wanted)
            else:
                assert value == wanted
                assert type(value) is type(wanted)


def assert_same_model(model: onnx.ModelProto, source: object) -> None:
    found = read_model(source)
    opsets = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in model.opset_import}
    assert found.opsets == opsets
    assert found.ir_version == model.ir_version
    assert (found.producer_name, found.producer_version) == (model.producer_name, model.producer_version)
    version = model.model_version if model.HasField("model_version") else UNKNOWN_VERSION
    assert (found.domain, found.version, found.doc) == (model.domain, version, model.doc_string)
    assert found.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert found.graph.name == model.graph.name
    assert_same_graph(found.graph, model.graph, opsets)
    declared = {value.name: value.type.tensor_type for value in [*model.graph.input, *model.graph.output]}
    for value in [*found.inputs, *found.outputs]:
        tensor_type = declared[value.name]
        assert value.dtype == helper.tensor_dtype_to_np_dtype(tensor_type.elem_type)
        if not tensor_type.HasField("shape"):
            assert value.shape is None
            continue
        sizes = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor_type.shape.dim]
        assert value.shape == [None if size == -1 else size for size in sizes]


@pytest.mark.parametrize("path", BACKEND_MODELS, ids=lambda path: path.parent.name + "/" + path.stem)
def test_backend_models(path):
    try:
        assert_same_model(onnx.load(path), path)
    except UnsupportedError as error:
        # Of onnx's stored models these are out of reach: strings, sequences and the gradients.
        assert any(kind in path.parent.name for kind in ("sequence", "strnorm")), error


@pytest.mark.parametrize("path", OUTSIDE_MODELS, ids=lambda path: path.parent.name)
def test_outside_models(path):
    assert_same_model(onnx.load(path), path)


@pytest.mark.skipif(not OUTSIDE_MODELS, reason="CONV_INFER_TEST_DATA is not set")
def test_outside_models_are_there():
    assert len(OUTSIDE_MODELS) > 100


def test_newest_opset_is_onnx_own():
    assert onnx.defs.onnx_opset_version() == NEWEST_OPSET
