"""Gradients, transposed convolution and signal processing, against numerical gradients, onnxruntime and SciPy."""

import numpy as np
import onnx
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime_sessions import open_session

from conv_infer import InputError, ops

GEOMETRIES = [
    {},
    {"stride": 2, "pad": 1},
    {"stride": (1, 2), "pad": (1, 0, 2, 1), "dilation": (2, 1)},
    {"groups": 2, "pad": 1},
    {"groups": 4, "stride": 2, "dilation": 2, "pad": 2},
]


def random(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def numerical_gradient(function, at, step=1e-5):
    gradient = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        kept = at[index]
        at[index] = kept + step
        above = function()
        at[index] = kept - step
        gradient[index] = (above - function()) / (2 * step)
        at[index] = kept
    return gradient


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gradients_are_the_numerical_ones(geometry):
    groups = geometry.get("groups", 1)
    x, w, b = random(2, 4, 6, 5, seed=1), random(4, 4 // groups, 3, 2, seed=2), random(4, seed=3)
    weight = random(*ops.conv2d(x, w, b, **geometry).shape, seed=4)

    def loss():
        return float((ops.conv2d(x, w, b, **geometry) * weight).sum())

    dx, dw, db = ops.conv2d_backward(weight, x, w, **geometry)
    for got, at in ((dx, x), (dw, w), (db, b)):
        np.testing.assert_allclose(got, numerical_gradient(loss, at), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gradients_are_those_of_pytorch(geometry):
    torch = pytest.importorskip("torch")
    groups = geometry.get("groups", 1)
    x, w = (
        random(*shape, seed=seed, dtype=np.float32)
        for seed, shape in enumerate([(3, 8, 9, 10), (12, 8 // groups, 3, 3)])
    )
    pads = geometry.get("pad", 0)
    top, left, bottom, right = pads if isinstance(pads, tuple) else (pads,) * 4
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, w, np.zeros(12, np.float32))]
    wide = torch.nn.functional.pad(tensors[0], (left, right, top, bottom))
    y = torch.nn.functional.conv2d(
        wide, *tensors[1:], geometry.get("stride", 1), 0, geometry.get("dilation", 1), groups
    )
    dout = random(*y.shape, seed=5, dtype=np.float32)
    y.backward(torch.tensor(dout))
    for got, tensor in zip(ops.conv2d_backward(dout, x, w, **geometry), tensors, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "geometry", [*GEOMETRIES, {"stride": 3, "output_padding": (2, 1)}, {"stride": 2, "pad": 1, "output_padding": 1}]
)
def test_transposed_convolution_is_that_of_onnxruntime(geometry):
    groups = geometry.get("groups", 1)
    x, w, b = (
        random(*shape, seed=seed, dtype=np.float32)
        for seed, shape in enumerate([(2, 4, 5, 4), (4, 3, 3, 2), (3 * groups,)])
    )

    def both(name, default):
        value = geometry.get(name, default)
        return list(value) if isinstance(value, tuple) else [value, value]

    pads = geometry.get("pad", 0)
    node = onnx.helper.make_node(
        "ConvTranspose",
        ["x", "w", "b"],
        ["y"],
        strides=both("stride", 1),
        dilations=both("dilation", 1),
        output_padding=both("output_padding", 0),
        group=groups,
        pads=list(pads) if isinstance(pads, tuple) else [pads] * 4,
    )
    value = onnx.helper.make_tensor_value_info
    arrays = {"x": x, "w": w, "b": b}
    graph = onnx.helper.make_graph(
        [node],
        "transposed",
        [value(name, onnx.TensorProto.FLOAT, array.shape) for name, array in arrays.items()],
        [value("y", onnx.TensorProto.FLOAT, None)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    session = open_session(model.SerializeToString())
    (expected,) = session.run(None, arrays)
    np.testing.assert_allclose(ops.conv_transpose2d(x, w, b, **geometry), expected, rtol=1e-5, atol=1e-5)


def test_transposed_convolution_is_the_gradient_towards_x():
    x, w = random(1, 4, 7, 9, seed=1), random(6, 2, 3, 3, seed=2)
    geometry = {"stride": 2, "pad": 1, "groups": 2}
    dout = random(*ops.conv2d(x, w, **geometry).shape, seed=3)
    np.testing.assert_array_equal(
        ops.conv_transpose2d(dout, w, **geometry), ops.conv2d_backward(dout, x, w, **geometry)[0]
    )


operands = st.fixed_dictionaries(
    {
        "a": st.tuples(st.integers(1, 12), st.integers(1, 9)),
        "b": st.tuples(st.integers(1, 12), st.integers(1, 9)),
        "mode": st.sampled_from(["full", "same", "valid"]),
        "dtype": st.sampled_from(["float32", "float64", "int8", "uint8", "int64"]),
    }
)


def make(shape, dtype, seed):
    values = np.random.default_rng(seed).integers(0, 120, shape)
    return values.astype(dtype) / np.dtype(dtype).type(7) if dtype.startswith("float") else values.astype(dtype)


@settings(max_examples=150, deadline=None)
@given(case=operands)
def test_convolution_of_signals_is_that_of_scipy(case):
    a, b = make(case["a"], case["dtype"], 1), make(case["b"], case["dtype"], 2)
    wide = np.float64 if case["dtype"].startswith("float") else np.int64
    tolerance = {"rtol": 1e-5 if case["dtype"] == "float32" else 1e-12}
    for a, b, ours, theirs in (
        (a, b, ops.convolve2d, scipy.signal.convolve2d),
        (a[:, 0], b[:, 0], ops.convolve1d, lambda a, b, mode: scipy.signal.convolve(a, b, mode, method="direct")),
    ):
        if case["mode"] == "valid" and any(m < n for m, n in zip(a.shape, b.shape, strict=True)):
            with pytest.raises(InputError, match="b: of shape"):
                ours(a, b, "valid")
            continue
        got = ours(a, b, case["mode"])
        np.testing.assert_allclose(got, theirs(a.astype(wide), b.astype(wide), case["mode"]), **tolerance)
        if case["mode"] == "full":
            assert got.shape == tuple(m + n - 1 for m, n in zip(a.shape, b.shape, strict=True))
            np.testing.assert_allclose(got, ours(b, a, "full"), **tolerance)


def test_lists_and_mixed_numbers_are_computed_in_double():
    got = ops.convolve1d([1, 2, 3], [0, 1, 0.5])
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, np.convolve([1, 2, 3], [0, 1, 0.5]))


@pytest.mark.parametrize(
    "call, named",
    [
        (lambda: ops.convolve1d([1.0], [1.0], "wrap"), "mode"),
        (lambda: ops.convolve1d([[1.0]], [1.0]), "a: rank 2"),
        (lambda: ops.convolve1d([1.0], []), "b: shape"),
        (lambda: ops.convolve2d([[1.0]], [[1j]]), "b: dtype"),
        (lambda: ops.conv2d_backward(random(1, 2, 3, 3), random(1, 2, 5, 5), random(2, 2, 2, 2)), "dout: shape"),
        (lambda: ops.conv2d_backward(random(1, 2, 3, 3), random(1, 2, 5, 5), random(2, 1, 3, 3)), "w: 1 input"),
        (
            lambda: ops.conv2d_backward(np.ones((1, 1, 1, 1), "int8"), random(1, 1, 1, 1), random(1, 1, 1, 1)),
            "dout: dtype",
        ),
        (lambda: ops.conv_transpose2d(random(1, 2, 3, 3), random(3, 2, 2, 2)), "w: 3 input"),
        (lambda: ops.conv_transpose2d(random(1, 2, 3, 3), random(2, 2, 2, 2), output_padding=1), "output_padding"),
        (lambda: ops.conv_transpose2d(random(1, 2, 3, 3), random(2, 2, 2, 2), pad=3), "pad"),
        (lambda: ops.conv_transpose2d(random(1, 3, 3, 3), random(3, 2, 2, 2), groups=2), "groups"),
        (lambda: ops.conv_transpose2d(random(1, 2, 3, 3), random(2, 2, 2, 2), np.ones(3)), "b: shape"),
    ],
)
def test_errors_name_the_argument(call, named):
    with pytest.raises(InputError, match=named):
        call()
