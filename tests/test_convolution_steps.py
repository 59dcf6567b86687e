"""Planned convolutions, through storage, lowering and the compiled steps, against a float64 reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conv_infer import _core
from conv_infer.graph import INTERNAL, Graph, Node, TensorType
from conv_infer.isa import allowed_isa_bits
from conv_infer.planner import plan as planning
from conv_infer.planner.lowering import BANDS, FRAME_COPY, REUSABLE, REUSABLE_ROWS, Lowering

F32 = np.dtype(np.float32)


def conv_graph(shape, weights, bias, attrs, out_shape):
    """x -> Transpose (a producer of its own) -> Conv -> y; `shape` NHWC."""
    types = {
        "x": TensorType(F32, shape),
        "t": TensorType(F32, shape),
        "y": TensorType(F32, out_shape),
        "w": TensorType(F32, weights.shape),
        "b": TensorType(F32, bias.shape),
    }
    nodes = [
        Node("Transpose", ["x"], ["t"], {"perm": (0, 1, 2, 3)}, domain=INTERNAL),
        Node("Conv", ["t", "w", "b"], ["y"], attrs, domain=INTERNAL),
    ]
    return Graph(nodes, ["x"], ["y"], types, {"w": weights, "b": bias}, {"": 13})


def reference(x, w, b, attrs):
    """float64 NHWC convolution with OHWI weights."""
    top, left, bottom, right = attrs["pads"]
    padded = np.pad(x.astype(np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    (sy, sx), (dy, dx), groups = attrs["strides"], attrs["dilations"], attrs["groups"]
    columns, kh, kw, channels = w.shape
    height = (padded.shape[1] - (kh - 1) * dy - 1) // sy + 1
    width = (padded.shape[2] - (kw - 1) * dx - 1) // sx + 1
    out = np.zeros((x.shape[0], height, width, columns)) + b
    per_group = columns // groups
    for ky in range(kh):
        for kx in range(kw):
            taps = padded[:, ky * dy : ky * dy + sy * height : sy, kx * dx : kx * dx + sx * width : sx]
            taps = taps[:, :height, :width]
            for group in range(groups):
                own = slice(group * per_group, (group + 1) * per_group)
                part = taps[..., group * channels : (group + 1) * channels]
                out[..., own] += part @ w[own, ky, kx].astype(np.float64).T
    return out


def run_plan(graph, x, threads=1, max_memory=None):
    plan = planning.build_plan(
        graph, allowed=allowed_isa_bits(), threads=threads, max_memory=max_memory, release=lambda array: None
    )
    y = np.full(graph.shape("y"), np.nan, np.float32)
    arena, scratch = _core.Memory(plan.arena_bytes), _core.Memory(plan.scratch_bytes)
    np.frombuffer(arena, np.uint8)[...] = 0xFF  # NaN: what is read without being written shows
    for segment in plan.segments:
        segment.run(arena, plan.weights, [x, y], scratch, threads, None)
    return y, plan


geometry = st.tuples(
    st.integers(1, 2),  # images
    st.integers(1, 9),  # height
    st.integers(1, 9),  # width
    st.sampled_from([1, 2, 3, 5, 8, 17]),  # channels per group
    st.sampled_from([1, 2, 3, 4, 7, 16, 20, 33]),  # columns per group
    st.sampled_from([1, 1, 2, 3]),  # groups
    st.tuples(st.integers(1, 4), st.integers(1, 4)),  # kernel
    st.tuples(st.integers(1, 3), st.integers(1, 3)),  # strides
    st.tuples(st.integers(1, 2), st.integers(1, 2)),  # dilations
    st.tuples(*[st.integers(0, 2)] * 4),  # pads
    st.sampled_from([None, ("clamp", 0.0, np.inf), ("leaky_relu", 0.1, 0.0), ("sigmoid", 0.0, 0.0)]),
)


def build(case, seed=0):
    images, height, width, channels, columns, groups, kernel, strides, dilations, pads, activation = case
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((images, height, width, channels * groups)).astype(np.float32)
    w = rng.standard_normal((columns * groups, *kernel, channels)).astype(np.float32)
    b = rng.standard_normal(columns * groups).astype(np.float32)
    attrs = {"strides": strides, "dilations": dilations, "pads": pads, "groups": groups, "activation": activation}
    for axis, size in ((0, height), (1, width)):
        if (kernel[axis] - 1) * dilations[axis] + 1 > size + pads[axis] + pads[axis + 2]:
            return None
    expected = reference(x, w, b, attrs)
    if activation is not None:
        kind, alpha, _ = activation
        expected = {
            "clamp": lambda v: np.maximum(v, 0),
            "leaky_relu": lambda v: np.where(v >= 0, v, alpha * v),
            "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        }[kind](expected)
    return x, w, b, attrs, expected


def assert_near(actual, expected):
    assert np.abs(actual - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


@settings(deadline=None, max_examples=150)
@given(geometry)
def test_any_geometry(case):
    built = build(case)
    if built is None:
        return
    x, w, b, attrs, expected = built
    y, _ = run_plan(conv_graph(x.shape, w, b, attrs, expected.shape), x)
    assert_near(y, expected)


@settings(deadline=None, max_examples=150)
@given(geometry, st.sampled_from([FRAME_COPY, BANDS, REUSABLE, REUSABLE_ROWS]), st.integers(1, 4))
def test_every_lowering_gives_the_same(case, form, strip):
    built = build(case)
    if built is None:
        return
    x, w, b, attrs, expected = built
    if w.shape[3] == 1 and attrs["groups"] > 1:
        form = FRAME_COPY  # depthwise kernels read in place only; narrow groups fall back to a GEMM
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "choose_lowering", lambda *_: Lowering(form, strip, 0, 0, 0.0))
        graph = conv_graph(x.shape, w, b, attrs, expected.shape)
        y, _ = run_plan(graph, x)
        two, _ = run_plan(graph, x, threads=2)
    assert_near(y, expected)
    assert np.array_equal(y, two)


@settings(deadline=None, max_examples=150)
@given(geometry, st.sampled_from([FRAME_COPY, BANDS]), st.integers(1, 4), st.integers(1, 3))
def test_planar_inputs(case, form, strip, threads):
    built = build(case)
    if built is None or case[5] > 1:
        return
    x, w, b, attrs, expected = built
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    graph = conv_graph(x.shape, w, b, {**attrs, "input_layout": "NCHW"}, expected.shape)
    graph.nodes[:] = [graph.nodes[1].replace(inputs=["x", "w", "b"])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "choose_lowering", lambda *_: Lowering(form, strip, 0, 0, 0.0))
        y, plan = run_plan(graph, x, threads=threads)
    assert_near(y, expected)
    if form == BANDS:
        assert [step.operator for step in plan.steps] == ["Conv"]


@pytest.mark.parametrize("strides, size", [((1, 1), 8), ((2, 2), 4)])
def test_weights_in_a_model_file_are_packed_from_there(strides, size):
    rng = np.random.default_rng(1)
    stored = rng.standard_normal((20, 6, 3, 3)).astype(np.float32)
    x = rng.standard_normal((1, 8, 8, 6)).astype(np.float32)
    attrs = {"strides": strides, "dilations": (1, 1), "pads": (1, 1, 1, 1), "groups": 1, "activation": None}
    w, b = stored.transpose(0, 2, 3, 1), np.zeros(20, np.float32)
    y, _ = run_plan(conv_graph(x.shape, w, b, attrs, (1, size, size, 20)), x)
    assert_near(y, reference(x, w, b, attrs))


def test_chosen_input_channels():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((1, 5, 5, 12)).astype(np.float32)
    w, b = rng.standard_normal((8, 1, 1, 4)).astype(np.float32), np.zeros(8, np.float32)
    chosen = np.array([0, 3, 6, 9, 11, 1, 4, 7], np.int32)
    attrs = {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "groups": 2, "input_channels": chosen}
    y, _ = run_plan(conv_graph(x.shape, w, b, attrs, (1, 5, 5, 8)), x)
    assert_near(y, reference(x[..., chosen], w, b, attrs))


def test_long_depth_with_columns_past_the_last_vector():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1, 4, 5, 9000)).astype(np.float32)
    w, b = rng.standard_normal((67, 1, 1, 9000)).astype(np.float32), rng.standard_normal(67).astype(np.float32)
    attrs = {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "groups": 1, "activation": None}
    y, _ = run_plan(conv_graph(x.shape, w, b, attrs, (1, 4, 5, 67)), x)
    assert_near(y, reference(x, w, b, attrs))


def test_a_planar_input_is_copied_in_bands_unless_shared():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1, 3, 20, 20)).astype(np.float32)
    w, b = rng.standard_normal((8, 3, 3, 3)).astype(np.float32), np.zeros(8, np.float32)
    attrs = {"strides": (2, 2), "dilations": (1, 1), "pads": (1, 1, 1, 1), "groups": 1, "input_layout": "NCHW"}
    graph = conv_graph(x.shape, w, b, attrs, (1, 10, 10, 8))
    conv = graph.nodes[1].replace(inputs=["x", "w", "b"])
    graph.nodes[:] = [conv]
    y, plan = run_plan(graph, x)
    assert_near(y, reference(x.transpose(0, 2, 3, 1), w, b, attrs))
    assert plan.steps[0].lowering.startswith(BANDS)
    graph.types["z"] = graph.types["y"]
    graph.nodes.append(conv.replace(outputs=["z"]))
    _, plan = run_plan(graph, x)
    assert [step.operator for step in plan.steps] == ["Copy", "Conv", "Conv"]
