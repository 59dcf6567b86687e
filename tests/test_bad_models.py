"""Bad models: each ends in a clear error, never in a crash, another exception, or memory sized by the file."""

import os
import tracemalloc

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from conv_infer.errors import ConvInferError, InputError, ModelError, UnsupportedError
from conv_infer.graph import CAPTURES
from conv_infer.importer import NEWEST_OPSET, OLDEST_OPSET, read_model

FLOAT = TensorProto.FLOAT


def value(name: str, shape=(1, 3, 8, 8), number: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, number, shape)


def node(op: str, inputs: str, outputs: str, name: str = "", **attrs: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **attrs)


def model_of(nodes, inputs=("x",), outputs=("y",), initializers=(), opsets=(("", 17),), ir_version=8, **fields):
    graph = helper.make_graph(
        list(nodes), "g", [value(name) for name in inputs], [value(name) for name in outputs], list(initializers)
    )
    imports = [helper.make_opsetid(*pair) for pair in opsets]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version, **fields)


def tensor(name: str, shape=(4, 3, 3, 3)) -> TensorProto:
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def small_model() -> onnx.ModelProto:
    """A little of everything: attributes of several types, both storage forms, a subgraph, metadata."""
    branch = helper.make_graph([node("Neg", "a", "b")], "branch", [], [value("b")])
    model = model_of(
        [
            node("Conv", "x w", "c", "conv", strides=[1, 1], pads=[1, 1, 1, 1], auto_pad="NOTSET"),
            node("LeakyRelu", "c", "a", alpha=0.1),
            node("Constant", "", "t", value=numpy_helper.from_array(np.array(True))),
            node("If", "t", "y", "choice", then_branch=branch, else_branch=branch),
        ],
        initializers=[tensor("w"), helper.make_tensor("typed", TensorProto.INT64, [2], [1, -1])],
    )
    helper.set_model_props(model, {"labels": "a b c"})
    return model


def refused(model, error=ModelError):
    with pytest.raises(error) as caught:
        read_model(model.SerializeToString() if hasattr(model, "SerializeToString") else model)
    return str(caught.value)


def test_the_small_model_is_good():
    assert [found.op for found in read_model(small_model()).graph.nodes] == ["Conv", "LeakyRelu", "If"]


# ---- bytes


def test_truncated_at_every_byte():
    data = small_model().SerializeToString()
    outcomes = set()
    for size in range(len(data)):
        try:
            read_model(data[:size])
            outcomes.add(True)
        except ConvInferError as error:
            assert str(error)
            outcomes.add(False)
    assert False in outcomes


def test_every_byte_changed():
    data = small_model().SerializeToString()
    for index in range(len(data)):
        for change in (0x01, 0x7F, 0x80, 0xFF):
            try:
                read_model(data[:index] + bytes([data[index] ^ change]) + data[index + 1 :])
            except ConvInferError as error:
                assert str(error)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated(data):
    model = bytearray(small_model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(model) - 1))
        end = data.draw(st.integers(start, min(start + 20, len(model))))
        model[start:end] = data.draw(st.binary(max_size=20))
    try:
        read_model(bytes(model))
    except ConvInferError as error:
        assert str(error)


@given(st.binary(max_size=200))
def test_random_bytes(data):
    with pytest.raises(ConvInferError):
        read_model(data)


@pytest.mark.parametrize(
    "tail",
    [
        b"\x3a\xff\xff\xff\xff\x0f",  # a graph of 4 GiB
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x3a\x0b\x2a\x09\x08\xff\xff\xff\xff\xff\x1f\x10\x01",  # a tensor of 2**40 floats
        b"\x3a\x0d\x2a\x0b\x08\xff\xff\xff\xff\xff\x1f\x10\x07\x3a\x00",
    ],
)
def test_stated_sizes_allocate_nothing(tail):
    data = b"\x08\x08\x42\x02\x10\x11" + tail
    tracemalloc.start()
    try:
        with pytest.raises(ConvInferError):
            read_model(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_graphs_nested_without_end():
    def field(number: int, payload: bytes) -> bytes:
        size = len(payload)
        return bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + payload

    graph = b""
    for _ in range(2000):  # by hand: protobuf refuses to write such depth
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))
        if len(graph) > 1 << 20:
            break
    assert "deep" in refused(b"\x08\x08\x42\x02\x10\x11" + field(7, graph))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "HTML"),
        (b"\n  <html>", "HTML"),
        (b"PK\x03\x04" + bytes(60), "ZIP"),
        (b"\x1f\x8b\x08" + bytes(60), "gzip"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5"),
        (b"\x20\x00\x00\x00TFL3" + bytes(60), "TensorFlow Lite"),
        (b'{"model": 1}', "JSON"),
        (b"ir_version: 8\ngraph {}\n", "text format"),
        (bytes(100), "not legal"),
        (b"\x12\x04abcd", "not an ONNX model"),
    ],
)
def test_other_files(tmp_path, data, kind):
    path = tmp_path / "file.onnx"
    path.write_bytes(data)
    assert kind in refused(data)
    message = refused(path)
    assert kind in message
    assert str(path) in message


def test_paths(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_model(tmp_path / "missing.onnx")
    with pytest.raises(FileNotFoundError):
        read_model(os.fsencode(tmp_path / "missing.onnx").decode())
    assert "is a folder" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refused(tmp_path / "pipe")
    assert "not a path" in refused("a\0b", InputError)
    for wrong in (None, 3, [b""], object()):
        assert "path" in refused(wrong, InputError)


def test_sources_agree(tmp_path):
    model = small_model()
    data = model.SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data)
    sources = [data, bytearray(data), memoryview(data), model, tmp_path / "m.onnx", str(tmp_path / "m.onnx")]
    for source in sources:
        assert read_model(source).metadata == {"labels": "a b c"}


# ---- versions


@pytest.mark.parametrize("version", [OLDEST_OPSET, 17, NEWEST_OPSET])
def test_operator_sets(version):
    found = read_model(model_of([node("Relu", "x", "y")], opsets=[("", version)]))
    assert found.graph.nodes[0].version == version


@pytest.mark.parametrize("version", [1, OLDEST_OPSET - 1, NEWEST_OPSET + 1, 10**9])
def test_unsupported_operator_sets(version):
    message = refused(model_of([node("Relu", "x", "y")], opsets=[("", version)]), UnsupportedError)
    assert f"version {version} of operator set 'ai.onnx'" in message
    assert f"{OLDEST_OPSET} to {NEWEST_OPSET}" in message


def test_operator_set_imports():
    relu = node("Relu", "x", "y", "r")
    assert "imports no operator set" in refused(model_of([relu], opsets=[]))
    assert "version 0" in refused(model_of([relu], opsets=[("", 0)]))
    assert "versions 13 and 17" in refused(model_of([relu], opsets=[("", 13), ("ai.onnx", 17)]))
    other = node("Gelu", "x", "y", "gelu", domain="com.microsoft")
    message = refused(model_of([other]))
    assert "'gelu' (Gelu)" in message
    assert "'com.microsoft'" in message
    # Unknown operators of an imported set are not for the importer to judge.
    assert read_model(model_of([other], opsets=[("", 17), ("com.microsoft", 1)])).graph.nodes[0].domain
    named = read_model(model_of([node("Relu", "x", "y", domain="ai.onnx")], opsets=[("ai.onnx", 17)]))
    assert (named.graph.nodes[0].domain, named.graph.nodes[0].version) == ("", 17)


def test_ir_versions():
    for version in (3, 14, 99):
        assert read_model(model_of([node("Relu", "x", "y")], ir_version=version)).ir_version == version
    assert "IR version 2" in refused(model_of([node("Relu", "x", "y")], ir_version=2), UnsupportedError)
    model = model_of([node("Relu", "x", "y")])
    model.ClearField("ir_version")
    assert "IR version is missing" in refused(model)


def test_initializers_among_the_inputs():
    """As IR version 3 wants it: they are constants, not inputs."""
    nodes = [node("Conv", "x w", "y")]
    found = read_model(model_of(nodes, inputs=["x", "w"], initializers=[tensor("w")], ir_version=3))
    assert found.graph.inputs == ["x"]
    assert [entry.name for entry in found.inputs] == ["x"]


# ---- structure


def test_nodes_are_brought_into_order():
    nodes = [node("Add", "b c", "y"), node("Neg", "a", "c"), node("Relu", "x", "a"), node("Abs", "a", "b")]
    found = read_model(model_of(nodes))
    assert [entry.outputs[0] for entry in found.graph.nodes] == ["a", "c", "b", "y"]
    in_order = [node("Abs", "x", "b"), node("Relu", "x", "a"), node("Add", "a b", "y")]
    assert [entry.op for entry in read_model(model_of(in_order)).graph.nodes] == ["Abs", "Relu", "Add"]


def test_cycles():
    nodes = [
        node("Relu", "x", "y"),
        node("Add", "x d", "b", "one"),
        node("Abs", "b", "c", "two"),
        node("Neg", "c", "d"),
    ]
    message = refused(model_of([*nodes, node("Neg", "d", "e", "behind the cycle")]))
    assert "cycle" in message
    for part in ("'one' (Add)", "'two' (Abs)", "'d' (Neg)"):
        assert part in message
    assert "behind" not in message
    assert "'self' (Add) -> 'self'" in refused(model_of([node("Add", "x y", "y", "self")]))
    long = [node("Neg", f"t{index}", f"t{(index + 1) % 5000}") for index in range(5000)]
    assert "4992 more" in refused(model_of([*long, node("Relu", "x", "y")]))


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (model_of([node("Relu", "x", "y", "r"), node("Neg", "x", "y", "n")]), ["'n' (Neg)", "'y' is defined twice"]),
        (model_of([node("Relu", "x", "x", "r")], outputs=["x"]), ["'r' (Relu)", "'x' is defined twice"]),
        (model_of([node("Relu", "x", "w", "r")], outputs=["w"], initializers=[tensor("w")]), ["'w' is defined twice"]),
        (model_of([node("Split", "x", "y y", "s")]), ["'s' (Split)", "'y' is defined twice"]),
        (model_of([node("Add", "x z", "y", "a")]), ["'a' (Add)", "reads 'z'", "written by no node"]),
        (model_of([node("Relu", "x", "z")]), ["graph output 'y' is written by no node"]),
        (model_of([node("Relu", "x", "y")], inputs=["x", "x"]), ["two inputs named 'x'"]),
        (model_of([node("Relu", "x", "y")], inputs=["x", ""]), ["input without a name"]),
        (model_of([node("Relu", "x", "y")], outputs=["y", "y"]), ["two outputs named 'y'"]),
        (model_of([node("Relu", "x", "y")], outputs=["y", ""]), ["output without a name"]),
        (model_of([node("Relu", "x", "y")], initializers=[tensor("w"), tensor("w")]), ["initializers are named 'w'"]),
        (model_of([node("Relu", "x", "y")], initializers=[tensor("")]), ["initializer has no name"]),
        (model_of([], inputs=[], outputs=[]), ["no outputs"]),
        (model_of([node("", "x", "y", "nameless")]), ["'nameless' names no operator"]),
        (model_of([node("Constant", "", "y", "k")]), ["'k' (Constant)", "one attribute"]),
        (model_of([node("Constant", "x", "y", "k", value_int=1)]), ["'k' (Constant)", "no inputs"]),
        (model_of([node("Constant", "", "x", "k", value_int=1), node("Relu", "x", "y")]), ["'x' is defined twice"]),
        (model_of([node("Constant", "", "y", "k", value_what=1)]), ["'k' (Constant)", "'value_what'"]),
    ],
)
def test_contradictions(model, parts):
    message = refused(model)
    for part in parts:
        assert part in message


def test_a_graph_of_its_inputs_only():
    found = read_model(model_of([], inputs=["x"], outputs=["x"]))
    assert (found.graph.nodes, found.graph.outputs) == ([], ["x"])


def test_attributes():
    relu = node("LeakyRelu", "x", "y", "leaky")
    relu.attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, i=3))
    message = refused(model_of([relu]))
    assert "'leaky' (LeakyRelu): attribute 'alpha' is declared as FLOAT, but holds INT" in message
    relu.attribute[0].CopyFrom(helper.make_attribute("alpha", 0.5))
    relu.attribute.append(helper.make_attribute("alpha", 0.5))
    assert "'alpha' is given twice" in refused(model_of([relu]))
    del relu.attribute[1]
    relu.attribute[0].ref_attr_name = "beta"
    assert "'alpha' refers to attribute 'beta' of a function" in refused(model_of([relu]))
    relu.attribute[0].CopyFrom(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.TENSOR))
    assert "declared as TENSOR, but holds nothing" in refused(model_of([relu]))
    # Writers may leave out default values, and old ones the type.
    relu.attribute[0].CopyFrom(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT))
    assert read_model(model_of([relu])).graph.nodes[0].attrs == {"alpha": 0.0}
    relu.attribute[0].CopyFrom(onnx.AttributeProto(name="alpha", f=0.5))
    assert read_model(model_of([relu])).graph.nodes[0].attrs == {"alpha": 0.5}
    relu.attribute[0].CopyFrom(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.INTS))
    assert read_model(model_of([relu])).graph.nodes[0].attrs == {"alpha": []}


def test_constants_of_every_spelling():
    cases = {
        "value_float": (1.5, np.array(1.5, np.float32)),
        "value_floats": ([1.5, 2], np.array([1.5, 2], np.float32)),
        "value_int": (-3, np.array(-3, np.int64)),
        "value_ints": ([1, -3], np.array([1, -3], np.int64)),
        "value": (tensor("", (2, 2)), np.ones((2, 2), np.float32)),
    }
    for name, (stored, expected) in cases.items():
        found = read_model(model_of([node("Constant", "", "y", **{name: stored})])).graph.constants["y"]
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)


# ---- declared shapes


def test_declared_shapes():
    model = model_of([node("Relu", "x", "y")])
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[0].dim_param = "N"
    dims[1].dim_value = -1
    dims[2].ClearField("dim_value")
    found = read_model(model)
    assert found.inputs[0].shape == ["N", None, None, 8]
    assert found.inputs[0].type == "tensor(float)"
    assert found.graph.types["x"].shape == ("N", None, None, 8)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert read_model(model).inputs[0].shape is None
    model.graph.input[0].ClearField("type")
    assert "input 'x' has no type" in refused(model)


def test_negative_sizes():
    model = model_of([node("Relu", "x", "y")])
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = -5
    message = refused(model)
    assert "'x'" in message
    assert "-5" in message


# ---- legal, but not supported: all at once


def test_unsupported_uses_are_named_together():
    half = TensorProto(name="half", data_type=TensorProto.BFLOAT16, dims=[1], raw_data=bytes(2))
    unused = TensorProto(name="unused", data_type=TensorProto.FLOAT8E5M2, dims=[1], raw_data=bytes(1))
    nodes = [
        node("Mul", "x half", "a", "scale"),
        node("Mul", "a sparse", "b", "thin"),
        node("Constant", "", "text", value_string="t"),
        node("Add", "b text", "y", "label"),
        node("ConstantOfShape", "shape", "c", "fill", value=half),
    ]
    model = model_of(nodes, inputs=["x", "shape"], initializers=[half, unused])
    model.graph.sparse_initializer.append(
        onnx.SparseTensorProto(values=tensor("sparse", (1,)), indices=TensorProto(data_type=7, dims=[1]), dims=[4])
    )
    model.graph.output.append(helper.make_tensor_sequence_value_info("y2", FLOAT, None))
    model.graph.node.append(node("SequenceConstruct", "y", "y2"))
    message = refused(model, UnsupportedError)
    for part in (
        "'scale' (Mul, ai.onnx 17): its input 'half' has element type bfloat16",
        "'thin' (Mul, ai.onnx 17): its input 'sparse' is sparse",
        "'label' (Add, ai.onnx 17): its input 'text' has element type string",
        "'fill' (ConstantOfShape, ai.onnx 17): attribute 'value' has element type bfloat16",
        "graph output 'y2' is a sequence",
    ):
        assert part in message
    assert "unused" not in message


# ---- subgraphs


def branches(*nodes):
    return helper.make_graph(list(nodes), "branch", [], [value("b")])


def test_subgraph_reads_are_inputs():
    inner = branches(
        node(
            "If",
            "t",
            "b",
            "inner",
            then_branch=branches(node("Add", "a w", "b")),
            else_branch=branches(node("Neg", "x", "b")),
        )
    )
    nodes = [
        node("If", "t", "y", "outer", then_branch=inner, else_branch=branches(node("Neg", "a", "b"))),
        node("Relu", "x", "a"),
    ]
    found = read_model(model_of(nodes, inputs=["x", "t"], initializers=[tensor("w")])).graph
    assert [entry.op for entry in found.nodes] == ["Relu", "If"]
    outer = found.nodes[1]
    assert outer.inputs == ("t", "a", "t", "x", "w")
    assert outer.attrs[CAPTURES] == ("a", "t", "x", "w")
    assert outer.attrs["then_branch"].nodes[0].inputs == ("t", "x", "a", "w")


def test_subgraph_reads_nothing():
    bad = branches(node("Add", "x missing", "b"))
    message = refused(model_of([node("If", "t", "y", "choice", then_branch=bad, else_branch=bad)], inputs=["x", "t"]))
    assert "'choice' (If): a subgraph of it reads 'missing'" in message


def test_a_cycle_through_a_subgraph():
    body = branches(node("Neg", "z", "b"))
    nodes = [node("If", "t", "y", "choice", then_branch=body, else_branch=body), node("Relu", "y", "z", "r")]
    message = refused(model_of(nodes, inputs=["t"]))
    assert "cycle" in message
    assert "'choice' (If)" in message
