"""Activations that exporters spell out become one planned Activation (or the activation of a convolution)."""

import math

import numpy as np
import pytest
from onnx_builder import Net, counts, only


def hard_swish_div_last(net, x):
    return net.op("Div", net.op("Mul", x, clip6(net, plus3(net, x))), net.const(6.0))


def hard_swish_div_gate(net, x):
    return net.op("Mul", net.op("Div", clip6(net, plus3(net, x)), net.const(6.0)), x)


def hard_swish_mul_last(net, x):
    return net.op("Mul", net.const(1 / 6), net.op("Mul", x, clip6(net, plus3(net, x))))


def hard_swish_mul_gate(net, x):
    return net.op("Mul", x, net.op("Mul", clip6(net, plus3(net, x)), net.const(0.16667)))


def hard_swish_mul_first(net, x):
    return net.op("Mul", net.op("Mul", x, net.const(1 / 6)), clip6(net, plus3(net, x)))


def hard_swish_hard_sigmoid(net, x):
    return net.op("Mul", x, net.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def hard_swish_min_max(net, x):
    relu6 = net.op("Min", net.op("Max", plus3(net, x), net.const(0.0)), net.const(6.0))
    return net.op("Div", net.op("Mul", relu6, x), net.const(6.0))


def hard_swish_relu_min(net, x):
    relu6 = net.op("Min", net.op("Relu", plus3(net, x)), net.const(6.0))
    return net.op("Mul", x, net.op("Div", relu6, net.const(6.0)))


def hard_sigmoid_div(net, x):
    return net.op("Div", clip6(net, plus3(net, x)), net.const(6.0))


def plus3(net, x):
    return net.op("Add", net.const(3.0), x)


def clip6(net, x):
    return net.op("Clip", x, net.const(0.0), net.const(6.0))


def silu(net, x):
    return net.op("Mul", net.op("Sigmoid", x), x)


def silu_scaled(net, x):
    return net.op("Mul", x, net.op("Sigmoid", net.op("Mul", x, net.const(1.702))))


def gelu_div(net, x):
    erf = net.op("Erf", net.op("Div", x, net.const(math.sqrt(2))))
    return net.op("Mul", net.op("Mul", x, net.op("Add", erf, net.const(1.0))), net.const(0.5))


def gelu_half_first(net, x):
    erf = net.op("Erf", net.op("Mul", x, net.const(math.sqrt(0.5))))
    return net.op("Mul", net.op("Mul", net.const(0.5), x), net.op("Add", net.const(1.0), erf))


def gelu_half_gate(net, x):
    erf = net.op("Erf", net.op("Div", x, net.const(1.41421)))
    return net.op("Mul", x, net.op("Mul", net.op("Add", erf, net.const(1.0)), net.const(0.5)))


def gelu_tanh_pow(net, x):
    cubic = net.op("Mul", net.const(0.044715), net.op("Pow", x, net.const(3.0)))
    inner = net.op("Mul", net.op("Add", x, cubic), net.const(math.sqrt(2 / math.pi)))
    return net.op("Mul", net.op("Mul", x, net.const(0.5)), net.op("Add", net.op("Tanh", inner), net.const(1.0)))


def gelu_tanh_mul(net, x):
    cubic = net.op("Mul", net.op("Mul", x, net.op("Mul", x, x)), net.const(0.044715))
    inner = net.op("Mul", net.const(0.797885), net.op("Add", cubic, x))
    return net.op("Mul", net.const(0.5), net.op("Mul", x, net.op("Add", net.const(1.0), net.op("Tanh", inner))))


def mish_softplus(net, x):
    return net.op("Mul", x, net.op("Tanh", net.op("Softplus", x)))


def mish_log_exp(net, x):
    return net.op("Mul", net.op("Tanh", net.op("Log", net.op("Add", net.op("Exp", x), net.const(1.0)))), x)


SPELLINGS = {
    "hard_swish": [
        hard_swish_div_last,
        hard_swish_div_gate,
        hard_swish_mul_last,
        hard_swish_mul_gate,
        hard_swish_mul_first,
        hard_swish_hard_sigmoid,
        hard_swish_min_max,
        hard_swish_relu_min,
    ],
    "hard_sigmoid": [hard_sigmoid_div],
    "silu": [silu, silu_scaled],
    "gelu": [gelu_div, gelu_half_first, gelu_half_gate],
    "gelu_tanh": [gelu_tanh_pow, gelu_tanh_mul],
    "mish": [mish_softplus, mish_log_exp],
}


@pytest.mark.parametrize(("kind", "spell"), [(kind, spell) for kind, all_ in SPELLINGS.items() for spell in all_])
def test_spellings(kind, spell):
    net = Net()
    x = net.input([2, 3, 5, 7])
    graph = net.check(spell(net, x), tolerance=1e-4)
    assert counts(graph) == {"Activation": 1}
    assert only(graph, "Activation").attrs["kind"] == kind


@pytest.mark.parametrize(("kind", "spell"), [(kind, all_[0]) for kind, all_ in SPELLINGS.items()])
def test_spellings_fuse_into_convolution(kind, spell):
    net = Net()
    x = net.input([1, 3, 6, 6])
    graph = net.check(spell(net, net.conv(x, 3, 8, kernel=3)), tolerance=1e-4)
    assert only(graph, "Conv").attrs["activation"][0] == kind
    assert set(counts(graph)) == {"Conv", "Transpose"}


@pytest.mark.parametrize("change", ["constant", "reader", "other_x"])
def test_similar_is_not_recognised(change):
    """A wrong constant, a second reader in the middle, or another tensor: computed as written."""
    net = Net()
    x = net.input([1, 3, 4, 4])
    other = net.input([1, 3, 4, 4])
    gate = net.op("Clip", plus3(net, other if change == "other_x" else x), net.const(0.0), net.const(6.0))
    product = net.op("Mul", x, gate)
    y = net.op("Div", product, net.const(5.0 if change == "constant" else 6.0))
    outputs = [y, net.op("Neg", product)] if change == "reader" else [y]
    graph = net.check(*outputs)
    assert all(node.attrs.get("kind") != "hard_swish" for node in graph.nodes)


@pytest.mark.parametrize(
    ("op", "attrs", "kind"),
    [
        ("Relu", {}, "clamp"),
        ("LeakyRelu", {"alpha": 0.2}, "leaky_relu"),
        ("HardSigmoid", {}, "hard_sigmoid"),
        ("HardSwish", {}, "hard_swish"),
        ("Elu", {"alpha": 0.7}, "elu"),
        ("Selu", {}, "selu"),
        ("Celu", {"alpha": 1.3}, "celu"),
        ("Sigmoid", {}, "sigmoid"),
        ("Tanh", {}, "tanh"),
        ("Mish", {}, "mish"),
        ("Softplus", {}, "softplus"),
        ("Softsign", {}, "softsign"),
        ("Exp", {}, "exp"),
        ("Abs", {}, "abs"),
        ("Neg", {}, "neg"),
        ("Reciprocal", {}, "reciprocal"),
        ("Floor", {}, "floor"),
        ("Ceil", {}, "ceil"),
        ("Round", {}, "round"),
        ("Erf", {}, "erf"),
        ("Sin", {}, "sin"),
        ("Cos", {}, "cos"),
    ],
)
def test_single_operators(op, attrs, kind):
    net = Net(opset=18)
    graph = net.check(net.op(op, net.input([3, 4, 5]), **attrs), tolerance=1e-5)
    assert only(graph, "Activation").attrs["kind"] == kind


def test_clip_bounds():
    net = Net()
    x = net.input([2, 8])
    outputs = [
        net.op("Clip", x, net.const(-0.5), net.const(0.5)),
        net.op("Clip", x, "", net.const(0.3)),
        net.op("Clip", x, net.const(0.3)),
        net.op("Clip", x, net.const(0.5), net.const(-0.5)),  # crossed: the upper bound wins
        net.op("Max", x, net.const(0.25)),
        net.op("Min", net.const(0.25), x),
        net.op("PRelu", x, net.const([0.1])),
    ]
    graph = net.check(*outputs)
    assert counts(graph) == {"Activation": 7}


def test_clamps_in_a_row_are_one():
    net = Net()
    x = net.op("Relu", net.conv(net.input([1, 4, 5, 5]), 4, 4))
    graph = net.check(net.op("Clip", x, net.const(-1.0), net.const(0.5)))
    assert only(graph, "Conv").attrs["activation"] == ("clamp", 0.0, 0.5)


def test_clamp_within_known_bounds_vanishes():
    net = Net()
    x = net.op("Sigmoid", net.input([1, 4, 6, 6]))
    y = net.op("Relu", net.op("AveragePool", x, kernel_shape=[2, 2]))
    graph = net.check(y)
    assert counts(graph)["Activation"] == 1


def test_relu_after_concat_moves_to_the_convolutions():
    net = Net()
    x = net.op("Relu", net.conv(net.input([1, 4, 6, 6]), 4, 8))
    left = net.conv(x, 8, 8, kernel=3)
    right = net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    y = net.op("Relu", net.op("Concat", left, right, axis=1))
    graph = net.check(net.conv(y, 16, 3))
    assert "Activation" not in counts(graph)


def test_other_element_types_stay():
    """Other element types than float32 are not touched."""
    net = Net()
    graph = net.check(net.op("Relu", net.input([4, 4], np.float64)))
    assert [node.op for node in graph.nodes] == ["Relu"]
