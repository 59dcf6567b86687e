"""Specialising a graph: shapes of whole models, constant chains, symbols, branches, unknown operators."""

from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import pytest
from make_models import make_graph
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from conv_infer.errors import InputError, ModelError, UnsupportedError
from conv_infer.importer import read_model
from conv_infer.specialise import fold_constants, specialise

FLOAT = TensorProto.FLOAT


def int64(*values):
    return np.array(values, np.int64)


def test_real_models_get_the_shapes_of_their_outputs(outside_data):
    folders = sorted(path.parent for path in outside_data.glob("models/*/model.onnx"))
    assert folders
    for folder in folders:
        graph = read_model(folder / "model.onnx").graph
        inputs, expected = np.load(folder / "inputs.npz"), np.load(folder / "expected.npz")
        special = specialise(graph, {name: inputs[name].shape for name in inputs.files})
        special.validate()
        assert all(tensor_type.is_static for tensor_type in special.types.values()), folder.name
        for name in expected.files:
            assert special.shape(name) == expected[name].shape, (folder.name, name)
            assert special.dtype(name) == expected[name].dtype, (folder.name, name)


def test_light_models_get_the_shapes_they_declare():
    paths = sorted(Path(onnx.backend.test.__file__).parent.glob("data/light/*.onnx"))
    assert len(paths) >= 9
    for path in paths:
        model = read_model(path)
        special = specialise(model.graph, {value.name: value.shape for value in model.inputs})
        assert all(tensor_type.is_static for tensor_type in special.types.values()), path.name
        for value in model.outputs:
            assert special.shape(value.name) == tuple(value.shape), path.name
            assert special.dtype(value.name) == value.dtype, path.name


def test_opencv_cases_get_the_shapes_of_their_outputs(outside_data):
    folders = sorted(path.parent for path in outside_data.glob("golden/opencv_onnx/*/model.onnx"))
    assert folders
    for folder in folders:
        graph = read_model(folder / "model.onnx").graph
        inputs = [np.load(folder / f"input_{index}.npy") for index in range(len(graph.inputs))]
        special = specialise(graph, {name: array.shape for name, array in zip(graph.inputs, inputs, strict=True)})
        for index, name in enumerate(graph.outputs):
            expected = np.load(folder / f"output_{index}.npy")
            assert special.shape(name) in (expected.shape, ()), folder.name  # OpenCV keeps scalars as vectors
            assert special.dtype(name) == expected.dtype, folder.name


def test_dynamic_reshape_chain_becomes_constant():
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"], axis=0),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["batch1"]),
        helper.make_node("Concat", ["batch1", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {"zero": np.int64(0), "axes": int64(0), "rest": int64(2, -1)}
    graph = make_graph(nodes, [("x", FLOAT, ["n", 6, 5])], ["y"], constants)
    special = specialise(graph, {"x": (4, 6, 5)})
    assert [node.op for node in special.nodes] == ["Reshape"]
    assert special.shape("y") == (4, 2, 15)
    assert special.constants["target"].tolist() == [4, 2, -1]
    assert set(special.constants) == {"target"}
    assert "batch" not in special.types
    assert specialise(graph, {"x": (1, 6, 5)}).shape("y") == (1, 2, 15)


def test_constant_outputs_and_passed_on_inputs_are_kept():
    nodes = [helper.make_node("Add", ["c", "c"], ["y"]), helper.make_node("Relu", ["x"], ["unused"])]
    special = specialise(make_graph(nodes, [("x", FLOAT, [2])], ["y", "x"], {"c": np.float32(3)}), {"x": (2,)})
    special.validate()
    assert special.nodes == []
    assert special.constants["y"] == 6.0
    assert special.shape("x") == (2,)


def test_dequantised_weights_stay_until_asked_for():
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    constants = {"q": np.array([[1, -2], [3, 4]], np.int8), "scale": np.float32(0.5)}
    graph = make_graph(nodes, [("x", FLOAT, [1, 2])], ["y"], constants)
    special = specialise(graph, {"x": (1, 2)})
    assert [node.op for node in special.nodes] == ["DequantizeLinear", "MatMul"]
    folded = fold_constants(special)
    assert [node.op for node in folded.nodes] == ["MatMul"]
    assert folded.constants["w"].tolist() == [[0.5, -1.0], [1.5, 2.0]]


def test_large_fills_take_no_memory_and_large_sums_are_left_alone():
    nodes = [
        helper.make_node("ConstantOfShape", ["big"], ["w"], value=onnx.numpy_helper.from_array(np.float32([0.5]))),
        helper.make_node("Reshape", ["w", "flat"], ["v"]),
        helper.make_node("Add", ["w", "w"], ["sum"]),
    ]
    graph = make_graph(nodes, [], ["v", "sum"], {"big": int64(20000, 20000), "flat": int64(20000, 200, 100)})
    special = specialise(graph, {})
    assert special.constants["w"].strides == (0, 0)
    assert special.constants["v"].strides == (0, 0, 0)
    assert [node.op for node in special.nodes] == ["Add"]


def test_asking_for_too_many_elements_is_an_error_before_any_allocation():
    graph = make_graph([helper.make_node("ConstantOfShape", ["s"], ["y"])], [], ["y"], {"s": int64(2**20, 2**20)})
    with pytest.raises(UnsupportedError, match=r"'y'.*1099511627776 elements"):
        specialise(graph, {})


def branches(condition, opset=18):
    then = helper.make_graph(
        [helper.make_node("Relu", ["outer"], ["y"])], "then", [], [helper.make_tensor_value_info("y", FLOAT, None)]
    )
    otherwise = helper.make_graph(
        [helper.make_node("Concat", ["outer", "extra"], ["y"], axis=0)],
        "else",
        [],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [onnx.numpy_helper.from_array(np.ones(3, np.float32), "extra")],
    )
    nodes = [
        helper.make_node("Neg", ["x"], ["outer"]),
        helper.make_node("Size", ["x"], ["size"]),
        helper.make_node("Equal", ["size", "two"], ["condition"]),
        helper.make_node("If", [condition], ["z"], then_branch=then, else_branch=otherwise),
    ]
    inputs = [("x", FLOAT, ["n"]), ("flag", TensorProto.BOOL, [])]
    return make_graph(nodes, inputs, ["z"], {"two": np.int64(2)}, opset)


def test_branches_with_a_constant_condition_are_inlined():
    graph = branches("condition")
    taken = specialise(graph, {"x": (2,), "flag": ()})
    taken.validate()
    assert [node.op for node in taken.nodes] == ["Neg", "Relu", "Identity"]
    assert taken.shape("z") == (2,)
    other = specialise(graph, {"x": (4,), "flag": ()})
    other.validate()
    assert [node.op for node in other.nodes] == ["Neg", "Concat", "Identity"]
    assert other.shape("z") == (7,)


def test_branches_with_a_computed_condition_stay_and_keep_what_they_capture():
    special = specialise(branches("flag"), {"x": (2,), "flag": ()})
    special.validate()
    assert [node.op for node in special.nodes] == ["Neg", "If"]
    assert special.types["z"].shape is None


def test_unknown_operators_and_sizes_that_depend_on_data_stay_unknown():
    nodes = [
        helper.make_node("Strange", ["x"], ["a"], domain="elsewhere"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("NonZero", ["x"], ["c"]),
        helper.make_node("Cast", ["c"], ["d"], to=FLOAT),
    ]
    graph = make_graph(nodes, [("x", FLOAT, [2, 3])], ["b", "d"], domains=["elsewhere"])
    special = specialise(graph, {"x": (2, 3)})
    assert special.types["b"].shape is None
    assert special.types["c"].shape == (2, None)
    assert special.types["d"].dtype == np.float32
    assert special.types["d"].shape is None


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"x": (2, 3)}, "the shape of input 'y' is missing"),
        ({"x": (2, 3), "y": (2,), "z": (1,)}, "no input 'z'.*'x', 'y'"),
        ({"x": (2, 3, 1), "y": (2,)}, "input 'x' has 3 dimensions .2x3x1.; the model expects 2"),
        ({"x": (2, 4), "y": (2,)}, "input 'x' has size 4 in dimension 1; the model expects 3"),
        ({"x": (2, 3), "y": (5,)}, "input 'y' has size 5 in dimension 0; 'n' is 2 in input 'x'"),
        ({"x": (-2, 3), "y": (-2,)}, "input 'x' has size -2"),
        ({"x": (2**40, 3), "y": (2**40,)}, "at most 2147483647"),
    ],
)
def test_input_shapes_that_do_not_fit(shapes, message):
    nodes = [helper.make_node("Relu", ["x"], ["z"])]
    graph = make_graph(nodes, [("x", FLOAT, ["n", 3]), ("y", FLOAT, ["n"])], ["z"])
    with pytest.raises(InputError, match=message):
        specialise(graph, shapes)


def test_an_input_declared_as_scalar_takes_any_shape():
    graph = make_graph([helper.make_node("Relu", ["x"], ["y"])], [("x", FLOAT, [])], ["y"])
    assert specialise(graph, {"x": (2, 3)}).shape("y") == (2, 3)


def test_contradictions_name_node_operator_opset_and_tensor():
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="stem", group=2)]
    graph = make_graph(nodes, [("x", FLOAT, [1, 6, 8, 8])], ["y"], {"w": np.zeros((4, 5, 3, 3), np.float32)}, 11)
    with pytest.raises(
        ModelError,
        match=r"node 'stem' \(Conv, opset 11\): input 'x' \(1x6x8x8\) has 6 channels; "
        r"input 'w' \(4x5x3x3\) in 2 groups expects 10",
    ):
        specialise(graph, {"x": (1, 6, 8, 8)})


@pytest.mark.parametrize("training", [False, True])
def test_batch_normalization_of_weights_is_folded(training):
    """Weight standardisation as exporters write it: BatchNormalization in training mode, over a constant."""
    random = np.random.default_rng(0)
    weights = (random.standard_normal((1, 24, 3000)) * 3 + 1).astype(np.float32)
    parameters = [random.uniform(0.5, 2, 24).astype(np.float32) for _ in range(4)]
    names = ["scale", "shift", "mean", "variance"]
    outputs = ["y", "running_mean", "running_variance"] if training else ["y"]
    attrs = {"training_mode": 1, "momentum": 0.8} if training else {}
    node = helper.make_node("BatchNormalization", ["w", *names], outputs, epsilon=1e-3, **attrs)
    values = [helper.make_empty_tensor_value_info(name) for name in outputs]
    constants = [numpy_helper.from_array(array, name) for array, name in zip(parameters, names, strict=True)]
    graph = helper.make_graph([node], "g", [], values, [numpy_helper.from_array(weights, "w"), *constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    special = specialise(read_model(model.SerializeToString()).graph, {})
    assert not special.nodes
    for name, expected in zip(outputs, ReferenceEvaluator(model).run(None, {}), strict=True):
        np.testing.assert_allclose(special.constants[name], expected, rtol=1e-4, atol=1e-4)
