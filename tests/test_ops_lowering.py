"""im2row and its family, and conv2d by every form of lowering, against NumPy, SciPy, ONNX and PyTorch's conventions."""

import itertools

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from conv_infer import InputError, ops

FORMS = ("im2row", "two_patch", "mec", "reusable", "reusable_rows", "in_place", "indirect")
DTYPES = ("float32", "float64", "int8", "uint8")


def random(shape, dtype, seed=0):
    generator = np.random.default_rng(seed)
    if dtype in ("int8", "uint8"):
        info = np.iinfo(dtype)
        return generator.integers(info.min, info.max, shape, dtype, endpoint=True)
    return generator.standard_normal(shape).astype(dtype)


def reference_conv(x, w, b=None, stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """NCHW, OIHW; in float64 or int64."""
    wide = np.float64 if x.dtype.kind == "f" else np.int64
    x, w = x.astype(wide), w.astype(wide)
    x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    tall, broad = ((w.shape[2 + a] - 1) * dilation[a] + 1 for a in (0, 1))
    views = np.lib.stride_tricks.sliding_window_view(x, (tall, broad), axis=(2, 3))
    views = views[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    channels, columns = x.shape[1] // groups, w.shape[0] // groups
    parts = [
        np.einsum(
            "nchwyx,ocyx->nohw",
            views[:, g * channels : (g + 1) * channels],
            w[g * columns : (g + 1) * columns],
        )
        for g in range(groups)
    ]
    out = np.concatenate(parts, axis=1)
    return out if b is None else out + b.astype(wide)[:, None, None]


def agrees(got, expected, dtype):
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, expected)
        return
    tolerance = 3e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * max(1.0, np.abs(expected).max()))


convolutions = st.fixed_dictionaries(
    {
        "images": st.integers(1, 2),
        "size": st.tuples(st.integers(1, 12), st.integers(1, 12)),
        "channels": st.integers(1, 5),
        "columns": st.integers(1, 19),
        "groups": st.integers(1, 3),
        "kernel": st.tuples(st.integers(1, 5), st.integers(1, 5)),
        "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "pads": st.tuples(*[st.integers(0, 2)] * 4),
        "threads": st.integers(1, 3),
        "dtype": st.sampled_from(DTYPES),
        "has_bias": st.booleans(),
    }
)


@settings(max_examples=120, deadline=None)
@given(case=convolutions)
def test_all_forms_agree_to_the_bit_and_with_numpy(case):
    kernel, dilation, pads = case["kernel"], case["dilation"], case["pads"]
    if any((kernel[a] - 1) * dilation[a] >= case["size"][a] + pads[a] + pads[a + 2] for a in (0, 1)):
        return
    groups, dtype = case["groups"], case["dtype"]
    x = random((case["images"], case["channels"] * groups, *case["size"]), dtype, 1)
    w = random((case["columns"] * groups, case["channels"], *kernel), dtype, 2)
    b = (
        random(w.shape[0], dtype, 3).astype("int32" if dtype in ("int8", "uint8") else dtype)
        if case["has_bias"]
        else None
    )
    expected = reference_conv(x, w, b, case["stride"], pads, dilation, groups)
    options = {"stride": case["stride"], "pad": pads, "dilation": dilation, "groups": groups}
    first = ops.conv2d(x, w, b, lowering="im2row", threads=1, **options)
    agrees(first, expected, dtype)
    for form in (*FORMS, "auto"):
        got = ops.conv2d(x, w, b, lowering=form, threads=case["threads"], **options)
        assert got.dtype == first.dtype
        np.testing.assert_array_equal(got, first, err_msg=form)
    nhwc = ops.conv2d(
        x.transpose(0, 2, 3, 1), w.transpose(0, 2, 3, 1), b, layout="NHWC", lowering="reusable", **options
    )
    np.testing.assert_array_equal(nhwc.transpose(0, 3, 1, 2), first)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("columns", [1, 17, 96, 200])
def test_wide_and_deep_layers(form, columns):
    x, w = random((1, 70, 13, 11), "float32", 1), random((columns, 70, 3, 3), "float32", 2)
    got = ops.conv2d(x, w, pad=1, lowering=form)
    agrees(got, reference_conv(x, w, pads=(1, 1, 1, 1)), "float32")
    np.testing.assert_array_equal(got, ops.conv2d(x, w, pad=1, lowering="im2row"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_small_worked_case(form, dtype):
    """3x3 input, 2x2 kernel."""
    x = np.arange(1, 10, dtype=dtype).reshape(1, 1, 3, 3)
    w = np.array([[1, 2], [3, 4]], dtype).reshape(1, 1, 2, 2)
    np.testing.assert_array_equal(ops.conv2d(x, w, lowering=form)[0, 0], [[37, 47], [67, 77]])
    np.testing.assert_array_equal(ops.im2row(x[0], 2), [[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]])
    np.testing.assert_array_equal(ops.im2col(x[0], 2), ops.im2row(x[0], 2).T)


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_bytes_and_activations(dtype):
    x, w = random((1, 6, 5, 5), dtype, 1), random((4, 6, 3, 3), dtype, 2)
    if dtype in ("int8", "uint8"):
        x[:] = w[:] = np.iinfo(dtype).min or np.iinfo(dtype).max
    expected = reference_conv(x, w)
    activations = {"relu": (0, np.inf), "relu6": (0, 6), ("clamp", -3, 100): (-3, 100)}
    for activation, (low, high) in activations.items():
        for form in FORMS:
            agrees(ops.conv2d(x, w, activation=activation, lowering=form), np.clip(expected, low, high), dtype)
    if dtype in ("float32", "float64"):
        curves = {
            ("leaky_relu", 0.25, 0): np.where(expected >= 0, expected, expected * 0.25),
            ("hard_swish", 0.125, 0.5): expected * np.clip(expected * 0.125 + 0.5, 0, 1),
            ("hard_sigmoid", 0.25, 0.5): np.clip(expected * 0.25 + 0.5, 0, 1),
        }
        for activation, curve in curves.items():
            agrees(ops.conv2d(x, w, activation=activation), curve, dtype)


@settings(max_examples=100, deadline=None)
@given(case=convolutions, ceil_mode=st.booleans(), layout=st.sampled_from(["NCHW", "NHWC"]))
def test_rows_of_patches_and_their_sums(case, ceil_mode, layout):
    kernel, stride, dilation, pads = (case[key] for key in ("kernel", "stride", "dilation", "pads"))
    size, channels = case["size"], case["channels"]
    windows = [(kernel[a] - 1) * dilation[a] + 1 for a in (0, 1)]
    if any(windows[a] > size[a] + pads[a] + pads[a + 2] for a in (0, 1)):
        return
    counts = []
    for a in (0, 1):
        span = size[a] + pads[a] + pads[a + 2] - windows[a]
        count = (-(-span // stride[a]) if ceil_mode else span // stride[a]) + 1
        # No window is added that would begin in the padding after the image.
        is_added = ceil_mode and span % stride[a]
        counts.append(count - 1 if is_added and (count - 1) * stride[a] >= size[a] + pads[a] else count)
    x = random((case["images"], *size, channels), case["dtype"])
    wide = np.pad(x, ((0, 0), (pads[0], pads[2] + stride[0]), (pads[1], pads[3] + stride[1]), (0, 0)))
    index = np.pad(
        np.arange(np.prod(size)).reshape(size),
        ((pads[0], pads[2] + stride[0]), (pads[1], pads[3] + stride[1])),
        constant_values=-1,
    )
    rows, sources = [], []
    for y, left in itertools.product(range(counts[0]), range(counts[1])):
        part = np.s_[
            y * stride[0] : y * stride[0] + windows[0] : dilation[0],
            left * stride[1] : left * stride[1] + windows[1] : dilation[1],
        ]
        rows.append(wide[(slice(None), *part)].reshape(x.shape[0], -1))
        sources.append(index[part].ravel())
    expected = np.stack(rows, axis=1)
    given_x = x if layout == "NHWC" else x.transpose(0, 3, 1, 2)
    options = {"stride": stride, "pad": pads, "dilation": dilation, "layout": layout, "ceil_mode": ceil_mode}
    got = ops.im2row(given_x, kernel, **options)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(ops.im2row(given_x[0], kernel, **options), expected[0])
    np.testing.assert_array_equal(ops.im2col(given_x, kernel, **options), expected.transpose(0, 2, 1))

    sums = np.zeros((x.shape[0], np.prod(size) + 1, channels), np.float64)  # the last for padding
    for position, places in enumerate(sources):
        values = expected[:, position].reshape(x.shape[0], -1, channels)
        for tap, place in enumerate(places):
            sums[:, place] += values[:, tap]
    sums = sums[:, :-1].reshape(x.shape[0], *size, channels)
    sums = sums if layout == "NHWC" else sums.transpose(0, 3, 1, 2)
    agrees(ops.row2im(got, size, kernel, **options), sums, case["dtype"])
    agrees(ops.col2im(got[0].T, size, kernel, **options), sums[0], case["dtype"])


@settings(max_examples=60, deadline=None)
@given(case=convolutions, ceil_mode=st.booleans(), dtype=st.sampled_from(["int8", "float64"]))
def test_the_way_back_is_the_adjoint(case, ceil_mode, dtype):
    """<im2row(x), r> = <x, row2im(r)> for every x and r, and the same of columns."""
    options = {key: case[key] for key in ("stride", "dilation")} | {"pad": case["pads"], "ceil_mode": ceil_mode}
    kernel, size = case["kernel"], case["size"]
    if any((kernel[a] - 1) * case["dilation"][a] >= size[a] + case["pads"][a] + case["pads"][a + 2] for a in (0, 1)):
        return
    x = random((case["images"], case["channels"], *size), dtype, 1)
    rows = ops.im2row(x, kernel, **options)
    other = random(rows.shape, dtype, 2)
    wide = np.int64 if dtype == "int8" else np.float64
    forth = (rows.astype(wide) * other).sum()
    for back in (
        ops.row2im(other, size, kernel, **options),
        ops.col2im(other.swapaxes(-1, -2), size, kernel, **options),
    ):
        backward = (x.astype(wide) * back).sum()
        if dtype == "int8":
            assert forth == backward
        else:
            np.testing.assert_allclose(forth, backward, rtol=1e-9, atol=1e-9 * np.abs(rows * other).sum())


@pytest.mark.parametrize("stride, pads, dilation", [((1, 1), (0, 0, 0, 0), (1, 1)), ((2, 1), (1, 0, 2, 1), (1, 2))])
def test_col2im_is_that_of_onnx(stride, pads, dilation):
    size, kernel, channels = (7, 6), (3, 2), 3
    node = onnx.helper.make_node("Col2Im", ["x", "size", "block"], ["y"], strides=stride, pads=pads, dilations=dilation)
    value = onnx.helper.make_tensor_value_info
    kinds = {"x": (onnx.TensorProto.FLOAT, [None] * 3), "size": (onnx.TensorProto.INT64, [2])}
    kinds["block"] = kinds["size"]
    graph = onnx.helper.make_graph(
        [node],
        "col2im",
        [value(name, *kind) for name, kind in kinds.items()],
        [value("y", onnx.TensorProto.FLOAT, None)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    columns = ops.im2col(random((2, channels, *size), "float32"), kernel, stride=stride, pad=pads, dilation=dilation)
    onnx_order = columns.reshape(2, 6, channels, -1).swapaxes(1, 2).reshape(2, channels * 6, -1)
    feeds = {"x": onnx_order, "size": np.array(size), "block": np.array(kernel)}
    (expected,) = ReferenceEvaluator(model).run(None, feeds)
    got = ops.col2im(columns, size, kernel, stride=stride, pad=pads, dilation=dilation)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_fold_output_makes_the_image_of_a_product():
    x, w = random((2, 3, 7, 6), "float64", 1), random((5, 3, 3, 2), "float64", 2)
    product = ops.im2row(x, (3, 2), stride=2) @ w.transpose(2, 3, 1, 0).reshape(-1, 5)
    expected = reference_conv(x, w, stride=(2, 2))
    agrees(ops.fold_output(product, (3, 3)), expected, "float64")
    agrees(ops.fold_output(product[0], (3, 3)), expected[0], "float64")
    agrees(ops.fold_output(product, (3, 3), layout="NHWC"), expected.transpose(0, 2, 3, 1), "float64")


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_channel_shuffle(groups):
    x = np.arange(2 * 6 * 4).reshape(2, 6, 2, 2)
    got = ops.channel_shuffle(x, groups)
    order = [g * (6 // groups) + c for c in range(6 // groups) for g in range(groups)]
    np.testing.assert_array_equal(got, x[:, order])
    np.testing.assert_array_equal(ops.channel_unshuffle(got, groups), x)
    last = ops.channel_shuffle(x.transpose(0, 2, 3, 1), groups, layout="NHWC")
    np.testing.assert_array_equal(last, got.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(ops.channel_shuffle(x[0], groups), got[0])


def image(*shape, dtype="float32"):
    return np.ones(shape, dtype)


X, W = image(1, 4, 6, 6), image(2, 4, 3, 3)


@pytest.mark.parametrize(
    "call, named",
    [
        (lambda: ops.conv2d(X[0, 0], W), "x: rank 2"),
        (lambda: ops.conv2d(X.astype("int32"), W), "x: dtype int32"),
        (lambda: ops.conv2d(X[:, :, :0], W), "x: shape"),
        (lambda: ops.conv2d(X, W.astype("float64")), "w: dtype float64"),
        (lambda: ops.conv2d(X, W[0]), "w: rank 3"),
        (lambda: ops.conv2d(X, W[:, :2]), "w: 2 input channels"),
        (lambda: ops.conv2d(X, image(2, 4, 7, 3)), "w: a window of height 7"),
        (lambda: ops.conv2d(X, W, dilation=3), "w: a window of height 7"),
        (lambda: ops.conv2d(X, W, np.ones(3, "float32")), "b: shape"),
        (lambda: ops.conv2d(X, W, np.ones(2)), "b: dtype"),
        (lambda: ops.conv2d(X, W, stride=0), "stride"),
        (lambda: ops.conv2d(X, W, stride=(1, 2, 3)), "stride"),
        (lambda: ops.conv2d(X, W, stride=1.5), "stride"),
        (lambda: ops.conv2d(X, W, dilation=-1), "dilation"),
        (lambda: ops.conv2d(X, W, pad=(1, 2, 3)), "pad"),
        (lambda: ops.conv2d(X, W, pad=(1, 0, -2, 0)), r"pad\[2\]"),
        (lambda: ops.conv2d(X, W, pad=2**31 - 1), "pad"),
        (lambda: ops.conv2d(X, W, pad=2**29), "x or pad: .* too large"),
        (lambda: ops.conv2d(X, W, activation=("clamp", float("nan"), 1)), "activation"),
        (lambda: ops.conv2d(X, W, groups=3), "groups"),
        (lambda: ops.conv2d(X, W, groups=0), "groups"),
        (lambda: ops.conv2d(X, W, lowering="winograd"), "lowering"),
        (lambda: ops.conv2d(X, W, layout="CHWN"), "layout"),
        (lambda: ops.conv2d(X, W, activation="swish"), "activation"),
        (lambda: ops.conv2d(X, W, activation=("tanh", 0, 0)), "activation"),
        (lambda: ops.conv2d(X.astype("int8"), W.astype("int8"), activation=("clamp", 0.5, 2)), "activation"),
        (lambda: ops.conv2d(X, W, threads=0), "threads"),
        (lambda: ops.conv2d(image(1, 4000, 3, 3, dtype="int8"), image(1, 4000, 3, 3, dtype="int8")), "w: sums"),
        (lambda: ops.im2row(X, 7), "kernel"),
        (lambda: ops.im2row(X, (3, 0)), "kernel"),
        (lambda: ops.im2row(X, 3, pad=2**28), "x or pad: .* too large"),
        (lambda: ops.im2row(image(3, 3), 2), "x: rank 2"),
        (lambda: ops.im2row([[1], [2, 3]], 2), "x: not an array"),
        (lambda: ops.im2row(X, 3, ceil_mode="no"), "ceil_mode"),
        (lambda: ops.row2im(image(16, 9), (6, 5), 3), "rows: shape"),
        (lambda: ops.row2im(image(16, 8), (6, 6), 3), "rows: shape"),
        (lambda: ops.row2im(image(16, 9), 6.0, 3), "size"),
        (lambda: ops.col2im(image(9, 15), (6, 6), 3), "columns: shape"),
        (lambda: ops.fold_output(image(9, 2), (3, 2)), "product"),
        (lambda: ops.channel_shuffle(X, 3), "groups"),
        (lambda: ops.channel_shuffle(X[0, 0], 1), "x: rank 2"),
    ],
)
def test_errors_name_the_argument(call, named):
    with pytest.raises(InputError, match=named):
        call()
