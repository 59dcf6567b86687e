"""Normalisations that exporters spell out in nodes."""

import numpy as np
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


@pytest.mark.parametrize("shape", [(2, 0, -1), (2, 3, 2, 5, 5)])
@pytest.mark.parametrize("scaled", [False, True])
def test_group_norm(shape, scaled):
    """As PyTorch's exporter spells it: groups of channels joined by a Reshape."""
    net = Net()
    x = net.conv(net.input((2, 3, 5, 5)), 3, 6)
    groups = 1 if 0 in shape else 3
    joined = net.op("Reshape", x, net.const(np.array((2, groups, *shape[2:]), np.int64)))
    parameters = [net.normal(groups), net.normal(groups)]
    x = net.op("Reshape", net.op("InstanceNormalization", joined, *parameters), net.const(np.array([2, 6, 5, 5])))
    if scaled:
        x = net.op("Add", net.op("Mul", x, net.normal(6, 1, 1)), net.normal(6, 1, 1))
    graph = net.check(net.conv(x, 6, 4))
    assert counts(graph) == {"Conv": 2, "InstanceNorm": 1, "Transpose": 1}


def test_other_shape_is_no_group_norm():
    """Behind the normalisation comes another shape than before it."""
    net = Net()
    x = net.op("Reshape", net.input((1, 6, 4, 4)), net.const(np.array([1, 12, 8])))
    x = net.op("InstanceNormalization", x, net.normal(12), net.normal(12))
    graph = net.check(net.op("Reshape", x, net.const(np.array([1, 3, 4, 8]))))
    assert only(graph, "InstanceNorm").attrs["groups"] == 12


def test_few_channels_are_normalised_as_rows():
    net = Net()
    graph = net.check(net.op("InstanceNormalization", net.input((2, 3, 9, 7)), net.normal(3), net.normal(3)))
    assert counts(graph)["LayerNorm"] == 1


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
