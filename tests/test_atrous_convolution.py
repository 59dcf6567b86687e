"""Atrous convolutions computed region by region, against a float64 reference and onnxruntime."""

import numpy as np
import pytest
from agreement import assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_builder import Net, expected
from test_convolution_steps import assert_near, build, conv_graph, run_plan

from conv_infer.planner import regions
from conv_infer.planner.regions import spans
from conv_infer.session import Session

size, dilation, pad = st.integers(1, 14), st.integers(1, 9), st.integers(0, 9)
geometry = st.tuples(
    st.integers(1, 2),  # images
    size,
    size,
    st.sampled_from([1, 3, 8, 17]),  # channels per group
    st.sampled_from([2, 7, 16, 70]),  # columns per group
    st.sampled_from([1, 1, 2]),  # groups
    st.tuples(st.integers(1, 4), st.integers(1, 4)),  # kernel
    st.tuples(st.integers(1, 3), st.integers(1, 3)),  # strides
    st.tuples(dilation, dilation),
    st.tuples(pad, pad, pad, pad),
    st.sampled_from([None, ("leaky_relu", 0.1, 0.0), ("sigmoid", 0.0, 0.0)]),
)
ATROUS = (1, 9, 9, 17, 70, 1, (3, 3), (1, 1), (6, 6), (6, 6, 6, 6), None)


@settings(deadline=None, max_examples=200)
@given(geometry, st.integers(1, 3))
def test_any_geometry(case, threads):
    built = build(case)
    if built is None:
        return
    x, w, b, attrs, wanted = built
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "WORTH", 2.0)
        patch.setattr(regions, "MOST_REGIONS", 1000)
        y, _ = run_plan(conv_graph(x.shape, w, b, attrs, wanted.shape), x, threads)
    assert_near(y, wanted)


def test_what_pays():
    x, w, b, attrs, wanted = build(ATROUS)
    y, plan = run_plan(conv_graph(x.shape, w, b, attrs, wanted.shape), x)
    assert_near(y, wanted)
    assert plan.steps[-1].lowering == "in place, in 9 regions"
    assert plan.steps[-1].macs == 17 * 70 * (3 * 2 + 3 + 3 * 2) ** 2
    x, w, b, attrs, wanted = build((*ATROUS[:8], (1, 1), (1, 1, 1, 1), None))
    _, plan = run_plan(conv_graph(x.shape, w, b, attrs, wanted.shape), x)
    assert plan.steps[-1].lowering == "in place"


@pytest.mark.parametrize("chosen", [False, True])
def test_pyramid(chosen, monkeypatch):
    """Several rates over one image, a residual, and a bias: no frame is made for any of them."""
    monkeypatch.setattr(regions, "WORTH", 0.75 if chosen else 0.0)
    net = Net()
    x = net.op("Relu", net.conv(net.input((2, 3, 13, 13)), 3, 20))
    parts = [net.conv(x, 20, 20, 3, pads=[rate] * 4, dilations=[rate] * 2, bias=rate > 6) for rate in (5, 7, 9)]
    y = net.op("Relu", net.op("Add", net.op("Add", parts[0], x), net.op("Sigmoid", parts[1])))
    model = net.model(net.op("Concat", y, parts[2], axis=1))
    session = Session(model, threads=1, strict=True)
    outputs = session.run(None, net.feeds)
    (wanted,) = expected(model, net.feeds).values()
    assert np.abs(outputs[0] - wanted).max() <= 1e-5 * np.abs(wanted).max()
    assert any("regions" in step.lowering for step in session.plan) == chosen
    two = Session(model, threads=2, strict=True).run(None, net.feeds)
    assert_same_bits(dict(enumerate(two)), dict(enumerate(outputs)))


def test_spans():
    assert spans(9, 1, 6, 3, 6, 9) == [(0, 3, 1, 3), (3, 6, 1, 2), (6, 9, 0, 2)]
    assert spans(2, 2, 0, 1, 1, 4) == [(0, 2, 0, 1)]
    assert spans(3, 1, 2, 1, 1, 1) == []  # the first window lies in the padding
