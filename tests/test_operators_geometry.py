"""Output shapes and resolved geometry against what onnxruntime computes, over drawn attributes."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from make_models import one_node
from onnxruntime_sessions import open_session

from conv_infer.errors import ModelError, UnsupportedError
from conv_infer.graph import Node
from conv_infer.importer import read_model
from conv_infer.operators.convolution import resolve_convolution, resolve_transposed_convolution
from conv_infer.operators.pooling import resolve_pooling
from conv_infer.operators.window import resolve_window
from conv_infer.specialise import specialise

quick = settings(max_examples=80, deadline=None, database=None, derandomize=True)


def ours(model, inputs):
    """The specialised graph, or None where conv_infer refuses the model."""
    graph = read_model(model.SerializeToString()).graph
    try:
        return specialise(graph, {name: inputs[name].shape for name in graph.inputs})
    except ModelError:
        return None


def theirs(model, inputs):
    """What onnxruntime computes, or None where it refuses."""
    try:
        session = open_session(model.SerializeToString())
        return session.run(None, {feed.name: inputs[feed.name] for feed in session.get_inputs()})
    except Exception:  # onnxruntime raises a dozen types
        return None


def compare(op, inputs, attrs, opset, outputs=1, constants=()):
    """Checks shapes and types against onnxruntime's; returns the node and onnxruntime's outputs."""
    model = one_node(op, inputs, attrs, opset, outputs, constants)
    expected = theirs(model, inputs)
    graph = ours(model, inputs)
    assume(expected is not None)
    assert graph is not None, "refused, but onnxruntime runs it"
    for name, array in zip(graph.outputs, expected, strict=True):
        assert (graph.types[name].dtype, graph.types[name].shape) == (array.dtype, array.shape)
    node = graph.nodes[0] if graph.nodes else None
    return node, expected


def random(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@st.composite
def windows(draw, rank, *, dilated=True):
    attrs = {}
    kernel = draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
    if draw(st.booleans()):
        attrs["strides"] = draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
    if dilated and draw(st.booleans()):
        attrs["dilations"] = draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    # Where strides exceed the kernel, SAME would crop: onnxruntime refuses, crops or does not, by no clear rule.
    same = ["SAME_UPPER", "SAME_LOWER"] * all(a <= b for a, b in zip(attrs.get("strides", [1]), kernel, strict=False))
    auto_pad = draw(st.sampled_from([None, None, "NOTSET", "VALID", *same]))
    if auto_pad:
        attrs["auto_pad"] = auto_pad
    if auto_pad in (None, "NOTSET") and draw(st.booleans()):
        attrs["pads"] = draw(st.lists(st.integers(0, 3), min_size=2 * rank, max_size=2 * rank))
    return kernel, attrs


def draw_spatial(data, kernel, attrs, largest):
    """Spatial sizes that the kernel fits: where it does not, onnxruntime computes all the same, and we refuse."""
    rank = len(kernel)
    dilations, pads = attrs.get("dilations", [1] * rank), attrs.get("pads", [0] * 2 * rank)
    if attrs.get("auto_pad", "").startswith("SAME"):
        least = [1] * rank
    else:
        least = [max(dilations[i] * (kernel[i] - 1) + 1 - pads[i] - pads[i + rank], 1) for i in range(rank)]
    return [data.draw(st.integers(size, max(size, largest))) for size in least]


def explicit(attrs, window):
    """The attributes with the paddings that were resolved instead of `auto_pad`."""
    rest = {name: value for name, value in attrs.items() if name not in ("auto_pad", "output_shape")}
    return {**rest, "pads": list(window.pads)}


@quick
@given(st.data())
def test_convolution(data):
    rank = data.draw(st.integers(1, 3))
    kernel, attrs = data.draw(windows(rank))
    groups, width, count = (data.draw(st.integers(1, 3)) for _ in range(3))
    spatial = draw_spatial(data, kernel, attrs, 9)
    attrs["group"] = groups
    if data.draw(st.booleans()):
        attrs["kernel_shape"] = kernel
    inputs = {"x": random([2, groups * width, *spatial]), "w": random([groups * count, width, *kernel], 1)}
    opset = data.draw(st.sampled_from([6, 11, 22]))
    node, expected = compare("Conv", inputs, attrs, opset, constants=("w",))
    window, resolved_groups = resolve_convolution(node, inputs["x"].shape, inputs["w"].shape)
    assert resolved_groups == groups
    again = theirs(one_node("Conv", inputs, explicit(attrs, window), opset, constants=("w",)), inputs)
    np.testing.assert_allclose(again[0], expected[0], rtol=1e-4, atol=1e-4)


@quick
@given(st.data())
def test_transposed_convolution(data):
    rank = data.draw(st.integers(1, 3))
    kernel, attrs = data.draw(windows(rank))
    groups, width, count = (data.draw(st.integers(1, 2)) for _ in range(3))
    spatial = data.draw(st.lists(st.integers(1, 6), min_size=rank, max_size=rank))
    strides = attrs.get("strides", [1] * rank)
    attrs["group"] = groups
    if data.draw(st.booleans()):
        attrs["output_padding"] = [data.draw(st.integers(0, stride - 1)) for stride in strides]
    if "pads" not in attrs and data.draw(st.booleans()):
        attrs["output_shape"] = [
            data.draw(st.integers(max(size * stride - 2, 1), size * stride + 2))
            for size, stride in zip(spatial, strides, strict=True)
        ]
    inputs = {"x": random([1, groups * width, *spatial]), "w": random([groups * width, count, *kernel], 1)}
    opset = data.draw(st.sampled_from([6, 11, 22]))
    node, expected = compare("ConvTranspose", inputs, attrs, opset, constants=("w",))
    window, resolved_groups, _ = resolve_transposed_convolution(node, inputs["x"].shape, inputs["w"].shape)
    assert resolved_groups == groups
    again = theirs(one_node("ConvTranspose", inputs, explicit(attrs, window), opset, constants=("w",)), inputs)
    if again[0].shape == expected[0].shape:  # not where output_shape asks for more than the input covers
        np.testing.assert_allclose(again[0], expected[0], rtol=1e-4, atol=1e-4)


@quick
@given(st.data())
def test_pooling(data):
    rank = data.draw(st.integers(1, 3))
    op, opset = data.draw(st.sampled_from([("MaxPool", 8), ("MaxPool", 12), ("AveragePool", 7), ("AveragePool", 19)]))
    kernel, attrs = data.draw(windows(rank, dilated=opset in (12, 19)))
    if attrs.get("auto_pad", "").startswith("SAME"):
        attrs.pop("dilations", None)  # which onnxruntime forgets here
    attrs["kernel_shape"] = kernel
    if opset >= 10 and data.draw(st.booleans()):
        attrs["ceil_mode"] = 1
    if op == "AveragePool" and data.draw(st.booleans()):
        attrs["count_include_pad"] = 1
    spatial = draw_spatial(data, kernel, attrs, 9)
    inputs = {"x": random([1, 2, *spatial])}
    node, expected = compare(op, inputs, attrs, opset, outputs=2 if op == "MaxPool" else 1)
    window = resolve_pooling(node, inputs["x"].shape)
    again = theirs(one_node(op, inputs, explicit(attrs, window), opset), inputs)
    np.testing.assert_allclose(again[0], expected[0], rtol=1e-5, atol=1e-5)


@quick
@given(st.data())
def test_resize(data):
    rank = data.draw(st.integers(2, 4))
    shape = data.draw(st.lists(st.integers(1, 7), min_size=rank, max_size=rank))
    opset = data.draw(st.sampled_from([10, 11, 13, 18, 19]))
    inputs = {"x": random(shape)}
    attrs = {"mode": "nearest"}
    axes = list(range(rank))
    if opset >= 18 and data.draw(st.booleans()):
        axes = data.draw(st.permutations(axes))[: data.draw(st.integers(1, rank))]
        attrs["axes"] = list(axes)
    if opset == 10 or data.draw(st.booleans()):
        drawn = st.one_of(st.floats(0.25, 3.0, width=32), st.sampled_from([0.5, 1.0, 2.0, 1 / 3, 2 / 3]))
        scales = np.array([data.draw(drawn) for _ in axes], np.float32)
        inputs.update({"scales": scales} if opset == 10 else {"": np.zeros(0), "scales": scales})
        constants = ("scales",)
    else:
        sizes = np.array([data.draw(st.integers(1, 15)) for _ in axes], np.int64)
        inputs.update({"roi": np.zeros(0, np.float32), "scales": np.zeros(0, np.float32), "sizes": sizes})
        constants = ("roi", "scales", "sizes")
        if opset >= 18:
            attrs["keep_aspect_ratio_policy"] = data.draw(st.sampled_from(["stretch", "not_larger", "not_smaller"]))
    compare("Resize", inputs, attrs, opset, constants=constants)


@quick
@given(st.data())
def test_upsample(data):
    rank = data.draw(st.integers(3, 4))
    shape = data.draw(st.lists(st.integers(1, 7), min_size=rank, max_size=rank))
    scales = [1.0, 1.0, *(data.draw(st.floats(1.0, 3.0, width=32)) for _ in range(rank - 2))]
    inputs = {"x": random(shape)}
    if data.draw(st.booleans()):
        compare("Upsample", inputs, {"scales": scales}, 7)
    else:
        compare("Upsample", {**inputs, "s": np.array(scales, np.float32)}, {}, 9, constants=("s",))


@quick
@given(st.data())
def test_slice(data):
    rank = data.draw(st.integers(1, 4))
    shape = data.draw(st.lists(st.integers(1, 6), min_size=rank, max_size=rank))
    axes = data.draw(st.permutations(range(rank)))[: data.draw(st.integers(1, rank))]
    bound = st.one_of(st.integers(-8, 8), st.sampled_from([-(2**63), 2**63 - 1, -(2**31), 2**31 - 1]))
    starts, ends = ([data.draw(bound) for _ in axes] for _ in range(2))
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    if data.draw(st.booleans()):
        compare("Slice", {"x": x}, {"starts": starts, "ends": ends, "axes": list(axes)}, 9)
        return
    steps = [data.draw(st.sampled_from([1, 1, 2, 3, -1, -2, -7])) for _ in axes]
    named = {"starts": starts, "ends": ends, "axes": [axis - rank for axis in axes], "steps": steps}
    inputs = {"x": x, **{name: np.array(values, np.int64) for name, values in named.items()}}
    _, expected = compare("Slice", inputs, {}, 13, constants=tuple(named))
    folded = ours(one_node("Slice", inputs, {}, 13, constants=("x", *named)), inputs)
    np.testing.assert_array_equal(folded.constants["y0"], expected[0])


@quick
@given(st.data())
def test_reshape(data):
    shape = data.draw(st.lists(st.integers(0, 4), min_size=0, max_size=4))
    target = data.draw(
        st.one_of(st.lists(st.integers(-1, 6), max_size=4), st.permutations(shape), st.permutations([*shape, -1]))
    )
    opset = data.draw(st.sampled_from([6, 13, 14]))
    attrs = {"allowzero": data.draw(st.integers(0, 1))} if opset == 14 else {}
    inputs = {"x": random(shape), "s": np.array(target, np.int64)}
    compare("Reshape", inputs, attrs, opset, constants=("s",))


@quick
@given(st.data())
def test_pad(data):
    rank = data.draw(st.integers(1, 4))
    shape = data.draw(st.lists(st.integers(1, 5), min_size=rank, max_size=rank))
    opset = data.draw(st.sampled_from([6, 11, 18, 19]))
    mode = data.draw(st.sampled_from(["constant", "reflect", "edge"] + ["wrap"] * (opset >= 19)))
    pad = st.integers(0, 4) if mode == "wrap" else st.integers(-2, 4)
    axes = list(range(rank))
    if opset >= 18 and data.draw(st.booleans()):
        axes = data.draw(st.permutations(axes))[: data.draw(st.integers(1, rank))]
    pads = [data.draw(pad) for _ in range(2 * len(axes))]
    if mode == "wrap":  # once around at most: onnxruntime 1.30 leaves what lies beyond to chance
        pads = [min(count, shape[axis]) for count, axis in zip(pads, [*axes, *axes], strict=True)]
    for position, axis in enumerate(axes):  # what is taken away must be there: onnxruntime does not mind
        assume(shape[axis] + min(pads[position], 0) + min(pads[position + len(axes)], 0) >= 0)
    x = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    if opset == 6:
        attrs = {"mode": mode, "pads": pads, "value": 1.5}
        inputs, constants = {"x": x}, ()
    else:
        attrs = {"mode": mode}
        inputs = {"x": x, "pads": np.array(pads, np.int64), "value": np.float32(1.5).reshape(())}
        if opset >= 18:
            inputs["axes"] = np.array(axes, np.int64)
        constants = tuple(name for name in inputs if name != "x")
    _, expected = compare("Pad", inputs, attrs, opset, constants=constants)
    folded = ours(one_node("Pad", inputs, attrs, opset, constants=("x", *constants)), inputs)
    np.testing.assert_array_equal(folded.constants["y0"], expected[0])


@quick
@given(st.data())
def test_split(data):
    shape = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    opset = data.draw(st.sampled_from([6, 11, 13, 18]))
    parts = data.draw(st.integers(1, 4))
    inputs, attrs, constants = {"x": random(shape)}, {"axis": axis}, ()
    if data.draw(st.booleans()):
        sizes = [data.draw(st.integers(0, 3)) for _ in range(parts - 1)]
        sizes.append(max(shape[axis] - sum(sizes), 0))
        if opset < 13:
            attrs["split"] = sizes
        else:
            inputs["sizes"], constants = np.array(sizes, np.int64), ("sizes",)
    elif opset >= 18:
        attrs["num_outputs"] = parts
    compare("Split", inputs, attrs, opset, outputs=parts, constants=constants)


@quick
@given(st.data())
def test_broadcasting(data):
    shapes = [data.draw(st.lists(st.sampled_from([1, 2, 3]), max_size=4)) for _ in range(2)]
    inputs = {"a": random(shapes[0]), "b": random(shapes[1])}
    compare(data.draw(st.sampled_from(["Add", "Less", "Max", "MatMul"])), inputs, {}, 13)


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2"])
@settings(quick, max_examples=25)
@given(data=st.data())
def test_reductions(op, data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    axes = data.draw(st.permutations(range(len(shape))))[: data.draw(st.integers(0, len(shape)))]
    opset = data.draw(st.sampled_from([11, 13, 18]))
    attrs = {"keepdims": data.draw(st.integers(0, 1))}
    inputs, constants = {"x": random(shape)}, ()
    as_input = opset >= (13 if op == "ReduceSum" else 18)
    if as_input:
        inputs["axes"], constants = np.array(axes, np.int64), ("axes",)
        attrs["noop_with_empty_axes"] = data.draw(st.integers(0, 1))
    elif axes:
        attrs["axes"] = list(axes)
    _, expected = compare(op, inputs, attrs, opset, constants=constants)
    folded = ours(one_node(op, inputs, attrs, opset, constants=("x", *constants)), inputs)
    if not (attrs.get("noop_with_empty_axes") and not axes):
        np.testing.assert_allclose(folded.constants["y0"], expected[0], rtol=1e-5, atol=1e-6)


def test_numbers_without_effect():
    """The stride of a single window, the dilation of a single tap: any number will do, and none goes further."""
    attrs = {"strides": [2**40, 2], "dilations": [1, 2**40]}
    window = resolve_window(Node("Conv", ["x", "w"], ["y"], attrs), (3, 9), (2, 1))
    assert (window.strides, window.dilations, window.output) == ((1, 2), (1, 1), (1, 5))
    node = Node("ConvTranspose", ["x", "w"], ["y"], attrs)
    window, _, _ = resolve_transposed_convolution(node, (1, 2, 1, 5), (2, 2, 2, 1))
    assert (window.strides, window.dilations, window.output) == ((1, 2), (1, 1), (2, 9))


def test_padding_beyond_all_reason_is_refused():
    attrs = {"strides": [1, 2**40], "pads": [0, 2**40, 0, 0]}
    with pytest.raises(UnsupportedError, match="at most"):
        resolve_window(Node("MaxPool", ["x"], ["y"], attrs), (3, 9), (1, 1))
    with pytest.raises(UnsupportedError, match="at most"):
        resolve_transposed_convolution(Node("ConvTranspose", ["x", "w"], ["y"], attrs), (1, 2, 3, 9), (2, 2, 1, 1))
    node = Node("ConvTranspose", ["x", "w"], ["y"], {"output_padding": [2**16, 0]})
    with pytest.raises(UnsupportedError, match="at most"):
        resolve_transposed_convolution(node, (1, 2, 3, 9), (2, 2, 1, 1))
