"""onnxruntime's quantised operators, planned: the levels that onnxruntime computes, bit for bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_builder import counts, only
from planned_reference import run_graph
from quantised_builder import INT8, UINT8, QuantisedNet

from conv_infer.passes import run_passes

PAIRS = [(UINT8, INT8), (UINT8, UINT8), (INT8, INT8)]
LAYERS = {
    "dense": {"shape": (2, 6, 9, 11), "weights": (10, 6, 3, 3), "attrs": {"pads": [1, 0, 2, 1], "strides": [2, 1]}},
    "pointwise": {"shape": (1, 8, 5, 5), "weights": (12, 8, 1, 1), "attrs": {}},
    "grouped": {"shape": (1, 12, 7, 6), "weights": (9, 4, 3, 3), "attrs": {"group": 3, "pads": [1, 1, 1, 1]}},
    "depthwise": {"shape": (1, 8, 9, 9), "weights": (8, 1, 3, 3), "attrs": {"group": 8, "dilations": [2, 2]}},
    "signal": {"shape": (2, 4, 20), "weights": (6, 4, 5), "attrs": {"pads": [2, 2], "strides": [3]}},
}


def weight_parameters(net, dtype, outputs, per_channel):
    scale = net.scale(0.001, 0.01, outputs if per_channel else None)
    if dtype == INT8:
        return scale, net.zero(INT8, 0, outputs if per_channel else None)
    # onnxruntime wants one zero point for all channels
    return scale, net.zero(UINT8, int(net.random.integers(90, 160)), outputs if per_channel else None)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("dtypes", PAIRS, ids=["u8s8", "u8u8", "s8s8"])
def test_qlinear_conv(dtypes, per_channel, layer):
    net = QuantisedNet()
    spec = LAYERS[layer]
    x = net.levels(spec["shape"], dtypes[0])
    outputs = spec["weights"][0]
    w = net.integers(spec["weights"], dtypes[1])
    bias = net.integers(outputs, np.int32, -3000, 3000)
    parameters = [x, net.scale(), net.zero(dtypes[0]), w, *weight_parameters(net, dtypes[1], outputs, per_channel)]
    y = net.op("QLinearConv", *parameters, net.scale(0.2, 0.4), net.zero(dtypes[0]), bias, **spec["attrs"])
    graph = net.check_levels(y)
    node = only(graph, "QConv")
    assert node.attrs["scale"].shape == (outputs,)
    assert set(counts(graph)) <= {"QConv", "Transpose", "Reshape"}


@st.composite
def convolutions(draw):
    """A QLinearConv of any geometry, types, zero points and scales; values at the ends of their ranges."""
    net = QuantisedNet(seed=draw(st.integers(0, 2**32 - 1)))
    xtype, wtype = draw(st.sampled_from(PAIRS))
    kernel = [draw(st.integers(1, 4)) for _ in range(2)]
    strides = [draw(st.integers(1, 3)) for _ in range(2)]
    dilations = [draw(st.integers(1, 2)) for _ in range(2)]
    pads = [draw(st.integers(0, 2)) for _ in range(4)]
    size = [(k - 1) * d + draw(st.integers(1, 6)) for k, d in zip(kernel, dilations, strict=True)]
    groups = draw(st.sampled_from([1, 1, 2, 5]))
    channels, outputs = groups * draw(st.integers(1, 5)), groups * draw(st.integers(1, 4))
    extreme = draw(st.booleans())
    limits = np.iinfo(xtype)
    x = net.levels((draw(st.integers(1, 2)), channels, *size), xtype)
    if extreme:
        net.feeds[x] = np.where(net.feeds[x] >= limits.min + 128, limits.max, limits.min).astype(xtype)
    w = net.random.integers(np.iinfo(wtype).min, np.iinfo(wtype).max + 1, (outputs, channels // groups, *kernel))
    if extreme:
        w = np.where(w >= np.median(w), np.iinfo(wtype).max, np.iinfo(wtype).min)
    per_channel = draw(st.booleans())
    weights = [net.const(w.astype(wtype)), *weight_parameters(net, wtype, outputs, per_channel)]
    zero = net.zero(xtype, draw(st.integers(limits.min, limits.max)))
    after = net.scale(0.3, 3.0), net.zero(xtype, draw(st.integers(limits.min, limits.max)))
    bias = [net.integers(outputs, np.int32, -30000, 30000)] if draw(st.booleans()) else []
    attrs = {"strides": strides, "dilations": dilations, "pads": pads, "group": groups}
    return net, net.op("QLinearConv", x, net.scale(), zero, *weights, *after, *bias, **attrs)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(convolutions())
def test_any_qlinear_conv(case):
    net, y = case
    net.check_levels(y, varied=False)


@pytest.mark.parametrize("dtypes", PAIRS, ids=["u8s8", "u8u8", "s8s8"])
def test_conv_integer(dtypes):
    net = QuantisedNet()
    x, w = net.levels((1, 5, 8, 8), dtypes[0]), net.integers((7, 5, 3, 3), dtypes[1])
    zero = net.zero(dtypes[1], 0 if dtypes[1] == INT8 else 117)
    y = net.op("ConvInteger", x, w, net.zero(dtypes[0]), zero, pads=[1, 1, 1, 1])
    if dtypes[0] == INT8:  # not one of onnxruntime's: its uint8 twin gives the same sums
        graph = net.specialised(y)
        assert graph.types[y].dtype == np.int32
    else:
        node = only(net.check_levels(y), "QConv")
        assert node.attrs["raw"] and node.attrs["scale"] is None


def test_integer_products_without_zero_points():
    net = QuantisedNet()
    net.check_levels(
        net.op("ConvInteger", net.levels((1, 5, 8, 8), UINT8), net.integers((7, 5, 3, 3), UINT8)),
        net.op("MatMulInteger", net.levels((3, 5, 8), UINT8), net.integers((8, 6), INT8)),
    )


@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "column"])
@pytest.mark.parametrize("dtypes", PAIRS, ids=["u8s8", "u8u8", "s8s8"])
def test_products_of_matrices(dtypes, per_channel):
    net = QuantisedNet()
    x, w = net.levels((6, 40), dtypes[0]), net.integers((40, 12), dtypes[1])
    size = 12 if per_channel else None
    scale, zero = net.scale(0.001, 0.01, size), net.zero(dtypes[1], None, size)
    before, after = (net.scale(), net.zero(dtypes[0])), (net.scale(0.1, 0.3), net.zero(dtypes[0]))
    graph = net.check_levels(
        net.op("QLinearMatMul", x, *before, w, scale, zero, *after),
        net.op("MatMulInteger", x, w, before[1], zero),
        net.ms("QGemm", x, *before, w, scale, zero, net.integers(12, np.int32, -900, 900), *after, alpha=0.37),
    )
    assert counts(graph)["QConv"] == 3


def test_qgemm_of_transposed_matrices():
    net = QuantisedNet()
    x, w = net.levels((40, 6), UINT8), net.integers((12, 40), INT8)
    before, after = (net.scale(), net.zero(UINT8)), (net.scale(0.1, 0.3), net.zero(UINT8))
    weights = (w, net.scale(0.001, 0.01), net.zero(INT8))
    net.check_levels(
        net.ms("QGemm", x, *before, *weights, "", *after, transA=1, transB=1),
        net.ms("QGemm", x, *before, *weights, net.integers((1, 12), np.int32, -900, 900), transA=1, transB=1),
    )


def test_a_matrix_product_of_three_dimensions():
    net = QuantisedNet()
    x, w = net.levels((2, 3, 16), UINT8), net.integers((16, 8), INT8)
    y = net.op(
        "QLinearMatMul", x, net.scale(), net.zero(UINT8), w, net.scale(), net.zero(INT8), net.scale(), net.zero(UINT8)
    )
    net.check_levels(y)


@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=["s8", "u8"])
@pytest.mark.parametrize("scales", ["any", "ties"])
def test_qlinear_binary(op, dtype, scales):
    net = QuantisedNet()
    a, b = net.levels((2, 6, 9, 7), dtype), net.levels((2, 6, 9, 7), dtype)
    numbers = [0.25, 0.125, 0.5] if scales == "ties" else net.random.uniform(0.02, 0.2, 3)
    parameters = [(net.const(np.float32(number)), net.zero(dtype)) for number in numbers]
    y = net.ms(op, a, *parameters[0], b, *parameters[1], *parameters[2])
    assert only(net.check_levels(y), "QBinary").attrs["kind"] == op[7:].lower()


def test_qlinear_binary_broadcasts():
    net = QuantisedNet()
    a, b = net.levels((2, 6, 9, 7), UINT8), net.levels((6, 1, 1), UINT8)
    c = net.integers((1, 6, 9, 1), UINT8)
    parameters = [(net.scale(0.02, 0.2), net.zero(UINT8)) for _ in range(3)]
    net.check_levels(
        net.ms("QLinearMul", a, *parameters[0], b, *parameters[1], *parameters[2]),
        net.ms("QLinearMul", c, *parameters[0], a, *parameters[1], *parameters[2]),
    )
    net.check_levels(net.ms("QLinearAdd", a, *parameters[0], b, *parameters[1], *parameters[2]), within=1)


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=["s8", "u8"])
def test_lookups(dtype):
    net = QuantisedNet()
    x = net.levels((1, 4, 16, 16), dtype)
    low = np.iinfo(dtype).min
    graph = net.check_levels(
        net.ms("QLinearLeakyRelu", x, net.scale(), net.zero(dtype), net.scale(), net.zero(dtype), alpha=0.1),
        net.ms(
            "QLinearSigmoid",
            x,
            net.scale(),
            net.zero(dtype, low + 100),
            net.const(np.float32(1 / 256)),
            net.zero(dtype, low),
        ),
    )
    assert counts(graph) == {"QLookup": 2}


def test_lookups_of_lookups_read_the_first_tensor():
    net = QuantisedNet()
    x = net.levels((1, 4, 16, 16), UINT8)
    inner, outer = (net.scale(), net.zero(UINT8, 120)), (net.const(np.float32(1 / 255)), net.zero(UINT8, 0))
    sigmoid = net.ms("QLinearSigmoid", x, *inner, *outer)
    swish = net.ms("QLinearMul", x, *inner, sigmoid, *outer, net.scale(), net.zero(UINT8, 30))
    graph = net.check_levels(swish)
    assert counts(graph) == {"QLookup": 1}
    assert only(graph, "QLookup").inputs == (x,)


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=["s8", "u8"])
def test_qlinear_concat(dtype):
    net = QuantisedNet()
    same = (net.scale(), net.zero(dtype))
    parts = [net.levels((1, size, 5, 5), dtype) for size in (2, 3, 4)]
    other = (net.scale(), net.zero(dtype))
    y = net.ms("QLinearConcat", *same, parts[0], *same, parts[1], *other, parts[2], *same, axis=1)
    assert counts(net.check_levels(y)) == {"QLookup": 1, "Concat": 1}


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=["s8", "u8"])
@pytest.mark.parametrize("channels_last", [0, 1])
def test_qlinear_pools(dtype, channels_last):
    net = QuantisedNet()
    x = net.levels((2, 13, 12, 8) if channels_last else (2, 8, 13, 12), dtype)
    scale, zero = net.scale(), net.zero(dtype)
    same, other = (scale, zero), (net.scale(0.02, 0.04), net.zero(dtype))
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "channels_last": channels_last}
    graph = net.check_levels(
        net.ms("QLinearGlobalAveragePool", x, *same, *other, channels_last=channels_last),
        net.ms("QLinearAveragePool", x, *same, *same, **window),
        net.ms("QLinearAveragePool", x, *same, *other, **window, count_include_pad=1),
    )
    found = counts(graph)
    assert found["QMean"] == 1 and found["QAveragePool"] == 2


def test_average_pool_of_signals():
    net = QuantisedNet()
    x = net.levels((2, 8, 13), UINT8)
    net.check_levels(
        net.ms("QLinearAveragePool", x, net.scale(), net.zero(UINT8), net.scale(), net.zero(UINT8), kernel_shape=[4])
    )


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=["s8", "u8"])
@pytest.mark.parametrize(("shape", "axis", "opset"), [((3, 300), -1, 13), ((2, 5, 4, 3), 1, 13), ((2, 5, 4, 3), 1, 12)])
def test_qlinear_softmax(dtype, shape, axis, opset):
    net = QuantisedNet(seed=3)
    low = np.iinfo(dtype).min
    after = net.const(np.float32(1 / 256)), net.zero(dtype, low + (3 if len(shape) == 2 else 0))
    x, before = net.levels(shape, dtype), (net.scale(0.02, 0.05), net.zero(dtype))
    net.check_levels(net.ms("QLinearSoftmax", x, *before, *after, axis=axis, opset=opset))


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=["s8", "u8"])
def test_certainty_is_the_highest_level(dtype):
    """Where onnxruntime's exponentials overflow: a single element, a small scale."""
    net = QuantisedNet()
    after = net.const(np.float32(0.003)), net.zero(dtype, np.iinfo(dtype).min)
    y = net.ms("QLinearSoftmax", net.levels((4, 1), dtype), net.scale(), net.zero(dtype), *after, axis=1, opset=13)
    result = run_graph(run_passes(net.specialised(y)), net.feeds, np.float32)[y]
    assert (result == np.iinfo(dtype).max).all()


@pytest.mark.parametrize("opset", [10, 13, 19, 21, 23, 24, 25])
@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=["s8", "u8"])
def test_quantise_and_dequantise(dtype, opset):
    net = QuantisedNet(opset)
    x = net.input((2, 5, 6, 7))
    scale, zero = net.scale(), net.zero(dtype)
    levels = net.q(x, scale, zero)
    outputs = [levels, net.dq(net.levels((3, 4), dtype), scale, zero)]
    if opset >= 13:
        scales, zeros = net.scale(size=5), net.zero(dtype, size=5)
        outputs.append(net.q(x, scales, zeros, axis=1))
        outputs.append(net.dq(net.levels((2, 5, 6), dtype), scales, zeros, axis=-2))
    graph = net.check_levels(*outputs)
    assert counts(graph)["Quantize"] == len(outputs) // 2 == counts(graph)["Dequantize"]


def test_dequantise_sums():
    net = QuantisedNet()
    x = net.input((2, 5), np.int32)
    net.check_levels(net.dq(x, net.scale()), net.dq(x, net.scale(size=5), axis=1))


def test_levels_are_moved_as_they_are():
    net = QuantisedNet()
    x = net.levels((1, 8, 6, 6), INT8)
    scales = net.const(np.array([1, 1, 2, 2], np.float32))
    pooled = net.op("MaxPool", x, kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    wide = net.op(
        "Resize", pooled, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
    first, second = net.op("Split", wide, net.const(np.array([3, 5])), outputs=2, axis=1)
    padded = net.op("Pad", first, net.const(np.array([0, 0, 1, 0, 0, 0, 0, 2])), net.const(np.array(-7, np.int8)))
    joined = net.op("Concat", first, second, axis=1)
    graph = net.check_levels(padded, net.op("Transpose", joined, perm=[0, 2, 3, 1]))
    assert set(counts(graph)) <= {"MaxPool", "Resize", "Slice", "Pad", "Concat", "Transpose", "Reshape"}


def test_linear_resize_cuts_to_integers():
    net = QuantisedNet()
    x = net.levels((1, 3, 6, 6), UINT8)
    scales = net.const(np.array([1, 1, 2, 2], np.float32))
    y = net.op("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
    assert counts(net.check_levels(y))["Cast"] == 2
