"""Kernels that reach beyond their image lose the taps that read padding only."""

import pytest
from onnx_builder import Net, only
from quantised_builder import INT8, UINT8, QuantisedNet

from conv_infer.passes.lower import lower
from conv_infer.passes.trim_windows import trim_windows


def dilated(size, kernel, dilation, pads, strides=(1, 1), groups=1):
    net = Net()
    x = net.conv(net.input((2, 6, *size)), 6, 6)
    y = net.conv(x, 6, 12, kernel, groups, pads=list(pads), dilations=list(dilation), strides=list(strides))
    graph = net.check(y)
    conv = next(node for node in graph.nodes if graph.shape(node.outputs[0])[-1] == 12)
    return graph.constants[conv.inputs[1]].shape[1:3], conv.attrs["pads"], graph


@pytest.mark.parametrize(
    ("size", "kernel", "dilation", "pads", "strides", "expected", "rest"),
    [
        ((5, 7), 3, (6, 6), (6, 6, 6, 6), (1, 1), (1, 3), (0, 6, 0, 6)),
        ((5, 7), 3, (9, 9), (9, 9, 9, 9), (1, 1), (1, 1), (0, 0, 0, 0)),
        ((1, 1), 3, (1, 1), (1, 1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
        ((1, 1), 3, (1, 1), (1, 1, 1, 1), (2, 2), (1, 1), (0, 0, 0, 0)),
        ((2, 9), 5, (1, 2), (2, 4, 2, 4), (1, 1), (3, 5), (1, 4, 1, 4)),
        ((4, 4), 3, (4, 4), (0, 4, 8, 4), (1, 1), (1, 1), (0, 0, 0, 0)),
        ((4, 4), 3, (4, 4), (8, 8, 0, 0), (1, 1), (1, 1), (0, 0, 0, 0)),
        ((6, 6), 3, (5, 5), (5, 5, 5, 5), (1, 1), (3, 3), (5, 5, 5, 5)),  # every tap reads a row of the image
    ],
)
def test_taps_in_the_padding_go(size, kernel, dilation, pads, strides, expected, rest):
    kept, padding, _ = dilated(size, kernel, dilation, pads, strides)
    assert (kept, padding) == (expected, rest)


def test_depthwise_and_grouped():
    assert dilated((3, 3), 3, (4, 4), (4, 4, 4, 4), groups=6)[0] == (1, 1)
    assert dilated((3, 3), 3, (4, 4), (4, 4, 4, 4), groups=2)[0] == (1, 1)


def test_image_is_not_cropped():
    """The one tap that reads the image does so two rows from its beginning, or from its end; the other one stays."""
    kept, padding, _ = dilated((6, 6), 2, (3, 3), (1, 1, 0, 0), strides=(9, 9))
    assert (kept, padding) == ((2, 2), (1, 1, 0, 0))
    kept, padding, _ = dilated((3, 3), 2, (3, 3), (0, 0, 1, 1), strides=(2, 2))
    assert (kept, padding) == ((2, 2), (0, 0, 1, 1))


def test_weights_of_the_source_graph_stay():
    net = Net()
    graph = net.specialised(net.conv(net.conv(net.input((1, 4, 2, 2)), 4, 4), 4, 4, 3, dilations=[2, 2], pads=[2] * 4))
    before = graph.constants.copy()
    lowered = lower(graph)
    names = set(lowered.constants)
    trim_windows(lowered)
    assert set(lowered.constants) == names
    assert all(graph.constants[name] is array for name, array in before.items())


def test_quantised():
    """What int8 convolutions read as padding is the zero point, which adds nothing either."""
    net = QuantisedNet()
    scale, zero = net.scale(), net.zero(UINT8, 77)
    w = net.dq(net.integers((8, 4, 3, 3)), net.scale(0.001, 0.002), net.zero(INT8, 0))
    y = net.op("Conv", net.dq(net.levels((1, 4, 5, 6), UINT8), scale, zero), w, dilations=[5, 2], pads=[5, 2, 5, 2])
    graph = net.check_levels(net.q(y, net.scale(), net.zero(UINT8, 120)))
    conv = only(graph, "QConv")
    assert graph.constants[conv.inputs[1]].shape[1:3] == (1, 3)
