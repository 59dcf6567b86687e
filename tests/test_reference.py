"""Single nodes through onnx.reference: onnx's own test cases, control flow, versions, and what is refused."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from fresh_process import environment
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests

from conv_infer.errors import ConvInferError, ModelError, UnsupportedError
from conv_infer.graph import Node
from conv_infer.importer import read_model
from conv_infer.reference import reference_node, run_node

X = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)


def run_graph(model, feeds):
    graph = read_model(model).graph
    values = {**graph.constants, **feeds}
    for node in graph.nodes:
        results = run_node(node, [values[name] if name else None for name in node.inputs], graph.opsets)
        assert len(results) == len(node.outputs)
        values.update(zip(node.outputs, results, strict=True))
    return [values[name] for name in graph.outputs]


def test_onnx_node_cases():
    """Every case that onnx's reference passes and that has tensors of NumPy's types, run node by node."""
    # Random results, and operators that onnx.reference leaves out or gets wrong by itself.
    excluded = ("test_bernoulli", "test_scan_sum", "test_scatter_with", "test_upsample_nearest")
    passed, refused = 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in load_model_tests(kind="node"):
            if case.name.startswith(excluded):
                continue
            for inputs, outputs in case.data_sets:
                inputs, outputs = (
                    [numpy_helper.to_array(item) if isinstance(item, TensorProto) else item for item in items]
                    for items in (inputs, outputs)
                )
                feeds = dict(zip([entry.name for entry in case.model.graph.input], inputs, strict=False))
                try:
                    found = run_graph(case.model, feeds)
                except UnsupportedError as error:
                    refused.append((case.name, str(error)))
                    continue
                for value, expected in zip(found, outputs, strict=True):
                    np.testing.assert_allclose(value, expected, 1e-3, 1e-5, err_msg=case.name)
                passed += 1
    assert passed > 1500
    kinds = (
        "element type",
        "is a sequence",
        "is an optional",
        "is a map",
        "is of type",
        "is sparse",
        "is a list",
        "version 1 of",
    )
    assert [entry for entry in refused if not any(kind in entry[1] for kind in kinds)] == []


def loop_model(trips, condition, scan_shape=(2, 3)):
    """Adds x to a running sum and scans it out; the body ends when its sum passes 5."""
    nodes = [
        helper.make_node("Add", ["sum", "x"], ["next"]),
        helper.make_node("ReduceMax", ["next"], ["top"], keepdims=0),
        helper.make_node("Less", ["top", "limit"], ["go"]),
        helper.make_node("Identity", ["top" if scan_shape == () else "next"], ["scan"]),
    ]
    body = helper.make_graph(
        nodes,
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [2, 3]),
        ],
        [
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [2, 3]),
            helper.make_tensor_value_info("scan", TensorProto.FLOAT, scan_shape),
        ],
    )
    loop = helper.make_node("Loop", [trips, condition, "x"], ["y", "z"], body=body)
    graph = helper.make_graph(
        [loop],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3]),
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("start", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "yz"],
        [numpy_helper.from_array(np.array(5, np.float32), "limit")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("scan_shape", [(), (2, 3)])
@pytest.mark.parametrize(
    ("trips", "condition", "n", "start", "rounds"),
    [("n", "", 4, True, 4), ("n", "start", 9, True, 2), ("", "start", 0, True, 2), ("n", "start", 9, False, 0)],
)
def test_loop(trips, condition, n, start, rounds, scan_shape):
    feeds = {"x": X, "n": np.array(n), "start": np.array(start)}
    carried, scanned = run_graph(loop_model(trips, condition, scan_shape), feeds)
    sums = [X * (2 + index) for index in range(rounds)]
    np.testing.assert_array_equal(carried, X * (rounds + 1))
    assert scanned.shape == (rounds, *scan_shape)
    assert scanned.dtype == np.float32
    expected = [value.max() if scan_shape == () else value for value in sums]
    np.testing.assert_array_equal(scanned, np.array(expected, np.float32).reshape(scanned.shape))


def test_a_loop_without_end_is_refused():
    with pytest.raises(ModelError, match="does not end"):
        run_graph(loop_model("", ""), {"x": X, "n": None, "start": None})


def test_if_without_one_condition():
    branch = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["b"])], "b", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["t"], ["y"], "choice", then_branch=branch, else_branch=branch)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None), helper.make_tensor_value_info("t", 9, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (found,) = run_graph(model, {"x": X, "t": np.array([True])})
    np.testing.assert_array_equal(found, -X)
    with pytest.raises(ModelError, match=r"'choice' \(If\).*shape \(2,\)"):
        run_graph(model, {"x": X, "t": np.array([True, False])})


@pytest.mark.parametrize("version", [11, 17])
def test_default_values_are_those_of_the_version(version):
    """Older operator sets have other defaults: DepthToSpace keeps "DCR", but ArgMax, Flatten, ... moved theirs."""
    node = Node("Hardmax", ["x"], ["y"], version=version)
    if version < 13:
        with pytest.raises(UnsupportedError, match="only newer versions"):
            run_node(node, [X])
    else:
        (found,) = run_node(node, [X])
        np.testing.assert_array_equal(found, [[0, 0, 1], [0, 0, 1]])


def test_optional_inputs_and_outputs():
    node = Node("Clip", ["x", "", "high"], ["y"], version=13)
    np.testing.assert_array_equal(run_node(node, [X, None, np.array(1, np.float32)])[0], np.minimum(X, 1))
    node = Node("TopK", ["x", "k"], ["", "where"], {"axis": 1}, version=13)
    np.testing.assert_array_equal(run_node(node, [X, np.array([1])])[1], [[2], [2]])


def test_attributes_of_every_kind():
    node = Node("Transpose", ["x"], ["y"], {"perm": [1, 0]}, version=13)
    np.testing.assert_array_equal(run_node(node, [X])[0], X.T)
    node = Node("Squeeze", ["x"], ["y"], {"axes": []}, version=11)
    assert run_node(node, [X])[0].shape == X.shape
    value = np.array([7], np.int32)
    node = Node("ConstantOfShape", ["s"], ["y"], {"value": value}, version=9)
    found = run_node(node, [np.array([2, 2])])[0]
    assert found.dtype == np.int32
    assert found.tolist() == [[7, 7], [7, 7]]


def test_other_element_types_of_the_same_node():
    node = Node("Relu", ["x"], ["y"], version=14)
    for dtype in (np.float32, np.float64, np.int8):
        found = run_node(node, [X.astype(dtype)])[0]
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, np.maximum(X.astype(dtype), 0))
    assert reference_node(node) is reference_node(node)


def test_what_is_refused():
    with pytest.raises(UnsupportedError, match=r"'y' \(Gelu, com.microsoft 1\).*no such operator"):
        reference_node(Node("Gelu", ["x"], ["y"], domain="com.microsoft", version=1))
    with pytest.raises(UnsupportedError, match=r"'n' \(Nonsense, ai.onnx 17\)"):
        reference_node(Node("Nonsense", ["x"], ["y"], name="n", version=17))
    with pytest.raises(UnsupportedError, match=r"\(Gelu, ai.onnx 17\): the operator set has no such operator"):
        reference_node(Node("Gelu", ["x"], ["y"], version=17))
    with pytest.raises(ModelError, match=r"'y' \(Add, ai.onnx 14\): onnx.reference rejects it"):
        run_node(Node("Add", ["a", "b"], ["y"], version=14), [np.ones(3), np.ones(4)])
    with pytest.raises(ModelError, match="has 1 inputs, but 2 were given"):
        run_node(Node("Relu", ["x"], ["y"], version=14), [X, X])
    with pytest.raises(UnsupportedError, match="is a list"):
        run_node(Node("SequenceConstruct", ["x"], ["y"], version=17), [X])
    with pytest.raises(ConvInferError, match=r"'y'.*bfloat16"):
        run_node(Node("Cast", ["x"], ["y"], {"to": TensorProto.BFLOAT16}, version=13), [X])


def test_without_onnx_an_operator_that_needs_it_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)  # importing it fails
    with pytest.raises(UnsupportedError, match=r"'y' \(Det, ai.onnx 11\).*onnx, which would run it, is not installed"):
        reference_node(Node("Det", ["x"], ["y"], version=11))


def test_importing_a_model_does_not_import_onnx(root):
    code = (
        "import sys; from conv_infer.importer import read_model; import conv_infer.reference\n"
        f"read_model({str(next(iter(sorted((root / 'models').glob('*.onnx')))))!r})\n"
        "sys.exit('onnx' in sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, env=environment())
