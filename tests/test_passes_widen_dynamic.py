"""Layers that a dynamic quantiser wrote, computed in float32."""

import numpy as np
import pytest
from onnx_builder import Net, counts
from planned_reference import run_graph

from conv_infer.graph import ONNX
from conv_infer.passes import run_passes
from conv_infer.passes.widen_dynamic import widen_dynamic


def layer(net, x, weights, bias_shape, zero=None, op="ConvInteger", cast=True, **attrs):
    """As onnxruntime's quantize_dynamic spells it."""
    levels, scale, zero_point = net.op("DynamicQuantizeLinear", x, outputs=3)
    inputs = [levels, weights, zero_point] + ([net.const(zero)] if zero is not None else [])
    y = net.op(op, *inputs, **attrs)
    if not cast:
        return y
    scale = net.op("Mul", scale, net.const(np.float32(0.003)))
    return net.op("Add", net.op("Mul", net.op("Cast", y, to=1), scale), net.normal(*bias_shape))


def uint8(net, *shape):
    return net.const(net.random.integers(0, 256, shape).astype(np.uint8))


def planned(net, *outputs):
    """Exact but for the order of sums: the levels themselves are onnxruntime's."""
    return counts(net.check(*outputs, tolerance=1e-6))


@pytest.mark.parametrize("zero", [None, np.uint8(131)])
@pytest.mark.parametrize("shift", [0.0, 9.0, -9.0])  # an image on both sides of zero, above it, below it
def test_convolution(zero, shift):
    net = Net()
    x = net.op("Add", net.input((2, 6, 7, 8)), net.const(shift))
    y = layer(net, x, uint8(net, 8, 3, 3, 3), (1, 8, 1, 1), zero, group=2, pads=[1, 1, 1, 1], strides=[2, 1])
    assert planned(net, net.op("Relu", y))["Conv"] == 1


def test_zero_point_per_channel():
    """onnxruntime has none: compared with the layer of each zero point alone."""
    zeros = np.array([120, 131, 140], np.uint8)
    results = []
    for zero in (zeros, *zeros):
        net = Net()
        y = layer(net, net.input((1, 4, 5, 5)), uint8(net, 3, 4, 1, 1), (1, 3, 1, 1), zero)
        results.append(next(iter(run_graph(run_passes(net.specialised(y)), net.feeds).values())))
    for channel, alone in enumerate(results[1:]):
        np.testing.assert_array_equal(results[0][:, channel], alone[:, channel])


@pytest.mark.parametrize("zero", [None, np.uint8(131), np.arange(120, 125, dtype=np.uint8)])
def test_matrix(zero):
    net = Net()
    y = layer(net, net.input((4, 12)), uint8(net, 12, 5), (5,), zero, "MatMulInteger")
    assert planned(net, y)["Conv"] == 1


def test_several_layers_share_levels():
    net = Net()
    levels, scale, zero = net.op("DynamicQuantizeLinear", net.input((1, 4, 6, 6)), outputs=3)
    parts = [
        net.op("Mul", net.op("Cast", net.op("ConvInteger", levels, uint8(net, 3, 4, 1, 1), zero), to=1), scale)
        for _ in range(2)
    ]
    assert planned(net, net.op("Concat", *parts, axis=1))["Conv"] == 2


def test_image_of_zeros():
    net = Net()
    x = net.op("Mul", net.input((1, 4, 6, 6)), net.const(0.0))
    planned(net, layer(net, x, uint8(net, 3, 4, 1, 1), (1, 3, 1, 1)))


@pytest.mark.parametrize("reader", ["output", "other", "no cast", "computed weights"])
def test_what_is_read_otherwise_stays(reader):
    net = Net()
    x = net.input((1, 4, 6, 6))
    levels, scale, zero = net.op("DynamicQuantizeLinear", x, outputs=3)
    weights = net.input((3, 4, 1, 1), np.uint8) if reader == "computed weights" else uint8(net, 3, 4, 1, 1)
    y = net.op("ConvInteger", levels, weights, zero)
    outputs = [y] if reader == "no cast" else [net.op("Mul", net.op("Cast", y, to=1), scale)]
    if reader == "output":
        outputs.append(zero)
    elif reader == "other":
        outputs.append(net.op("Cast", levels, to=1))
    graph = widen_dynamic(net.specialised(*outputs))
    assert ("DynamicQuantizeLinear", ONNX) in [(node.op, node.domain) for node in graph.nodes]
