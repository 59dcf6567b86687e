"""A first convolution and the max-pooling behind it in one step, against onnxruntime and against themselves."""

import numpy as np
import pytest
from agreement import assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_builder import Net, expected
from test_convolution_steps import assert_near

from conv_infer import _core
from conv_infer.planner import fuse_pools, tiling
from conv_infer.session import Session

pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
cases = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(1, 2), st.sampled_from([2, 3, 4]), st.integers(4, 30), st.integers(4, 20)),
        "columns": st.sampled_from([1, 3, 16, 24, 40]),
        "kernel": st.integers(1, 5),
        "conv": st.fixed_dictionaries({"strides": pair, "dilations": st.tuples(st.integers(1, 2), st.integers(1, 2))}),
        "window": pair,
        "pool": st.fixed_dictionaries(
            {"strides": pair, "ceil_mode": st.integers(0, 1), "dilations": st.tuples(st.integers(1, 2), st.just(1))}
        ),
        "pool_pads": st.tuples(*[st.integers(0, 2)] * 4),
    }
)


def build(case, activation="Relu"):
    """The model and its feeds, or None where the windows do not fit."""
    net = Net()
    pads = tuple(min(pad, size - 1) for pad, size in zip(case["pool_pads"], case["window"] * 2, strict=True))
    for axis in (0, 1):
        reach = (case["kernel"] - 1) * case["conv"]["dilations"][axis] + 1
        left = case["size"][axis + 2] + 2 * (case["kernel"] // 2) - reach
        output = left // case["conv"]["strides"][axis] + 1
        if left < 0 or (case["window"][axis] - 1) * case["pool"]["dilations"][axis] + 1 > output:
            return None
    x = net.input(case["size"])
    x = net.conv(x, case["size"][1], case["columns"], case["kernel"], **case["conv"])
    x = net.op(activation, x)
    x = net.op("MaxPool", x, kernel_shape=case["window"], pads=pads, **case["pool"])
    return net.model(x), net.feeds


def run(model, feeds, threads=1, rows_part=1):
    """With pooling behind convolutions of any size fused, and as many rows at once as one part in `rows_part` of the
    second-level cache holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuse_pools, "POOLED_PART_OF_L2", _core.cache_sizes()[1] + 1)
        patch.setattr(tiling, "POOLED_PART_OF_L2", rows_part)
        session = Session(model, threads=threads, strict=True)
        outputs = session.run(None, feeds)
    return dict(enumerate(outputs)), [step.operator for step in session.plan]


@settings(deadline=None, max_examples=150)
@given(cases, st.sampled_from([1, 1000, 100_000]))
def test_any_geometry(case, rows_part):
    built = build(case)
    if built is None:
        return
    model, feeds = built
    y, operators = run(model, feeds, rows_part=rows_part)
    assert "PooledConv" in operators and "MaxPool" not in operators
    (reference,) = expected(model, feeds).values()
    assert_near(y[0], reference)
    for threads in (2, 3):
        assert_same_bits(run(model, feeds, threads, rows_part)[0], y)


FIRST = {
    "size": (1, 3, 64, 64), "columns": 24, "kernel": 3, "conv": {"strides": (2, 2), "dilations": (1, 1)},
    "window": (3, 3), "pool": {"strides": (2, 2), "ceil_mode": 0, "dilations": (1, 1)}, "pool_pads": (1, 1, 1, 1),
}  # fmt: skip


def test_the_image_in_between_needs_no_arena(monkeypatch):
    model, feeds = build(FIRST)
    apart = Session(model, threads=1)
    apart.run(None, feeds)
    monkeypatch.setattr(fuse_pools, "POOLED_PART_OF_L2", 10_000)
    monkeypatch.setattr(tiling, "POOLED_PART_OF_L2", 1000)
    fused = Session(model, threads=1)
    fused.run(None, feeds)
    assert fused.memory.arena < apart.memory.arena // 2
    assert "bands of 1 pooled row" in [step.lowering for step in fused.plan]


@pytest.mark.parametrize("reader", ["output", "second"])
def test_what_else_is_read_stays(reader):
    net = Net()
    x = net.conv(net.input(FIRST["size"]), 3, 24, 3)
    pooled = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    model = net.model(pooled, x if reader == "output" else net.op("Sigmoid", x))
    y, operators = run(model, net.feeds)
    assert "PooledConv" not in operators
    for actual, reference in zip(y.values(), expected(model, net.feeds).values(), strict=True):
        assert_near(actual, reference)


def test_an_activation_that_kernels_do_not_apply_themselves():
    model, feeds = build(FIRST, "Erf")
    y, operators = run(model, feeds)
    assert "PooledConv" in operators
    (reference,) = expected(model, feeds).values()
    assert_near(y[0], reference)


def test_not_a_number_comes_through_as_from_the_two_steps():
    model, feeds = build(FIRST)
    name = next(iter(feeds))
    feeds[name][0, 1, 20:24, 30] = np.nan
    y, _ = run(model, feeds, rows_part=1000)
    apart = Session(model, threads=1).run(None, feeds)
    assert_same_bits(y, dict(enumerate(apart)))
