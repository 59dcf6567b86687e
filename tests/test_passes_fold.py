"""Folding and fusing: each case alone, compared with onnxruntime, with the operators that must be left."""

import numpy as np
import pytest
from onnx_builder import Net, counts, only

from conv_infer.passes import PASSES
from conv_infer.passes.lower import lower


def image(net, channels=4, size=6, batch=1):
    """A tensor that is channels-last already."""
    return net.conv(net.input((batch, 3, size, size)), 3, channels)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1,), ()])
@pytest.mark.parametrize("first", [False, True])
def test_constant_behind_convolution(op, shape, first):
    net = Net()
    x = image(net)
    constant = net.const(net.random.uniform(0.5, 2, shape))
    graph = net.check(net.op(op, *((constant, x) if first else (x, constant))))
    if op == "Div" and first:
        assert counts(graph) == {"Conv": 1, "Binary": 1, "Transpose": 1}
    else:
        assert counts(graph) == {"Conv": 1, "Transpose": 1}


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_batch_norm_behind_transposed_convolution(groups):
    net = Net()
    x = net.op("ConvTranspose", image(net), net.normal(4, 8 // groups, 3, 3), group=groups)
    graph = net.check(net.op("Relu", net.batch_norm(x, 8)))
    assert counts(graph) == {"Conv": 2, "Transpose": 1}
    assert graph.nodes[1].attrs["activation"][0] == "clamp"


def test_batch_norm_before_convolution():
    net = Net()
    x = net.op("MaxPool", image(net), kernel_shape=[2, 2])
    graph = net.check(net.conv(net.batch_norm(x, 4), 4, 6, groups=2))
    assert counts(graph) == {"Conv": 2, "MaxPool": 1, "Transpose": 1}


def test_shift_before_padded_convolution_stays():
    net = Net()
    x = net.op("MaxPool", image(net), kernel_shape=[2, 2])
    graph = net.check(net.conv(net.batch_norm(x, 4), 4, 6, kernel=3))
    assert counts(graph)["Affine"] == 1


def test_two_readers_keep_the_convolution():
    net = Net()
    x = image(net)
    graph = net.check(net.batch_norm(x, 4), net.op("Relu", x))
    assert only(graph, "Affine")
    assert only(graph, "Activation")


def test_affine_operators_in_a_row_are_one():
    net = Net()
    x = net.op("MaxPool", image(net), kernel_shape=[2, 2])
    x = net.op("Add", net.op("Mul", x, net.normal(4, 1, 1)), net.const(0.5))
    graph = net.check(net.op("Relu", net.op("Sub", net.normal(4, 1, 1), x)))
    assert only(graph, "Affine").attrs["activation"][0] == "clamp"


def test_bias_behind_matmul():
    net = Net()
    x = net.op("Relu", net.op("Add", net.op("MatMul", net.input((2, 3, 8)), net.normal(8, 5)), net.normal(5)))
    graph = net.check(x)
    assert counts(graph) == {"Reshape": 2, "Conv": 1}


@pytest.mark.parametrize("attrs", [{}, {"alpha": 0.5, "beta": 2.0}, {"transA": 1, "transB": 1}])
@pytest.mark.parametrize("c", ["none", "row", "column", "whole", "scalar", "computed"])
@pytest.mark.parametrize("constant", [True, False])
def test_gemm(attrs, c, constant):
    net = Net()
    shapes = [(3, 4), (4, 5)]
    if "transA" in attrs:
        shapes = [shape[::-1] for shape in shapes]
    a = net.input(shapes[0])
    b = net.normal(*shapes[1]) if constant else net.input(shapes[1])
    inputs = [a, b]
    if c == "computed":
        inputs.append(net.input((3, 5)))
    elif c != "none":
        inputs.append(net.normal(*{"row": (5,), "column": (3, 1), "whole": (3, 5), "scalar": ()}[c]))
    graph = net.check(net.op("Gemm", *inputs, **attrs))
    assert counts(graph)["Conv" if constant else "BatchMatMul"] == 1


@pytest.mark.parametrize(
    ("a", "b"),
    [((4,), (4,)), ((4,), (4, 5)), ((3, 4), (4,)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5))],
)
@pytest.mark.parametrize("constant", [True, False])
def test_matmul(a, b, constant):
    net = Net()
    right = net.normal(*b) if constant else net.input(b)
    counts(net.check(net.op("MatMul", net.input(a), right)))


# Residual additions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["Add", "Sum"])
@pytest.mark.parametrize("activation", [True, False])
def test_residual(op, activation):
    net = Net()
    x = image(net)
    y = net.op(op, x, net.batch_norm(net.conv(x, 4, 4, kernel=3), 4))
    graph = net.check(net.op("Relu", y) if activation else y)
    assert counts(graph) == {"Conv": 2, "Transpose": 1}
    assert graph.nodes[1].inputs[3] == graph.nodes[0].outputs[0]
    assert (graph.nodes[1].attrs["activation"] is not None) == activation


def test_of_two_convolutions_the_later_adds():
    net = Net()
    x = image(net)
    y = net.op("Add", net.conv(x, 4, 4), net.conv(net.op("Tanh", x), 4, 4))
    graph = net.check(y)
    convs = [node for node in graph.nodes if node.op == "Conv"]
    assert [bool(node.inputs[3]) for node in convs] == [False, False, True]


def test_residual_that_is_made_later():
    net = Net()
    x = image(net)
    main = net.conv(x, 4, 4)
    other = net.op("MaxPool", net.op("Tanh", x), kernel_shape=[1, 1])
    graph = net.check(net.op("Add", main, other))
    assert "Binary" not in counts(graph)


def test_activation_between_keeps_the_addition():
    net = Net()
    x = image(net)
    graph = net.check(net.op("Add", x, net.op("Relu", net.conv(x, 4, 4))))
    assert counts(graph)["Binary"] == 1


def test_broadcast_addition_is_no_residual():
    net = Net()
    x = image(net)
    graph = net.check(net.op("Add", net.conv(x, 4, 4), net.op("GlobalAveragePool", x)))
    assert counts(graph)["Binary"] == 1


def test_sum_with_itself():
    net = Net()
    x = image(net)
    net.check(net.op("Add", x, x))


def test_residual_around_matmul():
    net = Net()
    x = net.input((2, 3, 8))
    y = net.op("Add", net.op("MatMul", x, net.normal(8, 8)), net.normal(8))
    graph = net.check(net.op("Add", y, x))
    assert counts(graph) == {"Conv": 1, "Reshape": 2}


# Padding ------------------------------------------------------------------------------------------------------------


def pad(net, x, value=0.0, **attrs):
    return net.op("Pad", x, net.const([0, 0, 1, 2, 0, 0, 0, 1], np.int64), net.const(value), **attrs)


def test_pad_before_convolution():
    net = Net()
    graph = net.check(net.conv(pad(net, image(net)), 4, 4, kernel=3))
    assert [node.attrs["pads"] for node in graph.nodes if node.op == "Conv"][1] == (2, 3, 1, 2)
    assert "Pad" not in counts(graph)


@pytest.mark.parametrize("value, attrs", [(1.0, {}), (0.0, {"mode": "edge"}), (0.0, {"mode": "reflect"})])
def test_other_pads_stay(value, attrs):
    net = Net()
    graph = net.check(net.conv(pad(net, image(net), value, **attrs), 4, 4, kernel=3))
    assert counts(graph)["Pad"] == 1


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1]])
@pytest.mark.parametrize("include", [0, 1])
def test_pad_before_average_pool(pads, include):
    net = Net()
    x = pad(net, image(net))
    y = net.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=pads, count_include_pad=include)
    graph = net.check(y)
    assert ("Pad" in counts(graph)) == any(pads)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("value", [0.0, -np.inf])
def test_pad_before_max_pool(relu, value):
    """Zeros never win where nothing is negative, as channels-last frameworks export."""
    net = Net()
    x = image(net)
    x = net.op("Relu", x) if relu else x
    graph = net.check(net.op("MaxPool", pad(net, x, value), kernel_shape=[3, 3], strides=[2, 2]))
    assert ("Pad" in counts(graph)) == (not relu and value == 0.0)


def test_pad_of_channels_stays():
    net = Net()
    x = net.op("Pad", image(net), net.const([0, 1, 0, 0, 0, 1, 0, 0], np.int64))
    graph = net.check(net.conv(x, 6, 4))
    assert counts(graph)["Pad"] == 1


def test_negative_pads_crop():
    net = Net()
    x = image(net)
    outputs = [
        net.op("Pad", x, net.const([0, 0, -1, 0, 0, 0, 0, -2], np.int64)),
        net.op("Pad", x, net.const([0, 0, -2, 2, 0, 0, 1, -2], np.int64), net.const(3.0)),
    ]
    assert counts(net.check(*outputs))["Slice"] == 2


# Constants stay views -----------------------------------------------------------------------------------------------


def test_weights_are_views():
    """Lowering copies no weights: OHWI is a view of OIHW."""
    net = Net()
    graph = net.specialised(net.conv(net.input((1, 3, 8, 8)), 3, 16, kernel=3))
    for apply in PASSES:
        before = graph
        graph = apply(graph)
        if apply is lower:
            break
    weights = graph.constants[only(graph, "Conv").inputs[1]]
    assert weights.shape == (16, 3, 3, 3)
    assert any(np.shares_memory(weights, array) for array in before.constants.values())


def test_passes_leave_their_argument_alone():
    net = Net()
    x = net.op("Relu", net.batch_norm(net.conv(net.input((1, 3, 8, 8)), 3, 4), 4))
    graph = net.specialised(net.op("Add", x, net.conv(x, 4, 4)))
    for apply in PASSES:
        nodes, types, constants = list(graph.nodes), dict(graph.types), dict(graph.constants)
        copies = {name: array.copy() for name, array in constants.items()}
        result = apply(graph)
        assert graph.nodes == nodes
        assert graph.types == types
        assert set(graph.constants) == set(constants)
        assert all(np.array_equal(graph.constants[name], copies[name]) for name in copies)
        graph = result
