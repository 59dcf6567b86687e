"""Transposed convolutions as convolutions of phases: every geometry, on the planned graph and end to end."""

import numpy as np
import pytest
from agreement import assert_agrees
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_builder import Net, counts, expected

import conv_infer


@st.composite
def geometries(draw):
    """Shapes and attributes of a ConvTranspose; an axis at a time, so that the output is never empty."""
    groups = draw(st.sampled_from([1, 1, 2, 3, 6]))
    channels, columns = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 5))
    axes = []
    for _ in range(2):
        size, kernel = draw(st.integers(1, 6)), draw(st.integers(1, 5))
        stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        surplus = draw(st.integers(0, stride - 1))  # what onnxruntime takes
        full = (size - 1) * stride + (kernel - 1) * dilation + 1 + surplus
        begin = draw(st.integers(0, min(7, full - 1)))
        end = draw(st.integers(0, min(7, full - 1 - begin)))
        axes.append((size, kernel, stride, dilation, surplus, begin, end))
    size, kernel, strides, dilations, surplus, begin, end = (list(values) for values in zip(*axes, strict=True))
    attrs = {
        "strides": strides,
        "dilations": dilations,
        "output_padding": surplus,
        "pads": begin + end,
        "group": groups,
    }
    weights = (channels, columns // groups, *kernel)
    return (draw(st.integers(1, 2)), channels, *size), weights, attrs, draw(st.booleans())


def network(shape, weights, attrs, has_bias) -> tuple[Net, str]:
    net = Net()
    operands = [net.input(shape), net.normal(*weights)]
    if has_bias:
        operands.append(net.normal(weights[1] * attrs.get("group", 1)))
    return net, net.op("Relu", net.op("ConvTranspose", *operands, **attrs))


def run_and_check(net: Net, output: str) -> None:
    net.check(output)
    model = net.model(output)
    assert_agrees(conv_infer.run(model, net.feeds, threads=1, strict=True), expected(model, net.feeds), 1e-5)


@settings(max_examples=150, deadline=None)
@given(geometries())
def test_any_geometry(geometry):
    run_and_check(*network(*geometry))


@pytest.mark.parametrize("attrs", [{"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"output_shape": [13, 11]}])
def test_sizes_that_are_asked_for(attrs):
    run_and_check(*network((1, 4, 6, 5), (4, 3, 3, 3), {"strides": [2, 2], **attrs}, True))


def test_signals():
    run_and_check(*network((2, 4, 7), (4, 5, 4), {"strides": [2], "pads": [1, 1]}, True))


def test_stride_one_is_one_convolution():
    net, output = network((1, 4, 6, 5), (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}, True)
    assert counts(net.check(output)) == {"Conv": 1, "Transpose": 2}


def test_a_kernel_as_wide_as_the_stride_takes_one_multiplication_per_weight():
    net, output = network((1, 4, 6, 5), (4, 8, 2, 2), {"strides": [2, 2]}, True)
    graph = net.check(output)
    conv = next(node for node in graph.nodes if node.op == "Conv")
    assert graph.shape(conv.inputs[1]) == (32, 1, 1, 4)
    assert np.prod(graph.shape(conv.inputs[1])) == 4 * 8 * 2 * 2


@pytest.mark.filterwarnings("ignore:.*no native implementation")
def test_a_stride_and_a_wide_dilation_do_not_make_a_kernel_of_zeros():
    """Their gaps would be weights: 16 MB here, and as many products for each element."""
    net, output = network((1, 2, 4, 4), (2, 4, 3, 3), {"strides": [2, 2], "dilations": [1, 65536]}, False)
    model = net.model(output)
    with pytest.raises(conv_infer.UnsupportedError, match="ConvTranspose"):
        conv_infer.load(model, strict=True)
    assert conv_infer.load(model, threads=1).memory.weights < 1 << 16


@pytest.mark.filterwarnings("ignore:.*no native implementation")
def test_a_stride_and_a_wide_dilation():
    net, output = network((1, 2, 4, 4), (2, 4, 3, 3), {"strides": [2, 2], "dilations": [1, 500]}, True)
    model = net.model(output)
    assert_agrees(conv_infer.run(model, net.feeds), expected(model, net.feeds), 1e-5)
