"""Normalisations that exporters spell out in nodes."""

import pytest
from onnx_builder import Net, counts, only


def normalise(net, x, axes, square="pow", root="div", twice=False, epsilon=1e-5):
    """(x - mean) / sqrt(mean((x - mean) ** 2) + epsilon)"""
    centred = net.op("Sub", x, net.op("ReduceMean", x, axes=axes))
    again = net.op("Sub", x, net.op("ReduceMean", x, axes=axes)) if twice else centred
    squared = net.op("Pow", again, net.const(2.0)) if square == "pow" else net.op("Mul", again, again)
    variance = net.op("Add", net.op("ReduceMean", squared, axes=axes), net.const(epsilon))
    deviation = net.op("Sqrt", variance)
    if root == "div":
        return net.op("Div", centred, deviation)
    return net.op("Mul", net.op("Reciprocal", deviation), centred)


@pytest.mark.parametrize("square", ["pow", "mul"])
@pytest.mark.parametrize("root", ["div", "reciprocal"])
@pytest.mark.parametrize("twice", [False, True])
def test_layer_norm(square, root, twice):
    net = Net()
    x = normalise(net, net.input((2, 7, 16)), [-1], square, root, twice)
    graph = net.check(net.op("Add", net.op("Mul", x, net.normal(16)), net.normal(16)))
    assert counts(graph) == {"LayerNorm": 1}
    assert all(only(graph, "LayerNorm").inputs)


def test_instance_norm():
    net = Net()
    x = normalise(net, net.conv(net.input((2, 3, 5, 5)), 3, 6), [2, 3])
    graph = net.check(net.op("Add", net.op("Mul", x, net.normal(6, 1, 1)), net.normal(6, 1, 1)))
    assert counts(graph) == {"Conv": 1, "InstanceNorm": 1, "Transpose": 1}


def test_norm_over_channels():
    """Over axis 1 of NCHW: the last axis of the channels-last layout."""
    net = Net()
    x = normalise(net, net.conv(net.input((2, 3, 5, 5)), 3, 6), [1])
    graph = net.check(net.conv(net.op("Mul", x, net.normal(6, 1, 1)), 6, 4))
    assert counts(graph) == {"Conv": 2, "LayerNorm": 1, "Transpose": 1}


def test_norm_over_several_axes():
    net = Net()
    graph = net.check(normalise(net, net.input((2, 3, 5, 4)), [1, 3]))
    assert counts(graph)["LayerNorm"] == 1


@pytest.mark.parametrize("change", ["axes", "power", "numerator"])
def test_similar_is_not_recognised(change):
    net = Net()
    x = net.op("Abs", net.input((2, 4, 6)))
    centred = net.op("Sub", x, net.op("ReduceMean", x, axes=[2]))
    squared = net.op("Pow", centred, net.const(4.0 if change == "power" else 2.0))
    variance = net.op("ReduceMean", squared, axes=[1, 2] if change == "axes" else [2])
    root = net.op("Sqrt", net.op("Add", variance, net.const(1e-5)))
    graph = net.check(net.op("Div", x if change == "numerator" else centred, root))
    assert "LayerNorm" not in counts(graph)
