"""Layouts: where transposes remain, and that operators work on the axes they find."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx_builder import Net, counts, only
from planned_reference import run_graph

from conv_infer.operators.lower_shape import reshaped_order
from conv_infer.passes import run_passes


def image(net, channels=6, height=5, width=4, batch=1):
    return net.conv(net.input((batch, 3, height, width)), 3, channels)


def test_image_input_is_read_as_given():
    net = Net()
    graph = net.check(net.conv(net.input((1, 3, 8, 8)), 3, 4, kernel=3))
    assert graph.nodes[0].attrs["input_layout"] == "NCHW"
    assert counts(graph) == {"Conv": 1, "Transpose": 1}


def test_one_channel_needs_no_transpose():
    net = Net()
    graph = net.check(net.conv(net.conv(net.input((2, 1, 8, 8)), 1, 4, kernel=3), 4, 1))
    assert "Transpose" not in counts(graph)


def test_second_kind_of_reader_transposes_once():
    net = Net()
    x = net.input((1, 3, 8, 8))
    graph = net.check(net.conv(x, 3, 3), net.op("MaxPool", x, kernel_shape=[2, 2]), net.conv(x, 3, 3, kernel=3))
    assert counts(graph)["Transpose"] == 4  # of the input once, of each output


def test_detector_heads_need_no_transpose():
    net = Net()
    x = image(net, channels=6)
    heads = [
        net.op("Reshape", net.op("Transpose", x, perm=[0, 2, 3, 1]), net.const([1, -1, 2], np.int64)),
        net.op("Transpose", net.op("Reshape", x, net.const([1, 6, -1], np.int64)), perm=[0, 2, 1]),
        net.op("Softmax", net.op("Transpose", net.op("Flatten", x, axis=2), perm=[1, 0]), axis=1),
    ]
    graph = net.check(*heads[:2])
    assert "Transpose" not in counts(graph)
    net.check(*heads)


def test_anchors_behind_a_split_of_channels():
    """A YOLO head: N, A*5, H, W -> N, A, 5, H, W -> N, A, H, W, 5 takes one transpose."""
    net = Net()
    x = net.op("Reshape", image(net, channels=15), net.const([1, 3, 5, 5, 4], np.int64))
    x = net.op("Sigmoid", net.op("Transpose", x, perm=[0, 1, 3, 4, 2]))
    graph = net.check(net.op("Reshape", x, net.const([1, -1, 5], np.int64)))
    assert counts(graph)["Transpose"] == 1


@pytest.mark.parametrize(
    ("before", "after", "order", "expected"),
    [
        ((1, 6, 5, 4), (1, 6, 20), (0, 2, 3, 1), (0, 2, 1)),
        ((2, 6, 5, 4), (2, 3, 2, 5, 4), (0, 2, 3, 1), (0, 3, 4, 1, 2)),
        ((2, 6, 1, 1), (2, 6), (0, 2, 3, 1), (0, 1)),
        ((2, 6, 5, 4), (2, 120), (0, 2, 3, 1), None),
        ((2, 6, 5, 4), (12, 5, 4), (0, 2, 3, 1), None),
        ((2, 6, 5, 4), (2, 6, 4, 5), (0, 2, 3, 1), (0, 2, 3, 1)),
        ((2, 6, 5, 4), (2, 6, 5, 4, 1), (0, 2, 3, 1), (0, 2, 3, 4, 1)),
        ((1, 1, 1, 1), (1,), (0, 2, 3, 1), (0,)),
    ],
)
def test_reshaped_order(before, after, order, expected):
    result = reshaped_order(before, after, order)
    assert result is None if expected is None else result is not None
    if result is not None:
        array = np.arange(np.prod(before)).reshape(before)
        physical = array.transpose(order).reshape([after[axis] for axis in result])
        np.testing.assert_array_equal(physical.transpose(np.argsort(result)), array.reshape(after))


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [1], [-1], [0, 1, 2, 3], [1, 3]])
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp", "ReduceProd"])
def test_reductions(op, axes, keepdims):
    net = Net(opset=13)
    counts(net.check(net.op(op, net.op("Tanh", image(net)), axes=axes, keepdims=keepdims)))


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax(op, axis, opset):
    net = Net(opset=opset)
    counts(net.check(net.op(op, image(net), axis=axis)))


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_concat_split_gather_on_every_axis(axis):
    net = Net()
    x = image(net, channels=4, height=4, width=4, batch=4)
    pieces = net.op("Split", x, net.const([1, 3], np.int64), axis=axis, outputs=2)
    outputs = [
        net.op("Concat", pieces[1], net.op("Relu", pieces[0]), axis=axis),
        net.op("Gather", x, net.const([3, 0, 0, 2], np.int64), axis=axis),
        net.op("Gather", x, net.const([-1, -3], np.int64), axis=axis),
        net.op("Gather", x, net.const(2, np.int64), axis=axis),
        net.op("Gather", x, net.const([[0, 2], [3, 1]], np.int64), axis=axis),
    ]
    counts(net.check(*outputs))


def test_slices_with_steps():
    net = Net()
    x = image(net)
    focus = []
    for y, z in ((0, 0), (1, 0), (0, 1), (1, 1)):
        bounds = [net.const([y, z], np.int64), net.const([2**62] * 2, np.int64)]
        focus.append(net.op("Slice", x, *bounds, net.const([2, 3], np.int64), net.const([2, 2], np.int64)))
    start, stop, axes, step = (net.const([v], np.int64) for v in (-1, -(2**62), 2, -1))
    net.check(net.op("Slice", x, start, stop, axes, step), *focus)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((2, 6, 5, 4), (4,)),
        ((2, 6, 5, 4), (6, 1, 1)),
        ((2, 6, 5, 4), (5, 1)),
        ((2, 6, 5, 4), (2, 1, 1, 1)),
        ((6, 1, 1), (2, 6, 5, 4)),
    ],
)
@pytest.mark.parametrize("constant", [True, False])
def test_broadcasting(first, second, constant):
    net = Net()
    whole = (2, 6, 5, 4)
    small = second if first == whole else first
    other = net.normal(*small) if constant else net.op("Tanh", net.input(small))
    x, y = (image(net, batch=2) if shape == whole else other for shape in (first, second))
    counts(net.check(*[net.op(op, x, y) for op in ("Add", "Sub", "Mul", "Div")]))


def test_several_operands():
    net = Net(opset=13)
    x, y, z = image(net), image(net), net.input((6, 1, 4))
    outputs = [net.op(op, x, y, z) for op in ("Sum", "Mean", "Max", "Min")]
    counts(net.check(*outputs))


def test_signals_become_images_of_one_row():
    net = Net()
    x = net.op("Conv", net.input((2, 3, 16)), net.normal(6, 3, 5), net.normal(6), pads=[2, 2], strides=[2])
    x = net.op("Relu", net.batch_norm(x, 6))
    x = net.op("MaxPool", x, kernel_shape=[3], pads=[1, 1])
    x = net.op("ConvTranspose", x, net.normal(6, 4, 2), strides=[2])
    x = net.op("AveragePool", net.op("InstanceNormalization", x, net.normal(4), net.normal(4)), kernel_shape=[2])
    graph = net.check(net.op("GlobalAveragePool", x), x)
    assert counts(graph)["Conv"] == 2


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_and_space(mode):
    net = Net()
    x = image(net, channels=12, height=4, width=6)
    up = net.op("DepthToSpace", x, blocksize=2, mode=mode)
    counts(net.check(up, net.op("SpaceToDepth", x, blocksize=2)))


@pytest.mark.parametrize("op", ["Resize", "Upsample"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize(op, mode):
    net = Net(opset=9 if op == "Upsample" else 13)
    x = image(net)
    scales = net.const([1.0, 1.0, 2.0, 3.0])
    y = net.op(op, x, scales, mode=mode) if op == "Upsample" else net.op(op, x, "", scales, mode=mode)
    assert counts(net.check(y))["Resize"] == 1


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("sizes", [[1, 6, 9, 7], [1, 6, 3, 2], [1, 6, 1, 1]])
def test_resize_to_sizes(mode, coordinates, sizes):
    net = Net(opset=13)
    attrs = {"mode": mode, "coordinate_transformation_mode": coordinates}
    y = net.op("Resize", image(net), "", "", net.const(sizes, np.int64), **attrs)
    assert counts(net.check(y))["Resize"] == 1


@pytest.mark.parametrize(
    ("op", "inputs", "attrs"),
    [
        ("LRN", [], {"size": 3, "alpha": 0.5}),
        ("InstanceNormalization", [(6,), (6,)], {}),
        ("LayerNormalization", [(4,), (4,)], {}),
        ("LayerNormalization", [(6, 5, 4)], {"axis": 1}),
        ("PRelu", [(6, 1, 1)], {}),
        ("PRelu", [(4,)], {}),
    ],
)
def test_normalisations(op, inputs, attrs):
    net = Net()
    x = net.op("MaxPool", image(net), kernel_shape=[1, 1])
    counts(net.check(net.op(op, x, *(net.normal(*shape) for shape in inputs), **attrs)))


def test_layer_norm_of_channels_last_needs_no_transpose():
    """As in ConvNeXt (Liu et al., 2022)."""
    net = Net()
    x = net.op("Transpose", image(net), perm=[0, 2, 3, 1])
    x = net.op("LayerNormalization", x, net.normal(6), net.normal(6))
    graph = net.check(net.conv(net.op("Transpose", x, perm=[0, 3, 1, 2]), 6, 4))
    assert counts(graph) == {"Conv": 2, "LayerNorm": 1, "Transpose": 1}


@pytest.mark.parametrize("version", [18, 21])
def test_group_normalisation(version):
    net = Net(opset=version)
    size = 3 if version == 18 else 6
    counts(net.check(net.op("GroupNormalization", image(net), net.normal(size), net.normal(size), num_groups=3)))


def test_other_copies():
    net = Net()
    x = image(net)
    outputs = [
        net.op("Expand", net.op("GlobalMaxPool", x), net.const([1, 6, 5, 4], np.int64)),
        net.op("Expand", x, net.const([2, 1, 6, 5, 4], np.int64)),
        net.op("Tile", x, net.const([1, 2, 3, 1], np.int64)),
        net.op("Cast", x, to=7),
        net.op("Flatten", x),
        net.op("Unsqueeze", x, net.const([1], np.int64)),
        net.op("Squeeze", net.op("GlobalMaxPool", x), net.const([2, 3], np.int64)),
        net.op("Identity", x),
        net.op("Dropout", x),
        net.op("Reshape", x, net.const([0, 0, -1], np.int64)),
    ]
    counts(net.check(*outputs))


def test_what_stays_runs_on_the_onnx_layout():
    net = Net()
    x = image(net)
    y = net.op("Where", net.op("Greater", x, net.const(0.0)), x, net.op("Neg", x))
    graph = net.check(net.conv(y, 6, 4))
    assert [node.op for node in graph.nodes if not node.domain] == ["Greater", "Where"]


def test_computed_weights_stay():
    net = Net()
    weights = net.op("Tanh", net.input((4, 6, 1, 1)))
    graph = net.check(net.op("Conv", image(net), weights))
    assert only(graph, "Activation").attrs["kind"] == "tanh"
    assert [node.op for node in graph.nodes if not node.domain] == ["Conv"]


def test_inputs_and_constants_as_outputs():
    net = Net()
    x = net.input((1, 3, 4, 4))
    same = net.op("Identity", x)
    turned = net.op("Transpose", net.op("Transpose", x, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])
    graph = net.check(same, turned, net.op("Relu", x), net.op("Relu", x))
    assert "Transpose" not in counts(graph)


@pytest.mark.parametrize("feeds_half", [True, False])
def test_float16_is_widened(feeds_half):
    net = Net()
    x = net.input((1, 3, 6, 6), np.float16 if feeds_half else np.float32)
    x = x if feeds_half else net.op("Cast", x, to=10)
    weights = net.const(net.random.standard_normal((4, 3, 3, 3)) / 5, np.float16)
    y = net.op("Relu", net.op("Conv", x, weights))
    graph = net.check(y, net.op("Cast", y, to=1), tolerance=2e-3)
    assert graph.types[graph.outputs[0]].dtype == np.float16
    assert only(graph, "Conv").attrs["activation"][0] == "clamp"


def test_dynamic_shapes_stay():
    """What depends on data is left to the reference; the rest is planned."""
    net = Net()
    x = image(net)
    found = net.op("NonZero", net.op("Relu", x))
    graph = net.check(net.op("Transpose", found, perm=[1, 0]), net.op("Relu", x))
    assert [node.op for node in graph.nodes if not node.domain] == ["NonZero", "Transpose"]


@pytest.mark.parametrize(("op", "axis"), [("Add", 1), ("Mul", 0), ("Sub", 2), ("PRelu", None)])
@pytest.mark.parametrize("constant", [True, False])
def test_broadcasting_of_operator_set_6(op, axis, constant):
    """onnxruntime does not run it any more: the expectation is NumPy's."""
    net = Net(opset=6)
    x = net.input((2, 6, 5, 4))
    shape = {1: (6, 5), 0: (2,), 2: (5,), None: (6,)}[axis]
    other = net.normal(*shape) if constant else net.input(shape)
    y = net.op(op, x, other) if axis is None else net.op(op, x, other, axis=axis, broadcast=1)
    graph = run_passes(net.specialised(net.op("MaxPool", y, kernel_shape=[1, 1])))
    counts(graph)
    array, second = net.feeds[x], graph_constant(net, other) if constant else net.feeds[other]
    start = 1 if axis is None else axis
    second = second.reshape((1,) * start + shape + (1,) * (4 - start - len(shape)))
    expected = {
        "Add": lambda: array + second,
        "Mul": lambda: array * second,
        "Sub": lambda: array - second,
        "PRelu": lambda: np.where(array >= 0, array, array * second),
    }[op]()
    result = run_graph(graph, net.feeds)
    np.testing.assert_allclose(next(iter(result.values())), expected, rtol=1e-6, atol=1e-6)


def graph_constant(net, name):
    return numpy_helper.to_array(next(tensor for tensor in net.initializers if tensor.name == name))


def test_powers():
    net = Net()
    x = net.op("Abs", image(net))
    exponents = [net.const(value) for value in (1.0, 2.0, 0.5, 3.0)] + [
        net.const(2, np.int64),
        net.const([3], np.int32),
    ]
    graph = net.check(*[net.op("Pow", x, exponent) for exponent in exponents])
    assert (
        sorted(node.attrs.get("kind", "") for node in graph.nodes if node.op == "Binary") == ["mul"] * 2 + ["pow"] * 2
    )


# Random graphs ------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_random_graphs(data):
    """Operators of all kinds on tensors of any layout."""
    net = Net(opset=13, seed=data.draw(st.integers(0, 1000)))
    draw = data.draw
    tensors = [(image(net, 6, 4, 2), (1, 6, 4, 2)), (net.input((1, 6, 4, 2)), (1, 6, 4, 2))]
    for _ in range(draw(st.integers(1, 8))):
        x, shape = tensors[draw(st.integers(max(0, len(tensors) - 3), len(tensors) - 1))]
        rank = len(shape)
        axis = draw(st.integers(0, rank - 1))
        choice = draw(
            st.sampled_from(
                ["transpose", "reshape", "concat", "slice", "reduce", "softmax", "binary", "scale", "conv", "unary"]
                + ["squeeze", "gather", "pad", "flatten", "split", "expand", "pool"]
            )
        )
        if choice == "transpose":
            perm = draw(st.permutations(range(rank)))
            tensors.append((net.op("Transpose", x, perm=perm), tuple(shape[axis] for axis in perm)))
        elif choice == "reshape":
            total = int(np.prod(shape))
            first = draw(st.sampled_from([size for size in (1, 2, 3, 4, 6, 8) if total % size == 0]))
            second = draw(st.sampled_from([size for size in (1, 2, 4) if total // first % size == 0]))
            after = draw(st.permutations([first, second, total // first // second]))
            after = draw(
                st.sampled_from([after, [*after, 1], [1, *after], [*shape[:1], *after] if shape[0] == 1 else after])
            )
            tensors.append((net.op("Reshape", x, net.const(after, np.int64)), tuple(after)))
        elif choice == "flatten":
            after = (int(np.prod(shape[:axis])), int(np.prod(shape[axis:])))
            tensors.append((net.op("Flatten", x, axis=axis), after))
        elif choice == "concat":
            for other, more in tensors[::-1]:
                if len(more) == rank and all(
                    a == b for i, (a, b) in enumerate(zip(shape, more, strict=True)) if i != axis
                ):
                    after = (*shape[:axis], shape[axis] + more[axis], *shape[axis + 1 :])
                    tensors.append((net.op("Concat", x, other, axis=axis), after))
                    break
        elif choice in ("slice", "gather") and shape[axis] > 1:
            after = (*shape[:axis], shape[axis] - 1, *shape[axis + 1 :])
            if choice == "slice":
                start = draw(st.sampled_from([0, 1]))
                bounds = [net.const([value], np.int64) for value in (start, start + shape[axis] - 1, axis)]
                tensors.append((net.op("Slice", x, *bounds), after))
            else:
                picks = draw(st.permutations(range(shape[axis])))[1:]
                tensors.append((net.op("Gather", x, net.const(picks, np.int64), axis=axis), after))
        elif choice == "split" and shape[axis] % 2 == 0:
            after = (*shape[:axis], shape[axis] // 2, *shape[axis + 1 :])
            tensors.extend((part, after) for part in net.op("Split", x, axis=axis, outputs=2))
        elif choice == "reduce" and rank > 1:
            keep = draw(st.sampled_from([0, 1]))
            after = (*shape[:axis], *([1] * keep), *shape[axis + 1 :])
            tensors.append((net.op("ReduceMean", x, axes=[axis], keepdims=keep), after))
        elif choice == "softmax":
            tensors.append((net.op("Softmax", x, axis=axis), shape))
        elif choice == "binary":
            other, more = tensors[draw(st.integers(0, len(tensors) - 1))]
            try:
                after = np.broadcast_shapes(shape, more)
            except ValueError:
                continue
            tensors.append((net.op(draw(st.sampled_from(["Add", "Mul", "Max"])), x, other), after))
        elif choice == "scale":
            small = [1] * rank
            small[axis] = shape[axis]
            constant = net.normal(*small[draw(st.integers(0, axis)) :])
            tensors.append((net.op(draw(st.sampled_from(["Add", "Mul", "Sub"])), x, constant), shape))
        elif choice == "unary":
            tensors.append((net.op(draw(st.sampled_from(["Relu", "Tanh"])), x), shape))
        elif choice == "squeeze":
            ones = [axis for axis, size in enumerate(shape) if size == 1]
            if ones and rank > 2:
                after = tuple(size for axis, size in enumerate(shape) if axis != ones[0])
                tensors.append((net.op("Squeeze", x, net.const(ones[:1], np.int64)), after))
            elif rank < 5:
                after = (*shape[:axis], 1, *shape[axis:])
                tensors.append((net.op("Unsqueeze", x, net.const([axis], np.int64)), after))
        elif choice == "pad":
            pads = [0] * (2 * rank)
            pads[axis] = 1
            after = (*shape[:axis], shape[axis] + 1, *shape[axis + 1 :])
            tensors.append((net.op("Pad", x, net.const(pads, np.int64), net.const(0.5)), after))
        elif choice == "expand":
            after = tuple(2 if size == 1 and i == axis else size for i, size in enumerate(shape))
            tensors.append((net.op("Expand", x, net.const(after, np.int64)), after))
        elif choice == "conv" and rank == 4:
            tensors.append((net.conv(x, shape[1], 6), (shape[0], 6, *shape[2:])))
        elif choice == "pool" and rank == 4:
            y = net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            tensors.append((y, shape))
    outputs = {tensors[-1][0], tensors[draw(st.integers(0, len(tensors) - 1))][0]} - set(net.feeds)
    if outputs:
        counts(net.check(*sorted(outputs), tolerance=1e-4))
