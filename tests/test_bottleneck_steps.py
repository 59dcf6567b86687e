"""Bottlenecks in bands against the same convolutions one by one, a float64 reference and onnxruntime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_builder import Net, expected
from onnxruntime_sessions import open_session
from test_convolution_steps import assert_near, reference

from conv_infer import _core
from conv_infer.graph import INTERNAL, Graph, Node, TensorType
from conv_infer.isa import allowed_isa_bits
from conv_infer.planner import fuse_bottlenecks, tiling
from conv_infer.planner import plan as planning
from conv_infer.session import Session
from models import zoo

F32 = np.dtype(np.float32)
ACTIVATIONS = {
    None: lambda v: v,
    ("clamp", 0.0, 6.0): lambda v: np.clip(v, 0, 6),
    ("leaky_relu", 0.1, 0.0): lambda v: np.where(v >= 0, v, 0.1 * v),
    ("hard_swish", 1 / 6, 0.5): lambda v: v * np.clip(v / 6 + 0.5, 0, 1),
    ("silu", 1.0, 0.0): lambda v: v / (1 + np.exp(-v)),
}
activation = st.sampled_from(list(ACTIVATIONS))
pair = st.tuples(st.integers(1, 3), st.integers(1, 3))


class Chain:
    """x -> Transpose (a producer of its own) -> [expand ->] depthwise -> project (+ residual) -> y."""

    def __init__(
        self, *, size, narrow, wide, columns, kernel, strides, dilations, pads, activations, expands, residual,
        chosen=False, seed=0,
    ):  # fmt: skip
        rng = np.random.default_rng(seed)
        self.inputs, self.types, self.constants, self.nodes = [], {}, {}, []
        inner = wide if expands else narrow
        x = rng.standard_normal((*size, narrow)).astype(np.float32)
        self.feeds = [x]
        self.declare("x", x.shape)
        self.declare("t", x.shape)
        self.inputs.append("x")
        self.nodes.append(Node("Transpose", ["x"], ["t"], {"perm": (0, 1, 2, 3)}, domain=INTERNAL))
        value, name = x.astype(np.float64), "t"
        plain = {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "groups": 1}
        if expands:
            attrs = {**plain, "activation": activations[0]}
            value = self.conv("e", name, value, rng.standard_normal((inner, 1, 1, narrow)), attrs)
            name = "e"
        attrs = {"strides": strides, "dilations": dilations, "pads": pads, "groups": inner}
        attrs["activation"] = activations[1]
        value = self.conv("d", name, value, rng.standard_normal((inner, *kernel, 1)), attrs)
        attrs = {**plain, "activation": activations[2]}
        depth = inner
        if chosen:
            attrs["input_channels"] = rng.permutation(inner)[: max(1, inner - 1)].astype(np.int32)
            depth = len(attrs["input_channels"])
        weights = rng.standard_normal((columns, 1, 1, depth))
        self.expected = self.conv("y", "d", value, weights, attrs, residual, x if residual == "x" else None)

    def declare(self, name, shape):
        self.types[name] = TensorType(F32, tuple(shape))

    def conv(self, name, source, value, weights, attrs, residual=None, added=None):
        weights = weights.astype(np.float32)
        bias = np.linspace(-1, 1, len(weights), dtype=np.float32)
        self.constants |= {f"{name}.w": weights, f"{name}.b": bias}
        self.declare(f"{name}.w", weights.shape)
        self.declare(f"{name}.b", bias.shape)
        seen = value if attrs.get("input_channels") is None else value[..., attrs["input_channels"]]
        result = reference(seen, weights, bias, attrs)
        inputs = [source, f"{name}.w", f"{name}.b"]
        if residual == "own":
            added = np.random.default_rng(9).standard_normal(result.shape).astype(np.float32)
            self.feeds.append(added)
            self.inputs.append("r")
            self.declare("r", result.shape)
            inputs.append("r")
        elif added is not None and added.shape == result.shape:
            inputs.append("t")
        else:
            added = None
        if added is not None:
            result = result + added
        self.declare(name, result.shape)
        self.nodes.append(Node("Conv", inputs, [name], attrs, domain=INTERNAL, name=name))
        return ACTIVATIONS[attrs["activation"]](result)

    @property
    def graph(self):
        return Graph(self.nodes, self.inputs, ["y"], self.types, self.constants, {"": 13})

    def run(self, *, fuses, threads=1, l2_bytes=None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fuse_bottlenecks, "pays", lambda *_: fuses)
            if l2_bytes:
                patch.setattr(tiling, "BAND_PART_OF_L2", _core.cache_sizes()[1] // l2_bytes)
            plan = planning.build_plan(
                self.graph, allowed=allowed_isa_bits(), threads=threads, max_memory=None, release=lambda array: None
            )
        y = np.full(self.types["y"].shape, np.nan, np.float32)
        arena, scratch = _core.Memory(plan.arena_bytes), _core.Memory(plan.scratch_bytes)
        for memory in (arena, scratch):
            np.frombuffer(memory, np.uint8)[...] = 0xFF  # NaN: what is read without being written shows
        for segment in plan.segments:
            segment.run(arena, plan.weights, [*self.feeds, y], scratch, threads, None)
        return y, plan


chains = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(1, 2), st.integers(1, 13), st.integers(1, 9)),
        "narrow": st.sampled_from([1, 3, 16, 20]),
        "wide": st.sampled_from([2, 16, 17, 40]),
        "columns": st.sampled_from([1, 3, 16, 20]),
        "kernel": st.tuples(st.integers(1, 5), st.integers(1, 5)),
        "strides": pair,
        "dilations": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "pads": st.tuples(*[st.integers(0, 3)] * 4),
        "activations": st.tuples(activation, activation, activation),
        "expands": st.booleans(),
        "residual": st.sampled_from([None, "x", "own"]),
        "chosen": st.booleans(),
    }
)


def is_possible(case):
    for axis in (0, 1):
        window = (case["kernel"][axis] - 1) * case["dilations"][axis] + 1
        if window > case["size"][axis + 1] + case["pads"][axis] + case["pads"][axis + 2]:
            return False
    return case["expands"] or case["narrow"] > 1  # one channel alone is no depthwise convolution


@settings(deadline=None, max_examples=200)
@given(chains.filter(is_possible), st.sampled_from([None, 256, 4096]))
def test_any_geometry(case, l2_bytes):
    chain = Chain(**case)
    one_by_one, _ = chain.run(fuses=False)
    assert_near(one_by_one, chain.expected)
    for threads in (1, 2, 3):
        y, plan = chain.run(fuses=True, threads=threads, l2_bytes=l2_bytes)
        assert [step.operator for step in plan.steps] == ["Transpose", "Bottleneck"]
        assert np.array_equal(y, one_by_one)


MOBILE = {
    "size": (1, 30, 20), "narrow": 16, "wide": 40, "columns": 16, "kernel": (3, 3), "strides": (1, 1),
    "dilations": (1, 1), "pads": (1, 1, 1, 1), "activations": (None, ("clamp", 0.0, 6.0), None), "expands": True,
    "residual": "x",
}  # fmt: skip


def test_many_bands():
    chain = Chain(**MOBILE)
    y, plan = chain.run(fuses=True, l2_bytes=30_000)
    assert plan.steps[1].lowering == "bands of 4 rows"
    assert_near(y, chain.expected)
    assert plan.scratch_bytes < 60_000


def test_the_images_in_between_need_no_arena():
    chain = Chain(**MOBILE)
    _, fused = chain.run(fuses=True, l2_bytes=30_000)
    _, apart = chain.run(fuses=False)
    assert fused.arena_bytes < apart.arena_bytes // 2


def operators(chain, nodes=None, outputs=("y",)):
    graph = chain.graph
    graph = Graph(nodes or graph.nodes, graph.inputs, list(outputs), graph.types, graph.constants, graph.opsets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuse_bottlenecks, "pays", lambda *_: True)
        return [node.op for node in fuse_bottlenecks.fuse_bottlenecks(graph, 1).nodes]


def test_what_else_is_read_stays():
    chain = Chain(**MOBILE)
    assert operators(chain) == ["Transpose", "Bottleneck"]
    assert operators(chain, outputs=("y", "e")) == ["Transpose", "Conv", "Bottleneck"]
    assert operators(chain, outputs=("y", "d")) == ["Transpose", "Conv", "Conv", "Conv"]


def test_a_projection_is_not_the_expansion_of_the_next(monkeypatch):
    monkeypatch.setattr(fuse_bottlenecks, "pays", lambda *_: True)
    net = Net()
    x = net.input((1, 4, 12, 10))
    for before, after in ((4, 24), (24, 16), (16, 8)):
        x = net.conv(x, before, after)
        x = net.conv(x, after, after, 3, groups=after)
    model = net.model(net.op("Relu", net.conv(x, 8, 6)))
    session = Session(model, threads=1, strict=True)
    assert [step.operator for step in session.plan].count("Bottleneck") == 3
    (y,) = expected(model, net.feeds).values()
    assert_near(session.run(None, net.feeds)[0], y)


@pytest.mark.parametrize(
    "index, attrs",
    [
        (3, {"strides": (2, 2)}),
        (3, {"groups": 2}),
        (2, {"input_channels": np.arange(40, dtype=np.int32)[::-1]}),
    ],
)
def test_what_bands_cannot_do_stays(index, attrs):
    chain = Chain(**MOBILE)
    nodes = list(chain.nodes)
    nodes[index] = nodes[index].replace(attrs={**nodes[index].attrs, **attrs})
    assert "Bottleneck" not in operators(chain, nodes)


def pays(size, wide, threads=1, l2_bytes=1 << 21, expands=True):
    chain = Chain(**{**MOBILE, "size": (1, 2, 2), "wide": wide, "narrow": 16 if expands else wide, "expands": expands})
    images = {"e": wide, "d": wide, "t": 16 if expands else wide}
    for name, channels in images.items():
        chain.declare(name, (*size, channels))
    expand, depthwise, project = ([None] if not expands else []) + chain.nodes[1:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_core, "cache_sizes", lambda: (1 << 15, l2_bytes))
        return fuse_bottlenecks.pays(chain.graph, expand, depthwise, project, threads)


def test_large_images_in_between_pay():
    assert pays((1, 112, 112), 96)
    assert pays((1, 56, 56), 144)
    assert not pays((1, 14, 14), 384)
    assert pays((1, 14, 14), 384, l2_bytes=1 << 19)
    assert pays((4, 14, 14), 384)  # one by one, a batch goes through step by step
    assert pays((1, 112, 112), 32, expands=False)
    assert not pays((1, 28, 28), 192, threads=2)  # too many rows would be expanded twice
    assert not pays((1, 8, 8000), 96)  # no band would stay in cache


@pytest.mark.parametrize("fuses", [True, False])
def test_mobilenet(fuses, monkeypatch):
    monkeypatch.setattr(fuse_bottlenecks, "pays", lambda *_: fuses)
    model, feed = zoo.build("mobilenet_v2").SerializeToString(), zoo.sample_input("mobilenet_v2")
    session = Session(model, threads=2)
    assert [step.operator for step in session.plan].count("Bottleneck") == (17 if fuses else 0)
    expected = open_session(model).run(None, {"input": feed})[0]
    (y,) = session.run(None, {"input": feed})
    assert np.abs(y - expected).max() <= 1e-5 * np.abs(expected).max()
