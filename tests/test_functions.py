"""Local functions: inlined models compute what onnxruntime computes for the model as written."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime_sessions import open_session

from conv_infer.errors import ModelError, UnsupportedError
from conv_infer.graph import CAPTURES, ONNX
from conv_infer.importer import read_model
from conv_infer.reference import run_node

X = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
OPSET = helper.make_opsetid("", 17)


def node(op, inputs, outputs, domain="", name="", **attrs):
    return helper.make_node(op, inputs.split(" "), outputs.split(" "), domain=domain, name=name, **attrs)


def function(name, inputs, outputs, nodes, attributes=(), defaults=()):
    return helper.make_function(
        "local",
        name,
        inputs.split(),
        outputs.split(),
        nodes,
        [OPSET, helper.make_opsetid("local", 1)],
        list(attributes),
        list(defaults),
    )


def model_of(nodes, functions, outputs=("y",)):
    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)

    graph = helper.make_graph(nodes, "g", [value("x")], [value(name) for name in outputs])
    imports = [OPSET, helper.make_opsetid("local", 1)]
    return helper.make_model(graph, functions=functions, opset_imports=imports, ir_version=9)


def run(model):
    graph = read_model(model).graph
    assert all(entry.domain == ONNX for entry in graph.nodes)
    values = {**graph.constants, "x": X}
    for entry in graph.nodes:
        results = run_node(entry, [values[name] if name else None for name in entry.inputs])
        values.update(zip(entry.outputs, results, strict=True))
    return [values[name] for name in graph.outputs]


def reference_attribute(proto, attribute, refers_to, kind):
    proto.attribute.append(onnx.AttributeProto(name=attribute, ref_attr_name=refers_to, type=kind))
    return proto


def scaled_leaky():
    leaky = reference_attribute(node("LeakyRelu", "a", "t"), "alpha", "slope", onnx.AttributeProto.FLOAT)
    two = node("Constant", "", "two", value_float=2.0)
    del two.input[:]
    nodes = [leaky, two, node("Mul", "t two", "b")]
    return function("ScaledLeaky", "a", "b", nodes, attributes=["slope"])


def assert_as_onnxruntime(model):
    session = open_session(model.SerializeToString())
    for found, expected in zip(run(model), session.run(None, {"x": X}), strict=True):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_two_calls_with_attributes():
    nodes = [
        node("ScaledLeaky", "x", "m", "local", "first", slope=0.5),
        node("ScaledLeaky", "m", "y", "local", "second", slope=0.25),
    ]
    assert_as_onnxruntime(model_of(nodes, [scaled_leaky()]))


def test_calls_of_the_same_name():
    """Node names need not be unique, and may meet those that inlining makes."""
    nodes = [
        node("Neg", "x", "call/t", name="taken"),
        node("ScaledLeaky", "call/t", "m", "local", "call", slope=0.5),
        node("ScaledLeaky", "m", "y", "local", "call", slope=0.25),
    ]
    once = np.where(X < 0, -X, -X * np.float32(0.5)) * 2
    (found,) = run(model_of(nodes, [scaled_leaky()]))
    np.testing.assert_array_equal(found, np.where(once > 0, once, once * np.float32(0.25)) * 2)


def test_functions_call_functions():
    outer = function(
        "Outer",
        "a b",
        "c d",
        [node("ScaledLeaky", "a", "t", "local", slope=0.5), node("Add", "t b", "c"), node("Neg", "t", "d")],
    )
    nodes = [node("Outer", "x x", "p q", "local", "o1"), node("Outer", "p q", "y z", "local", "o2")]
    assert_as_onnxruntime(model_of(nodes, [scaled_leaky(), outer], ["y", "z"]))


def test_default_attributes_and_attributes_left_out():
    by_default = function(
        "ByDefault", "a", "b", list(scaled_leaky().node), defaults=[helper.make_attribute("slope", 0.75)]
    )
    found, given = run(
        model_of(
            [node("ByDefault", "x", "y", "local"), node("ByDefault", "x", "z", "local", slope=0.5)],
            [by_default],
            ["y", "z"],
        )
    )
    np.testing.assert_array_equal(found, np.where(X > 0, X, X * np.float32(0.75)) * 2)
    np.testing.assert_array_equal(given, np.where(X > 0, X, X * np.float32(0.5)) * 2)
    (left_out,) = run(model_of([node("ScaledLeaky", "x", "y", "local")], [scaled_leaky()]))
    np.testing.assert_allclose(left_out, np.where(X > 0, X, X * np.float32(0.01)) * 2)


def test_optional_inputs_and_unused_outputs():
    clip = function("Within", "a low high", "b c", [node("Clip", "a low high", "b"), node("Neg", "b", "c")])
    zero = node("Constant", "", "zero", value_float=0.0)
    del zero.input[:]
    nodes = [zero, node("Within", "x zero", "y", "local"), node("Within", "x  zero", " z", "local")]
    clipped, negated = run(model_of(nodes, [clip], ["y", "z"]))
    np.testing.assert_array_equal(clipped, np.maximum(X, 0))
    np.testing.assert_array_equal(negated, -np.minimum(X, 0))


def test_an_input_passed_on():
    both = function("Both", "a", "a b", [node("Neg", "a", "b")])
    same, negated = run(model_of([node("Both", "x", "y z", "local")], [both], ["y", "z"]))
    np.testing.assert_array_equal(same, X)
    np.testing.assert_array_equal(negated, -X)


def test_subgraphs_inside_functions():
    def branch(op, source):
        # The branch's own tensor is named like one of the outer graph.
        value = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
        leaky = reference_attribute(node("LeakyRelu", source, "m"), "alpha", "slope", onnx.AttributeProto.FLOAT)
        return helper.make_graph([leaky, node(op, "m", "r")], "branch", [], [value])

    zero = node("Constant", "", "zero", value_float=0.0)
    del zero.input[:]
    choose = node("If", "positive", "b", then_branch=branch("Neg", "a"), else_branch=branch("Abs", "t"))
    nodes = [
        zero,
        node("ReduceSum", "a", "sum", keepdims=0),
        node("Greater", "sum zero", "positive"),
        node("Exp", "a", "t"),
        choose,
    ]
    chosen = function("Chosen", "a", "b", nodes, attributes=["slope"])
    calls = [
        node("Relu", "x", "m"),
        node("Chosen", "m", "first", "local", slope=0.5),
        node("Chosen", "first", "y", "local", slope=0.25),
    ]
    model = model_of(calls, [chosen])
    assert_as_onnxruntime(model)
    ifs = [entry for entry in read_model(model).graph.nodes if entry.op == "If"]
    assert all(len(entry.attrs[CAPTURES]) == 2 for entry in ifs)
    assert not set(ifs[0].inputs[1:]) & set(ifs[1].inputs[1:])


def test_functions_inside_subgraphs():
    value = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    inner = helper.make_graph([node("ScaledLeaky", "x", "r", "local", slope=0.5)], "branch", [], [value])
    true = helper.make_node("Constant", [], ["true"], value=numpy_helper.from_array(np.array(True)))
    model = model_of([true, node("If", "true", "y", then_branch=inner, else_branch=inner)], [scaled_leaky()])
    assert_as_onnxruntime(model)


def test_overloads():
    plain, other = scaled_leaky(), function("ScaledLeaky", "a", "b", [node("Neg", "a", "b")])
    other.overload = "negative"
    call = node("ScaledLeaky", "x", "y", "local")
    call.overload = "negative"
    (found,) = run(model_of([call], [plain, other]))
    np.testing.assert_array_equal(found, -X)


def refused(model, error=ModelError):
    with pytest.raises(error) as caught:
        read_model(model)
    return str(caught.value)


def test_recursion():
    first = function("First", "a", "b", [node("Second", "a", "b", "local")])
    second = function("Second", "a", "b", [node("First", "a", "b", "local")])
    assert "'local.First' calls itself" in refused(model_of([node("First", "x", "y", "local")], [first, second]))


def test_long_chains_of_functions():
    chain = [function(f"F{index}", "a", "b", [node(f"F{index + 1}", "a", "b", "local")]) for index in range(100)]
    message = refused(model_of([node("F0", "x", "y", "local")], chain), UnsupportedError)
    assert "more than 64 deep" in message


def test_expansion_is_bounded():
    def doubling(index):
        return function(
            f"F{index}", "a", "b", [node(f"F{index + 1}", "a", "t", "local"), node(f"F{index + 1}", "t", "b", "local")]
        )

    last = function("F30", "a", "b", [node("Neg", "a", "b")])
    functions = [*map(doubling, range(30)), last]
    assert "expand to more than" in refused(model_of([node("F0", "x", "y", "local")], functions), UnsupportedError)


def test_contradictions():
    call = node("ScaledLeaky", "x", "y", "local")
    assert "'local.ScaledLeaky' twice" in refused(model_of([call], [scaled_leaky(), scaled_leaky()]))
    assert "gives 2 inputs" in refused(model_of([node("ScaledLeaky", "x x", "y", "local")], [scaled_leaky()]))
    undefined = function("ScaledLeaky", "a", "b", [node("Neg", "missing", "b")])
    assert "missing" in refused(model_of([call], [undefined]))
    silent = function("ScaledLeaky", "a", "b", [node("Neg", "a", "t")])
    assert "'y' is written by no node" in refused(model_of([call], [silent]))
