"""Operators between DequantizeLinear and QuantizeLinear: one integer operator each, with the levels of onnxruntime."""

import numpy as np
import pytest
from onnx import numpy_helper
from onnx_builder import counts, only
from onnxruntime_exact import session
from quantised_builder import INT8, UINT8, QuantisedNet

import conv_infer
from conv_infer.graph import NOTE, ONNX

PAIRS = [(UINT8, INT8), (UINT8, UINT8), (INT8, INT8)]
QUANTISED = {"QConv", "QBinary", "QLookup", "QMean", "QAveragePool", "QSoftmax", "Quantize", "Dequantize"}


class Block:
    """Graph inputs as levels, dequantised; results quantised again."""

    def __init__(self, dtype=INT8, seed=0, opset=17):
        self.net = QuantisedNet(opset, seed)
        self.dtype = dtype

    def input(self, shape, scale=None, zero=None):
        net = self.net
        self.scale = net.const(np.float32(scale)) if scale else net.scale()
        self.zero = net.zero(self.dtype, zero)
        return net.dq(net.levels(shape, self.dtype), self.scale, self.zero)

    def output(self, x, scale=None, zero=None):
        net = self.net
        return net.q(x, net.const(np.float32(scale)) if scale else net.scale(0.2, 0.4), net.zero(self.dtype, zero))

    def again(self, x):
        """Quantised and dequantised by the parameters of the last input."""
        return self.net.dq(self.net.q(x, self.scale, self.zero), self.scale, self.zero)

    def weights(self, shape, dtype, per_channel, axis=0):
        """Dequantised weights, and the scale that a bias has: that of the last input times theirs."""
        net = self.net
        size = shape[axis] if per_channel else None
        factor = np.float32(net.random.uniform(0.001, 0.01, size))
        zero = net.zero(dtype, 0 if dtype == INT8 else 121, size)
        real = net.dq(net.integers(shape, dtype), net.const(factor), zero, axis=axis)
        values = {tensor.name: numpy_helper.to_array(tensor) for tensor in net.initializers}
        return real, values[self.scale] * factor

    def bias(self, size, scale):
        net = self.net
        scale = np.broadcast_to(scale, (size,)) if np.ndim(scale) else scale
        return net.dq(net.integers(size, np.int32, -3000, 3000), net.const(np.float32(scale)), axis=0)


@pytest.mark.parametrize("clamp", [None, "Relu", "Clip"])
@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("dtypes", PAIRS, ids=["u8s8", "u8u8", "s8s8"])
def test_conv(dtypes, per_channel, clamp):
    block = Block(dtypes[0])
    net = block.net
    x = block.input((1, 6, 9, 8))
    w, scale = block.weights((10, 6, 3, 3), dtypes[1], per_channel)
    y = net.op("Conv", x, w, block.bias(10, scale), pads=[1, 1, 1, 1])
    if clamp == "Relu":
        y = net.op("Relu", y)
    elif clamp == "Clip":
        y = net.op("Clip", y, net.const(np.float32(-3.3)), net.const(np.float32(6)))
    graph = net.check_levels(block.output(y, zero=3 if dtypes[0] == INT8 else 130))
    node = only(graph, "QConv")
    limits = np.iinfo(dtypes[0])
    assert (node.attrs["lo"], node.attrs["hi"]) == (limits.min, limits.max) or clamp
    assert set(counts(graph)) <= {"QConv", "Transpose"}


@pytest.mark.parametrize("opset", [10, 12, 13, 19, 21, 25])
def test_conv_in_every_operator_set(opset):
    block = Block(UINT8, opset=opset)
    net = block.net
    x = block.input((1, 6, 9, 8))
    w = net.dq(net.integers((4, 6, 3, 3)), net.scale(0.001, 0.01), net.zero(INT8, 0))
    only(net.check_levels(block.output(net.op("Conv", x, w))), "QConv")


def test_conv_of_groups_and_signals():
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 8, 9, 8))
    w, _ = block.weights((8, 1, 3, 3), INT8, True)
    first = block.output(net.op("Conv", x, w, group=8))
    x = block.input((2, 6, 15))
    w, scale = block.weights((9, 2, 3), INT8, True)
    second = block.output(net.op("Conv", x, w, block.bias(9, scale), group=3, pads=[2, 0]))
    assert counts(net.check_levels(first, second))["QConv"] == 2


@pytest.mark.parametrize("multiplier", [2, 3, 8, 9])
@pytest.mark.parametrize("dtype", [INT8, UINT8])
def test_conv_of_channels_that_become_several(multiplier, dtype):
    """Their image is repeated up to eight times; more columns are a matrix product of their own."""
    block = Block(dtype)
    net = block.net
    outputs = []
    for shuffled in (False, True):
        x = block.input((1, 6, 9, 8))
        if shuffled:
            x = net.op("Gather", x, net.const(np.array([5, 0, 3, 1, 4, 2])), axis=1)
        w, scale = block.weights((6 * multiplier, 1, 3, 3), INT8, True)
        y = net.op("Conv", x, w, block.bias(6 * multiplier, scale), group=6, pads=[1, 1, 1, 1], strides=[2, 1])
        outputs.append(block.output(y))
    graph = net.check_levels(*outputs)
    groups = {node.attrs["groups"] for node in graph.nodes if node.op == "QConv"}
    assert groups == {6 * multiplier if multiplier <= 8 else 6}
    wanted = session(net.model(*outputs)).run(outputs, net.feeds)
    ours = conv_infer.run(net.model(*outputs).SerializeToString(), net.feeds, strict=True)
    for name, array in zip(outputs, wanted, strict=True):
        np.testing.assert_array_equal(ours[name], array)


@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "column"])
@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_and_matmul(per_channel, transposed):
    block = Block(UINT8)
    net = block.net
    x = block.input((5, 32))
    shape, axis = ((12, 32), 0) if transposed else ((32, 12), 1)
    w, scale = block.weights(shape, INT8, per_channel, axis)
    gemm = block.output(net.op("Gemm", x, w, block.bias(12, scale), transB=transposed))
    w, _ = block.weights(shape, INT8, per_channel, axis)
    if transposed:
        w = net.op("Transpose", w, perm=[1, 0])
    product = block.output(net.op("MatMul", x, w))
    assert counts(net.check_levels(gemm, product))["QConv"] == 2


@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=["s8", "u8"])
def test_binary(op, dtype):
    block = Block(dtype)
    net = block.net
    a, b = block.input((1, 6, 9, 8)), block.input((1, 6, 9, 8))
    y = block.output(net.op("Relu", net.op(op, a, b)), zero=1 if dtype == INT8 else 100)
    graph = net.check_levels(y)
    node = only(graph, "QBinary")
    assert node.attrs["lo"] == (1 if dtype == INT8 else 100)


def test_binary_with_constants():
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 6, 9, 8))
    row = net.dq(net.integers((6, 1, 1), UINT8), net.scale(), net.zero(UINT8))
    number = net.dq(net.integers((), UINT8, 200), net.scale(), net.zero(UINT8, 3))
    outputs = [net.op("Add", x, row), net.op("Mul", number, x), net.op("Sub", x, net.const(0.7))]
    graph = net.check_levels(*[block.output(output, 1.3) for output in outputs], within=1)
    assert counts(graph)["QBinary"] == 1 and counts(graph)["QLookup"] == 2
    assert set(counts(graph)) <= QUANTISED | {"Transpose"}


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("Relu", {}),
        ("LeakyRelu", {"alpha": 0.1}),
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("HardSwish", {}),
        ("HardSigmoid", {"alpha": 0.21, "beta": 0.4}),
        ("Elu", {}),
        ("Softplus", {}),
        ("Abs", {}),
        ("Erf", {}),
        ("Exp", {}),
        ("Sqrt", {}),
    ],
)
def test_functions_become_tables(op, attrs):
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 4, 16, 16), 0.03, 0 if op == "Sqrt" else 131)
    graph = net.check_levels(block.output(net.op(op, x, **attrs), 0.02, 60))
    assert counts(graph) == {"QLookup": 1}


def test_functions_of_one_tensor_become_one_table():
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 4, 16, 16), 0.05)
    gate = net.op("HardSigmoid", x)
    scale, zero = net.const(np.float32(1 / 255)), net.zero(UINT8, 0)
    rounded = net.dq(net.q(gate, scale, zero), scale, zero)
    graph = net.check_levels(block.output(net.op("Mul", x, rounded), 0.05), block.output(net.op("Mul", x, gate), 0.03))
    assert counts(graph) == {"QLookup": 2}


def test_equal_parameters_cancel():
    block = Block(INT8)
    net = block.net
    x = block.input((1, 4, 8, 8))
    same = net.q(x, block.scale, block.zero)
    moved = net.q(
        net.op("Reshape", net.op("Transpose", x, perm=[0, 2, 3, 1]), net.const(np.array([8, 32]))),
        block.scale,
        block.zero,
    )
    other = net.q(net.op("Flatten", x), net.scale(), net.zero())
    graph = net.check_levels(same, moved, other)
    assert set(counts(graph)) <= {"QLookup", "Transpose", "Reshape"} and counts(graph)["QLookup"] == 1


def test_movement_and_maxima_stay_integer():
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 8, 8, 8), 0.05, 128)
    pooled = net.op("MaxPool", net.op("Relu", x), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    wide = net.op("Resize", pooled, "", net.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    padded = net.op("Pad", x, net.const(np.array([0, 0, 1, 1, 0, 0, 1, 1])))
    parts = net.op("Split", padded, outputs=2, axis=1)
    outputs = [block.output(each, 0.04) for each in (wide, *parts, net.op("GlobalMaxPool", x))]
    graph = net.check_levels(*outputs)
    assert set(counts(graph)) <= {"MaxPool", "Resize", "Pad", "Slice", "QLookup", "Transpose", "Reshape"}


def test_shuffles_are_absorbed():
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 12, 6, 6), 0.05, 128)
    shuffled = net.op("Reshape", x, net.const(np.array([1, 3, 4, 6, 6])))
    shuffled = net.op(
        "Transpose", net.dq(net.q(shuffled, block.scale, block.zero), block.scale, block.zero), perm=[0, 2, 1, 3, 4]
    )
    shuffled = net.op("Reshape", shuffled, net.const(np.array([1, 12, 6, 6])))
    shuffled = net.dq(net.q(shuffled, block.scale, block.zero), block.scale, block.zero)
    w, scale = block.weights((12, 1, 3, 3), UINT8, True)
    y = net.op("Conv", shuffled, w, block.bias(12, scale), group=12, pads=[1, 1, 1, 1])
    scale, zero = net.scale(0.2, 0.4), net.zero(UINT8)
    y = net.dq(net.q(y, scale, zero), scale, zero)
    block.scale = scale
    w, _ = block.weights((6, 4, 1, 1), INT8, True)
    graph = net.check_levels(block.output(net.op("Conv", y, w, group=3)))
    assert set(counts(graph)) <= {"QConv", "Transpose"}


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=["s8", "u8"])
def test_averages(dtype):
    block = Block(dtype)
    net = block.net
    x = block.input((2, 6, 9, 8), 0.05, 0 if dtype == INT8 else 128)
    middle = 0 if dtype == INT8 else 128
    pool = net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    outputs = [
        block.output(pool, 0.05),
        block.output(net.op("GlobalAveragePool", x), 0.03, middle),
        block.output(net.op("ReduceMean", x, axes=[2, 3], keepdims=0), 0.03, middle),
    ]
    found = counts(net.check_levels(*outputs))
    assert found["QMean"] == 2 and found["QAveragePool"] == 1 and set(found) <= QUANTISED | {"Transpose", "Reshape"}


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=["s8", "u8"])
def test_softmax(dtype):
    block = Block(dtype)
    x = block.input((3, 50), 0.05)
    y = block.output(block.net.op("Softmax", x, axis=-1), 1 / 256, np.iinfo(dtype).min)
    assert counts(block.net.check_levels(y)) == {"QSoftmax": 1}


def test_concat():
    block = Block(UINT8)
    net = block.net
    parts = [block.input((1, 4, 5, 5), 0.05, 128), block.input((1, 4, 5, 5), 0.02, 99)]
    joined = net.op("Concat", *parts, net.op("Relu", parts[0]), axis=1)
    graph = net.check_levels(block.output(joined, 0.04))
    assert counts(graph) == {"QLookup": 3, "Concat": 1}
    again = net.op("Concat", parts[1], parts[1], axis=1)
    graph = net.check_levels(block.output(net.op("Abs", again), 0.04))
    assert counts(graph) == {"Concat": 1, "QLookup": 1}


def test_residual_additions_are_fused():
    block = Block(INT8)
    net = block.net
    x = block.input((1, 8, 6, 6), 0.05, 3)
    w, scale = block.weights((8, 8, 3, 3), INT8, True)
    y = net.op("Conv", x, w, block.bias(8, scale), pads=[1, 1, 1, 1])
    inner = net.scale(0.2, 0.4), net.zero(INT8, -5)
    y = net.dq(net.q(y, *inner), *inner)
    total = net.op("Relu", net.op("Add", y, x))
    graph = net.check_levels(net.q(total, net.scale(0.2, 0.4), net.zero(INT8, -20)))
    node = only(graph, "QConv")
    assert node.attrs["add"][-2:] == (-20, 127) and node.inputs[3]
    assert "QBinary" not in counts(graph)


def test_order_of_a_fused_addition():
    """An addition rounds its zero points into one constant, in the order of its operands. With these scales, taken
    from a detector, the other order moves sums next to the middle between two levels."""
    block = Block(UINT8)
    net = block.net
    image = block.input((1, 8, 64, 64), 0.02, 128)
    w, scale = block.weights((8, 8, 1, 1), INT8, False)
    inner = net.const(np.float32(0.045006547)), net.zero(UINT8, 115)
    y = net.dq(net.q(net.op("Conv", image, w, block.bias(8, scale)), *inner), *inner)
    x = block.input((1, 8, 64, 64), 0.064190246, 119)
    for operands in ((x, y), (y, x)):
        total = net.q(net.op("Add", *operands), net.const(np.float32(0.08050396)), net.zero(UINT8, 119))
        node = only(net.check_levels(total), "QConv")
        assert node.attrs["is_second_operand"] == (operands == (x, y))


def test_clamps_behind_rounding_are_fused():
    """Relu between QuantizeLinear of equal parameters limits the range of what made its input."""
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 4, 6, 6))
    w, _ = block.weights((6, 4, 1, 1), INT8, False)
    scale, zero = net.const(np.float32(0.2)), net.zero(UINT8, 110)
    y = net.dq(net.q(net.op("Conv", x, w), scale, zero), scale, zero)
    graph = net.check_levels(net.q(net.op("Relu", y), scale, zero))
    assert only(graph, "QConv").attrs["lo"] == 110 and "QLookup" not in counts(graph)


# What falls out of the integers


def notes(graph):
    return [node.attrs["note"] for node in graph.nodes if node.attrs.get("note")]


def test_products_without_a_quantised_result():
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 6, 9, 8))
    w, scale = block.weights((10, 6, 3, 3), INT8, True)
    graph = net.check_levels(net.op("Conv", x, w, block.bias(10, scale)))
    assert only(graph, "QConv").attrs["raw"]
    assert "no QuantizeLinear follows" in notes(graph)[0]


@pytest.mark.parametrize("what", ["another scale", "float32"])
def test_bias_that_does_not_fit(what):
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 6, 9, 8))
    w, scale = block.weights((10, 6, 3, 3), INT8, True)
    bias = block.bias(10, scale * 1.5) if what == "another scale" else net.normal(10)
    graph = net.check_levels(block.output(net.op("Conv", x, w, bias)), fused=False, within=1)
    assert only(graph, "Conv") and "bias" in notes(graph)[0]


def test_sums_that_could_overflow_run_in_float32():
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 2**17), zero=128)
    weights = net.dq(net.const(np.full((2**17, 1), 127, np.int8)), net.const(np.float32(1e-4)), net.zero(INT8, 0))
    graph = net.check_levels(block.output(net.op("MatMul", x, weights)), fused=False, within=1)
    assert "QConv" not in counts(graph) and "MatMul" in notes(graph)[0] and "overflow int32" in notes(graph)[0]


def test_functions_of_products_run_in_float32():
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 6, 9, 8))
    w, _ = block.weights((10, 6, 3, 3), INT8, True)
    graph = net.check_levels(block.output(net.op("HardSwish", net.op("Conv", x, w))), within=1)
    assert counts(graph)["QConv"] == 1 and counts(graph)["Activation"] == 1


def test_linear_resize_runs_in_float32():
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 6, 9, 8))
    scales = net.const(np.array([1, 1, 2, 2], np.float32))
    y = net.op("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
    graph = net.check_levels(net.q(y, block.scale, block.zero))
    assert "Resize" in notes(graph)[0] and "between the levels" in notes(graph)[0]


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize("size", [None, 4], ids=["tensor", "channel"])
def test_sixteen_bits_run_by_reference(dtype, size):
    net = QuantisedNet(21)
    x = net.input((1, 4, 5, 5))
    scale, zero = net.scale(0.001, 0.002, size), net.zero(dtype, 123, size)
    graph = net.check_levels(net.op("Relu", net.dq(net.q(x, scale, zero), scale, zero)))
    assert reasons(graph) == {f"{np.dtype(dtype)} of float32 has no integer form"}


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_blocks_with_scales_of_their_own(axis):
    """Of what is computed they run by reference; constants are dequantised once, the last block a shorter one."""
    net = QuantisedNet(21)
    x, w = net.input((3, 10, 5)), net.integers((3, 10, 5), UINT8)
    shape = [3, 10, 5]
    shape[axis] = -(-shape[axis] // 4)
    scale = net.const(net.random.uniform(0.01, 0.1, shape).astype(np.float32))
    zero = net.integers(shape, UINT8, 100, 150)
    blocks = {"axis": axis, "block_size": 4}
    real = net.dq(w, scale, zero, **blocks)
    levels = net.q(x, scale, zero, **blocks)
    graph = net.check_levels(levels, net.dq(levels, scale, zero, **blocks), net.op("Add", x, real))
    assert reasons(graph) == {"its scales belong to blocks of elements"}
    assert sorted(node.op for node in graph.nodes) == ["Binary", "DequantizeLinear", "QuantizeLinear"]


def reasons(graph):
    """Why nodes are left to onnx.reference."""
    return {node.attrs.get(NOTE) for node in graph.nodes if node.domain == ONNX}


def test_parameters_that_are_computed_run_by_reference():
    net = QuantisedNet()
    levels, scale, zero = net.op("DynamicQuantizeLinear", net.input((1, 4, 6, 6)), outputs=3)
    sums = net.op("ConvInteger", levels, net.integers((3, 4, 3, 3)), zero)
    graph = net.check_levels(net.dq(levels, scale, zero), sums)
    assert "its parameters are computed" in reasons(graph)


def test_product_that_leaves_all_levels_as_they_are():
    """x * 8, quantised by a scale 8 times as large: the levels of x, which a Concat then joins with others."""
    block = Block(UINT8)
    net = block.net
    x = block.input((1, 3, 4, 5), 0.25, 7)
    eight = net.dq(net.const(np.uint8(255)), net.const(np.float32(8 / 255)), net.const(np.uint8(0)))
    scale, zero = net.const(np.float32(2)), net.const(np.uint8(7))
    y = net.dq(net.q(net.op("Mul", x, eight), scale, zero), scale, zero)
    other = net.dq(net.levels((1, 3, 4, 5), UINT8), scale, zero)
    graph = net.check_levels(net.q(net.op("Concat", y, other, axis=1), scale, zero))
    assert "QBinary" not in counts(graph)


def test_an_operand_that_folds_to_one_level():
    net = QuantisedNet()
    x = net.levels((1, 4, 5, 5))
    number = net.q(net.const(np.float32(0.7)), net.const(np.float32(0.05)), net.zero(value=3))
    number = net.dq(number, net.const(np.float32(0.05)), net.zero(value=3))
    y = net.op("Add", net.dq(x, net.const(np.float32(0.04)), net.zero(value=1)), number)
    graph = net.check_levels(net.q(y, net.const(np.float32(0.05)), net.zero(value=-2)))
    assert counts(graph) == {"QLookup": 1}
