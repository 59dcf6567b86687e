"""`conv-infer explain`: what it says of a layer is what the library does with it."""

import xml.etree.ElementTree

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conv_infer import _core, cli, ops
from conv_infer.explain import Buffer, Layer, patches, svg_picture, text_patches, text_picture

WORKED = Layer("worked", (6, 6), 1, 1, (3, 3), (1, 1), (1, 1), (0, 0, 0, 0), 1, "float32")


def model(tmp_path, layers):
    """Convolutions one after another: (name, weights, attributes)."""
    nodes, constants, last = [], [], "x"
    for name, weights, attributes in layers:
        constants.append(onnx.numpy_helper.from_array(weights.astype(np.float32), f"{name}.w"))
        nodes.append(onnx.helper.make_node("Conv", [last, f"{name}.w"], [f"{name}.y"], name, **attributes))
        last = f"{name}.y"
    value = onnx.helper.make_tensor_value_info
    channels = layers[0][1].shape[1] * layers[0][2].get("group", 1)
    graph = onnx.helper.make_graph(
        nodes,
        "layers",
        [value("x", onnx.TensorProto.FLOAT, ["n", channels, 12, 10])],
        [value(last, onnx.TensorProto.FLOAT, None)],
        constants,
    )
    path = tmp_path / "layers.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)
    return str(path)


@pytest.fixture
def path(tmp_path):
    ones = np.ones
    return model(
        tmp_path,
        [
            ("first", ones((8, 3, 3, 3)), {"pads": [1, 1, 1, 1]}),
            ("pointwise", ones((8, 8, 1, 1)), {}),
            ("depthwise", ones((8, 1, 3, 3)), {"group": 8, "pads": [1, 1, 1, 1]}),
            ("last", ones((4, 4, 2, 2)), {"group": 2, "strides": [3, 3]}),
        ],
    )


def explain(capsys, *arguments):
    code = cli.main(["explain", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_layers_are_listed(capsys, path):
    code, out, _ = explain(capsys, path)
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["first", "pointwise", "depthwise", "last"]
    assert "12x10x3" in lines[1] and "3x3" in lines[1] and "12x10x8" in lines[1]


def test_a_layer_in_the_terminal(capsys, path):
    code, out, _ = explain(capsys, path, "first")
    assert code == 0
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == "first"
    assert "input 12x10x3, float32; padding 1x1x1x1 (top, left, bottom, right)" in lines
    forms = {line.split()[0]: line for line in lines if line}
    assert f"{4 * (14 * 3 * 3 + 9 * 3)} B" in forms["reusable"]
    assert "row   0[ .][ 0][ 1]        0   1 [ 2]        1   2 [ 3]" in lines


@pytest.mark.parametrize("layer, words", [("pointwise", "1x1: every pixel"), ("2", "depthwise: networks run it")])
def test_what_is_not_lowered_is_not_drawn(capsys, path, layer, words):
    code, out, _ = explain(capsys, path, layer)
    assert code == 0
    assert words in out
    assert "output column" not in out


def test_a_layer_as_a_picture(capsys, path, tmp_path):
    target = tmp_path / "layer.svg"
    code, out, _ = explain(capsys, path, "last", "--svg", str(target))
    assert code == 0
    assert "windows lie apart: every step writes" in out
    texts = [element.text for element in xml.etree.ElementTree.parse(target).iter() if element.tag.endswith("text")]
    assert texts[0] == "last"
    assert "output column 2: 88 elements are written" in texts  # 11 rows of 2 pixels of 4 channels
    assert "output row 0" in texts


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nothing"], "LAYER: 'nothing' is no convolution's name, part of one, or number: first, pointwise"),
        (["4"], "LAYER: '4'"),
        (["wise"], "LAYER: 'wise' fits several convolutions: pointwise, depthwise"),
        (["--svg", "x.svg"], "say which"),
        (["first", "--shape", "y=1,3,12,10"], "--shape"),
        (["first", "--svg", "/nowhere/x.svg"], "/nowhere/x.svg"),
    ],
)
def test_errors(capsys, path, arguments, words):
    code, _, err = explain(capsys, path, *arguments)
    assert code == 2
    assert words in err


def test_a_model_without_convolutions(capsys, tmp_path):
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "none",
        [value("x", onnx.TensorProto.FLOAT, [3])],
        [value("y", onnx.TensorProto.FLOAT, [3])],
    )
    path = tmp_path / "none.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)
    code, _, err = explain(capsys, str(path))
    assert code == 2
    assert "no convolution" in err


def test_the_worked_example():
    lines = text_picture(WORKED)
    assert text_patches(WORKED)[:4] == [
        "output 0,0  [ 0  1  2 | 0  1  2 | 0  1  2]",
        "output 0,1  [ 1  2  3 | 1  2  3 | 1  2  3]",
        "output 0,2  [ 2  3  4 | 2  3  4 | 2  3  4]",
        "and so on, 16 rows of 9 elements",
    ]
    assert lines[1] == "row   0[ 0][ 1][ 2]        1   2 [ 3]        2   3 [ 4]"
    assert lines[-1] == (
        "then the base moves on by 1 x 1 elements, and 6 pixels are written over the ones that have retired; "
        "18 were written at first"
    )


geometries = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(1, 20), st.integers(1, 20)),
        "kernel": st.tuples(st.integers(1, 5), st.integers(1, 5)),
        "strides": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "dilations": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "pads": st.tuples(*[st.integers(0, 3)] * 4),
        "depth": st.integers(1, 3),
        "groups": st.integers(1, 2),
    }
)


@settings(max_examples=80, deadline=None)
@given(geometry=geometries)
def test_the_numbers_are_those_of_the_library(geometry):
    depth, groups = geometry.pop("depth"), geometry.pop("groups")
    layer = Layer("any", channels=depth * groups, columns=groups, groups=groups, dtype="int8", **geometry)
    if any(size < 1 for size in layer.output):
        return
    plan = _core.LoweringPlan(
        "reusable", (*layer.size, depth), layer.kernel, layer.strides, layer.dilations, layer.pads
    )
    assert plan.output_size == layer.output
    buffer = Buffer(layer)
    steps = [buffer.written_pixels(step) for step in range(layer.output[1])]
    assert sum(steps) * depth == plan.copied_elems
    assert len(text_picture(layer)) >= 4 + buffer.rows
    image = np.arange(1, np.prod(layer.size) + 1, dtype=np.int16).reshape(*layer.size, 1)
    geometry = {"stride": layer.strides, "pad": layer.pads, "dilation": layer.dilations, "layout": "NHWC"}
    rows = ops.im2row(image.astype(np.float32), layer.kernel, **geometry)
    for row, (_, _, places) in zip(rows, patches(layer), strict=False):
        np.testing.assert_array_equal(row, [0 if place is None else image[place][0] for place in places])
    svg_picture(layer)
