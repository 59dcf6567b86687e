"""Channel shuffles and splits in the spellings of many exporters, and where they go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_builder import Net, counts, only

from conv_infer.passes.recognise_shuffle import recognise_shuffle
from conv_infer.passes.remove_dead import remove_dead


def shuffle(net, x, shape, groups, spelling="5d"):
    n, c, h, w = shape
    if spelling == "5d":
        y = net.op("Reshape", x, net.const([n, groups, c // groups, h, w], np.int64))
        y = net.op("Transpose", y, perm=[0, 2, 1, 3, 4])
        return net.op("Reshape", y, net.const([n, -1, h, w], np.int64))
    if spelling == "4d":  # pixels in one axis
        y = net.op("Reshape", x, net.const([n, groups, c // groups, h * w], np.int64))
        y = net.op("Transpose", y, perm=[0, 2, 1, 3])
        return net.op("Reshape", y, net.const([n, c, h, w], np.int64))
    if spelling == "3d":  # batch and groups in one axis: right for a batch of one
        assert n == 1
        y = net.op("Reshape", x, net.const([groups, c // groups, h * w], np.int64))
        y = net.op("Transpose", y, perm=[1, 0, 2])
        return net.op("Reshape", y, net.const([1, c, h, w], np.int64))
    if spelling == "shape":  # sizes taken from the tensor
        size = net.op("Shape", x)
        pieces = [net.op("Slice", size, net.const([i], np.int64), net.const([i + 1], np.int64)) for i in range(4)]
        each = net.op("Div", pieces[1], net.const([groups], np.int64))
        five = net.op("Concat", pieces[0], net.const([groups], np.int64), each, *pieces[2:], axis=0)
        y = net.op("Transpose", net.op("Reshape", x, five), perm=[0, 2, 1, 3, 4])
        return net.op("Reshape", y, size)
    assert spelling == "nhwc"  # as exported from channels-last frameworks
    y = net.op("Transpose", x, perm=[0, 2, 3, 1])
    y = net.op("Reshape", y, net.const([n, h, w, groups, c // groups], np.int64))
    y = net.op("Transpose", y, perm=[0, 1, 2, 4, 3])
    y = net.op("Reshape", y, net.const([n, h, w, c], np.int64))
    return net.op("Transpose", y, perm=[0, 3, 1, 2])


def halves(net, x, shape, spelling):
    """Both halves of a tensor's channels, or (gather) of a shuffle by two."""
    n, c, h, w = shape
    if spelling == "split":
        return net.op("Split", x, net.const([c // 2, c // 2], np.int64), axis=1, outputs=2)
    if spelling == "slice":
        one = net.const([1], np.int64)
        bounds = [net.const([value], np.int64) for value in (0, c // 2, 2**62)]
        return [net.op("Slice", x, bounds[i], bounds[i + 1], one) for i in range(2)]
    if spelling == "gather":
        y = net.op("Reshape", x, net.const([n * c // 2, 2, h * w], np.int64))
        y = net.op("Transpose", y, perm=[1, 0, 2])
        y = net.op("Reshape", y, net.const([2, -1, c // 2, h, w], np.int64))
        return [net.op("Gather", y, net.const(i, np.int64), axis=0) for i in range(2)]
    assert spelling == "chunks"  # channels as two axes, one of them cut
    y = net.op("Reshape", x, net.const([n, 2, c // 2, h, w], np.int64))
    axes = net.const([1], np.int64)
    return [
        net.op("Squeeze", net.op("Slice", y, net.const([i], np.int64), net.const([i + 1], np.int64), axes), axes)
        for i in range(2)
    ]


@pytest.mark.parametrize("spelling", ["5d", "4d", "3d", "shape", "nhwc"])
@pytest.mark.parametrize("batch", [1, 2])
def test_recognised_as_one_gather(spelling, batch):
    if spelling == "3d" and batch > 1:
        pytest.skip("the spelling mixes images")
    net = Net()
    shape = (batch, 12, 4, 5)
    y = shuffle(net, net.input(shape), shape, 3, spelling)
    graph = remove_dead(recognise_shuffle(net.specialised(y)))
    gather = only(graph, "Gather")
    assert gather.attrs["axis"] == 1
    expected = np.arange(12).reshape(3, 4).T.reshape(-1)
    np.testing.assert_array_equal(graph.constants[gather.inputs[1]], expected)
    assert len(graph.nodes) == 1
    net.check(y)


@pytest.mark.parametrize("split", ["split", "slice", "chunks"])
def test_split_behind_shuffle_is_one_gather_each(split):
    net = Net()
    shape = (1, 8, 3, 3)
    parts = halves(net, shuffle(net, net.input(shape), shape, 2), shape, split)
    graph = remove_dead(recognise_shuffle(net.specialised(*parts)))
    assert [node.op for node in graph.nodes] == ["Gather"] * 2 or split == "split"
    net.check(*parts)


def test_reshapes_that_cancel_vanish():
    net = Net()
    shape = (1, 8, 3, 3)
    x = shuffle(net, shuffle(net, net.conv(net.input(shape), 8, 8), shape, 2), shape, 4)
    graph = net.check(net.conv(x, 8, 8))
    assert "ChannelGather" not in counts(graph)
    assert all(node.attrs.get("input_channels") is None for node in graph.nodes)


def test_space_to_depth_is_not_a_shuffle():
    net = Net()
    y = net.op("Reshape", net.input((1, 4, 6, 6)), net.const([1, 4, 3, 2, 3, 2], np.int64))
    y = net.op("Transpose", y, perm=[0, 3, 5, 1, 2, 4])
    y = net.op("Reshape", y, net.const([1, 16, 3, 3], np.int64))
    graph = recognise_shuffle(net.specialised(y))
    assert [node.op for node in graph.nodes] == ["Reshape", "Transpose", "Reshape"]
    net.check(y)


@pytest.mark.parametrize("spelling", ["5d", "4d", "3d", "nhwc"])
@pytest.mark.parametrize("groups", [2, 3, 4])
def test_shufflenet_unit(spelling, groups):
    """Grouped 1x1, shuffle, depthwise, grouped 1x1, as in Zhang et al. (2018): the shuffle is gone."""
    channels = 8 * groups + groups
    shape = (1, channels, 6, 6)
    net = Net()
    x = net.op("Relu", net.conv(net.input(shape), channels, channels))
    y = net.op("Relu", net.batch_norm(net.conv(x, channels, channels, groups=groups, bias=False), channels))
    y = shuffle(net, y, shape, groups, spelling)
    y = net.batch_norm(net.conv(y, channels, channels, kernel=3, groups=channels, bias=False), channels)
    y = net.batch_norm(net.conv(y, channels, channels, groups=groups, bias=False), channels)
    graph = net.check(net.op("Relu", net.op("Add", x, y)))
    assert set(counts(graph)) == {"Conv", "Transpose"}
    assert counts(graph)["Conv"] == 4
    last = graph.nodes[-2]
    ascending = last.attrs["input_channels"].reshape(groups, -1)
    assert (np.diff(ascending, axis=1) > 0).all()


@pytest.mark.parametrize("split", ["split", "slice", "gather", "chunks"])
def test_second_version_units(split):
    """Units of ShuffleNet v2 (Ma et al., 2018): only ascending selections of the identity half are left."""
    shape = (1, 12, 5, 5)
    net = Net()
    x = net.conv(net.input(shape), 12, 12)
    for _ in range(3):
        left, right = halves(net, x, shape, split)
        right = net.op("Relu", net.conv(right, 6, 6))
        right = net.conv(right, 6, 6, kernel=3, groups=6)
        right = net.op("Relu", net.conv(right, 6, 6))
        x = net.op("Concat", left, right, axis=1)
        if split != "gather":
            x = shuffle(net, x, shape, 2)
    graph = net.check(net.conv(x, 12, 4))
    found = counts(graph)
    assert set(found) <= {"Conv", "Concat", "ChannelGather", "Slice", "Transpose"}
    assert found["ChannelGather"] <= 3
    for node in graph.nodes:
        if node.op == "ChannelGather":
            assert (np.diff(node.attrs["channels"]) > 0).all()


def test_permutation_of_a_sole_reader_goes_into_the_dense_convolution():
    net = Net()
    shape = (1, 8, 4, 4)
    x = net.op("Relu", net.batch_norm(net.conv(net.input(shape), 8, 8, bias=False), 8))
    graph = net.check(shuffle(net, x, shape, 2))
    assert set(counts(graph)) == {"Conv", "Transpose"}


def test_everything_that_hands_a_permutation_on():
    net = Net()
    shape = (2, 8, 6, 6)
    x = shuffle(net, net.conv(net.input(shape), 8, 8, groups=2), shape, 4)
    x = net.op("MaxPool", x, kernel_shape=[2, 2])
    x = net.op("Mul", x, net.normal(8, 1, 1))
    x = net.op("AveragePool", net.op("Tanh", x), kernel_shape=[2, 2])
    x = net.op("InstanceNormalization", x, net.normal(8), net.normal(8))
    x = net.op("Resize", x, "", net.const([1, 1, 2.0, 2.0]), mode="nearest")
    x = net.op("PRelu", x, net.normal(8, 1, 1))
    x = net.op("Pad", x, net.const([0, 0, 1, 0, 0, 0, 0, 1], np.int64), net.const(0.5))
    x = net.conv(x, 8, 16, kernel=3, groups=8)
    x = net.op("Add", x, net.op("Sigmoid", x))
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    graph = net.check(net.op("Gemm", x, net.normal(5, 16), net.normal(5), transB=1))
    assert "ChannelGather" not in counts(graph)


def test_sums_of_differently_shuffled_tensors():
    net = Net()
    shape = (1, 12, 4, 4)
    x = net.conv(net.input(shape), 12, 12, groups=2)
    outputs = [
        net.op("Add", shuffle(net, x, shape, 2), shuffle(net, x, shape, 2)),
        net.op("Add", shuffle(net, x, shape, 2), shuffle(net, x, shape, 3)),
        net.op("Add", shuffle(net, x, shape, 2), x),
        net.op("Mul", shuffle(net, x, shape, 4), net.op("GlobalMaxPool", shuffle(net, x, shape, 4))),
    ]
    net.check(*outputs)


def test_transposed_convolution_and_wide_kernels():
    net = Net()
    shape = (1, 12, 5, 5)
    x = shuffle(net, net.conv(net.input(shape), 12, 12, groups=2), shape, 4)
    outputs = [
        net.op("ConvTranspose", x, net.normal(12, 3, 3, 3), strides=[2, 2]),
        net.op("ConvTranspose", x, net.normal(12, 3, 2, 2), group=3),
        net.conv(x, 12, 5, kernel=3),
        net.conv(x, 12, 6, kernel=3, groups=3),
        net.conv(halves(net, x, shape, "slice")[1], 6, 4, kernel=3),
        net.conv(halves(net, x, shape, "slice")[0], 6, 6, kernel=3, groups=6),
    ]
    net.check(*outputs)


# Random networks ----------------------------------------------------------------------------------------------------

CHOICES = [
    "conv",
    "grouped",
    "depthwise",
    "shuffle",
    "split",
    "concat",
    "add",
    "relu",
    "norm",
    "pool",
    "scale",
    "slice",
]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_networks(data):
    net = Net(seed=data.draw(st.integers(0, 1000)))
    size = 4
    tensors = [(net.input((1, 12, size, size)), 12)]

    def pick():
        return tensors[data.draw(st.integers(max(0, len(tensors) - 3), len(tensors) - 1))]

    for _ in range(data.draw(st.integers(2, 12))):
        x, channels = pick()
        shape = (1, channels, size, size)
        choice = data.draw(st.sampled_from(CHOICES))
        divisors = [g for g in (2, 3, 4) if channels % g == 0]
        if choice == "conv":
            outputs = data.draw(st.sampled_from([4, 6, 12]))
            tensors.append((net.conv(x, channels, outputs, kernel=data.draw(st.sampled_from([1, 3]))), outputs))
        elif choice == "grouped" and divisors:
            groups = data.draw(st.sampled_from(divisors))
            tensors.append((net.conv(x, channels, 2 * groups, groups=groups, bias=False), 2 * groups))
        elif choice == "depthwise":
            factor = data.draw(st.sampled_from([1, 2]))
            tensors.append((net.conv(x, channels, channels * factor, kernel=3, groups=channels), channels * factor))
        elif choice == "shuffle" and divisors:
            spelling = data.draw(st.sampled_from(["5d", "4d", "3d", "nhwc"]))
            tensors.append((shuffle(net, x, shape, data.draw(st.sampled_from(divisors)), spelling), channels))
        elif choice == "split" and channels % 2 == 0 and channels > 2:
            spelling = data.draw(st.sampled_from(["split", "slice", "gather", "chunks"]))
            tensors.extend((part, channels // 2) for part in halves(net, x, shape, spelling))
        elif choice == "concat":
            other, more = pick()
            tensors.append((net.op("Concat", x, other, axis=1), channels + more))
        elif choice == "add":
            other, more = pick()
            if more == channels:
                tensors.append((net.op(data.draw(st.sampled_from(["Add", "Mul", "Sub"])), x, other), channels))
        elif choice == "relu":
            tensors.append((net.op("Relu", x), channels))
        elif choice == "norm":
            tensors.append((net.batch_norm(x, channels), channels))
        elif choice == "pool":
            op = data.draw(st.sampled_from(["MaxPool", "AveragePool"]))
            tensors.append((net.op(op, x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), channels))
        elif choice == "scale":
            op = data.draw(st.sampled_from(["Add", "Mul", "Sub"]))
            tensors.append((net.op(op, net.normal(channels, 1, 1), x), channels))
        elif choice == "slice" and channels > 4:
            step = data.draw(st.sampled_from([1, 2]))
            bounds = [net.const([value], np.int64) for value in (1, channels - 1, 1, step)]
            tensors.append((net.op("Slice", x, *bounds), len(range(1, channels - 1, step))))
    outputs = {tensors[-1][0], pick()[0]} - set(net.feeds)
    if outputs:
        net.check(*sorted(outputs), tolerance=1e-4)


# Order of the channels that convolutions write ----------------------------------------------------------------------


def selections(graph):
    """The selections of channels, as lists of indices."""
    found = []
    for node in graph.nodes:
        if node.op == "ChannelGather":
            found.append(node.attrs["channels"])
        elif node.op == "Slice":
            start, step, size = node.attrs["starts"][-1], node.attrs["steps"][-1], graph.shape(node.outputs[0])[-1]
            found.append(start + step * np.arange(size))
    return found


def test_alternate_channels_become_runs():
    """Units that take every second channel: the convolutions before write what is taken side by side."""
    shape = (1, 16, 5, 5)
    net = Net()
    x = net.input(shape)
    x = net.op("Concat", net.op("Relu", net.conv(x, 16, 8)), net.op("Relu", net.conv(x, 16, 8)), axis=1)
    for _ in range(3):
        left, right = halves(net, x, shape, "gather")
        right = net.conv(net.conv(net.op("Relu", net.conv(right, 8, 8)), 8, 8, kernel=3, groups=8), 8, 8)
        x = net.op("Concat", left, net.op("Relu", right), axis=1)
    graph = net.check(net.conv(x, 16, 4))
    runs = [1 + int((np.diff(channels) != 1).sum()) for channels in selections(graph)]
    assert runs == [2, 3, 4]


def test_a_reader_that_minds_the_order_keeps_it():
    shape = (1, 8, 4, 4)
    net = Net()
    x = net.op("Relu", net.conv(net.input(shape), 8, 8))
    left, right = halves(net, x, shape, "gather")
    rows = net.op("MatMul", x, net.normal(4, 4))
    graph = net.check(net.conv(left, 4, 4), net.conv(right, 4, 4), rows)
    assert "ChannelGather" not in counts(graph)
