"""Resizing against onnxruntime."""

import functools

import numpy as np
import onnx
import pytest
from emitting import run_node
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnxruntime_sessions import open_session
from strided import SETS, Operand, run_step

from conv_infer import _core
from conv_infer.errors import ConvInferError

COORDINATES = ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners", "half_pixel_symmetric"]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


@functools.cache
def session(mode, coordinates, rounding, by_scales, version=19):
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None] * 4)]
    names = ["x", "", "", ""]
    names[2 if by_scales else 3] = "how"
    kind = TensorProto.FLOAT if by_scales else TensorProto.INT64
    inputs.append(helper.make_tensor_value_info("how", kind, [4]))
    node = helper.make_node(
        "Resize", names, ["y"], mode=mode, coordinate_transformation_mode=coordinates, nearest_mode=rounding
    )
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)]
    graph = helper.make_graph([node], "resize", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=9)
    onnx.checker.check_model(model)
    return open_session(model.SerializeToString())


def compare(mode, coordinates, rounding, shape, by_scales, how, **layout):
    """`how`: scales or sizes of height and width."""
    images, height, width, channels = shape
    x = Operand.of(np.random.default_rng(0).normal(size=shape).astype(np.float32), **layout)
    given = np.array([1, 1, *how], np.float32) if by_scales else np.array([images, channels, *how], np.int64)
    feeds = {"x": np.ascontiguousarray(x.array.transpose(0, 3, 1, 2)), "how": given}
    expected = session(mode, coordinates, rounding, by_scales).run(None, feeds)[0].transpose(0, 2, 3, 1)
    scales = how if by_scales else (np.float32(how[0]) / np.float32(height), np.float32(how[1]) / np.float32(width))
    attrs = {
        "mode": mode,
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": rounding,
        "scales": tuple(float(scale) for scale in scales),
    }
    one, two = (
        run_node("Resize", [x], Operand(expected.shape, np.float32), attrs, threads=threads) for threads in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
    if mode == "nearest":
        np.testing.assert_array_equal(one, expected)
    else:
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("coordinates", COORDINATES)
@settings(max_examples=40, deadline=None, derandomize=True)  # ties depend on how onnxruntime rounds positions
@given(data=st.data())
def test_nearest(coordinates, data):
    shape = tuple(data.draw(st.integers(1, most)) for most in (2, 9, 9, 5))
    how = tuple(data.draw(st.integers(1, 20)) for _ in range(2))
    rounding = data.draw(st.sampled_from(ROUNDINGS))
    compare("nearest", coordinates, rounding, shape, False, how, steps=(1, data.draw(st.sampled_from([1, 2])), 1, 1))


@pytest.mark.parametrize("coordinates", COORDINATES)
@settings(max_examples=40, deadline=None, derandomize=True)  # ties depend on how onnxruntime rounds positions
@given(data=st.data())
def test_linear(coordinates, data):
    shape = tuple(data.draw(st.integers(1, most)) for most in (2, 9, 9, 20))
    how = tuple(data.draw(st.integers(1, 20)) for _ in range(2))
    steps = (1, data.draw(st.sampled_from([1, 2])), data.draw(st.sampled_from([1, 2, -1])), 1)
    compare("linear", coordinates, "floor", shape, False, how, steps=steps)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("scales", [(2.0, 2.0), (1.5, 0.75), (0.5, 3.0), (1.0, 2.0), (1.3, 2.7)])
def test_scales(mode, coordinates, scales):
    compare(mode, coordinates, "round_prefer_floor", (2, 12, 14, 8), True, scales)


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_positions_round_as_in_onnxruntime(coordinates, rounding):
    for size in range(1, 20):
        for count in (1, 2, 3, 5, 11, 13, 29):
            compare("nearest", coordinates, rounding, (1, 1, size, 1), False, (1, count))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_large_images(mode):
    compare(mode, "half_pixel", "round_prefer_floor", (1, 60, 70, 33), True, (2.0, 2.0))


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64])
def test_nearest_moves_elements_of_any_size(dtype):
    x = np.random.default_rng(0).integers(0, 100, (2, 5, 6, 3)).astype(dtype)
    attrs = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
        "scales": (2.0, 2.0),
    }
    result = run_node("Resize", [x], Operand((2, 10, 12, 3), dtype), attrs)
    np.testing.assert_array_equal(result, x.repeat(2, 1).repeat(2, 2))


def table(first, second, weight):
    weight = np.array(weight, np.float32)
    return np.array(first, np.int32), np.array(second, np.int32), 1 - weight, weight


def add_resize(program, views, rows, threads=1, allowed=1):
    _core.add_resize(
        program,
        linear=True,
        element_bytes=4,
        y=(views[0][0], (1, 2, 1, 40), views[0][1][:3]),
        x=(views[1][0], (1, 3, 1, 40), views[1][1][:3]),
        rows=rows,
        columns=table([0], [0], [0.0]),
        threads=threads,
        allowed=allowed,
    )


@pytest.mark.parametrize("isa", SETS)
def test_linear_on_every_instruction_set(isa):
    x = Operand.of(np.random.default_rng(0).normal(size=(1, 3, 1, 40)).astype(np.float32))
    rows = table([0, 1], [2, 2], [0.25, 0.5])
    result = run_step(functools.partial(add_resize, rows=rows), [Operand((1, 2, 1, 40), np.float32), x], isa)
    expected = np.stack([0.75 * x.array[0, 0] + 0.25 * x.array[0, 2], (x.array[0, 1] + x.array[0, 2]) / 2])[None]
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rows", [([0, 3], [0, 0]), ([0, 0], [-1, 0]), ([0], [0])])
def test_tables_that_leave_the_image_are_refused(rows):
    program = _core.Program([0, 0, 4096, 4096])
    views = [((2, 0), (80, 40, 40, 1)), ((3, 0), (120, 40, 40, 1))]
    with pytest.raises(ConvInferError):
        add_resize(program, views, table(*rows, [0.0] * len(rows[0])))
