"""float32 Winograd convolution: every kernel through the step, against a float64 reference; what the step refuses;
where plans take it."""

import numpy as np
import pytest
from direct_conv import ACTIVATIONS, LATE, NO_ACTIVATION
from hypothesis import given, settings
from hypothesis import strategies as st
from placing import NO_BUFFER, Placed, Steps, activate, allowed_bits, each_kernel
from test_convolution_steps import assert_near, build, conv_graph, run_plan

from conv_infer import _core
from conv_infer.emit import winograd as emitting
from conv_infer.errors import ConvInferError

EPSILON = 2.0**-23
each_transform = each_kernel("winograd_input_f32")
each_gemm = each_kernel("gemm_f32")


def magnitude_and_sum(x, w, bias, height, width):
    """float64: the convolution, and the sum of its terms' absolute values; `w` [O, 3, 3, depth] in groups."""
    groups = x.shape[3] // w.shape[3]
    x = x.astype(np.float64).reshape(*x.shape[:3], groups, w.shape[3])
    w = w.astype(np.float64).reshape(groups, -1, 3, 3, w.shape[3])
    found = []
    for values, filters, start in ((np.abs(x), np.abs(w), np.abs(bias)), (x, w, bias)):
        total = np.broadcast_to(start.astype(np.float64), (x.shape[0], height, width, len(bias))).copy()
        for i in range(3):
            for j in range(3):
                tap = np.einsum("nyxgk,gok->nyxgo", values[:, i : i + height, j : j + width], filters[:, :, i, j])
                total += tap.reshape(total.shape)
        found.append(total)
    return found


def convolve(
    gemm, size, depth, columns, *, groups=1, activation=NO_ACTIVATION, residual="", gap=0, tiles=5, threads=1, seed=0
):
    """Runs the step with panels of one GEMM kernel and compares; answers the output."""
    images, height, width = size
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((images, height + 2, width + 2, groups * depth)).astype(np.float32)
    w = rng.standard_normal((groups * columns, 3, 3, depth)).astype(np.float32)
    bias = rng.standard_normal(groups * columns).astype(np.float32)
    other = rng.standard_normal((*size, groups * columns)).astype(np.float32)

    panels, biases, at = [], [], 0
    each = 16 * _core.packed_gemm_f32_elems(gemm, depth)
    packed = _core.Memory(4 * each * groups * -(-columns // gemm.nr))
    for group in range(groups):
        for first in range(0, columns, gemm.nr):
            here = slice(group * columns + first, group * columns + min(columns, first + gemm.nr))
            _core.pack_winograd_f32(gemm, w[here], packed, 4 * at)
            panels.append((gemm, here.start, here.stop - here.start, group * depth, at))
            biases.append(np.pad(bias[here], (0, gemm.nr - len(bias[here]))))
            at += each

    gaps = (0, gap, gap, 0)
    start = other if residual == "in place" else np.zeros_like(other)
    source, target = Placed(x, gaps, gap), Placed(start, gaps, gap + 1)
    arrays = [source, Placed(np.frombuffer(packed, np.float32)), Placed(np.concatenate(biases)), target]
    if residual == "apart":
        arrays.append(Placed(other, gaps, gap))
    steps = Steps(*arrays)
    _core.add_winograd_f32(
        steps.program, allowed=allowed_bits(gemm.isa), input=steps.refs[0], weights=steps.refs[1], bias=steps.refs[2],
        output=steps.refs[3], residual=steps.refs[-1] if residual else NO_BUFFER, output_shape=size,
        channels=groups * depth, depth=depth, input_strides=source.strides[:3], output_strides=target.strides[:3],
        residual_strides=arrays[-1].strides[:3], panels=panels, activation=activation,
        late_activation=_core.activation_f32_kernel(allowed_bits(gemm.isa)) if activation == LATE else None,
        tiles_per_task=tiles, panels_per_task=2, prefetch_distance=4096,
    )  # fmt: skip
    steps.run(threads)
    target.assert_guards_hold()
    largest, expected = magnitude_and_sum(x, w, bias, height, width)
    if residual:
        expected = expected + other
    # A tile's outputs share the rounding errors of all its windows.
    bound = (depth + 12) * EPSILON * 4 * (largest.max() + 1)
    if activation[0] == 2:
        bound = bound * (2 + largest.max())
    found = target.view.copy()
    assert np.abs(found - activate(expected, activation)).max() <= bound
    return found


def narrowest_of(isa):
    return min((kernel for kernel in _core.kernels() if kernel.operation == "gemm_f32" and kernel.isa == isa),
               key=lambda kernel: kernel.nr)  # fmt: skip


@each_gemm
def test_every_product(kernel):
    for columns in (1, kernel.nr - 1, kernel.nr, 2 * kernel.nr + 3):
        convolve(kernel, (1, 6, 8), 20, columns, gap=3)


@each_transform
@pytest.mark.parametrize("depth", [1, 3, 4, 7, 8, 15, 16, 17, 31, 33])
def test_channels_around_the_lanes(kernel, depth):
    convolve(narrowest_of(kernel.isa), (1, 4, 6), depth, depth + 1, gap=1)


@each_transform
@pytest.mark.parametrize("height", [2, 3, 4, 5])
@pytest.mark.parametrize("width", [2, 3, 7, 10])
@pytest.mark.parametrize("residual", ["", "in place", "apart"])
def test_odd_sizes_store_every_output_once(kernel, height, width, residual):
    convolve(narrowest_of(kernel.isa), (3, height, width), 5, 18, gap=2, residual=residual)


@each_transform
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("residual", ["", "in place"])
def test_epilogues(kernel, activation, residual):
    convolve(narrowest_of(kernel.isa), (2, 5, 7), 6, 21, groups=2, activation=activation, residual=residual, gap=1)


@each_gemm
def test_the_same_bits_however_tiles_are_dealt_out(kernel):
    first = convolve(kernel, (2, 7, 9), 19, 2 * kernel.nr + 1, groups=2, tiles=1)
    for tiles, threads in ((3, 2), (7, 1), (1000, 2)):
        again = convolve(kernel, (2, 7, 9), 19, 2 * kernel.nr + 1, groups=2, tiles=tiles, threads=threads)
        np.testing.assert_array_equal(first, again)


# ---- what the step refuses

HEIGHT, WIDTH, DEPTH, COLUMNS = 5, 6, 8, 10


def add(**changes) -> None:
    """Adds a step whose buffers are just as large as it needs, with some arguments changed."""
    kernel = narrowest_of("scalar")
    panels = [(kernel, first, min(4, COLUMNS - first), 0, 16 * DEPTH * first) for first in (0, 4, 8)]
    outputs = HEIGHT * WIDTH * COLUMNS
    row = (WIDTH + 2) * DEPTH
    sizes = [4 * n for n in ((HEIGHT + 2) * row, 16 * DEPTH * 12, 12, outputs, outputs)]
    strides = (outputs, WIDTH * COLUMNS, COLUMNS)
    arguments = {
        "allowed": allowed_bits("scalar"),
        "input": (0, 0),
        "weights": (1, 0),
        "bias": (2, 0),
        "output": (3, 0),
        "residual": (4, 0),
        "output_shape": (1, HEIGHT, WIDTH),
        "channels": DEPTH,
        "depth": DEPTH,
        "input_strides": ((HEIGHT + 2) * row, row, DEPTH),
        "output_strides": strides,
        "residual_strides": strides,
        "panels": panels,
        "activation": NO_ACTIVATION,
        "tiles_per_task": 4,
        "panels_per_task": 1,
    }
    _core.add_winograd_f32(_core.Program(sizes), **{**arguments, **changes})


def test_a_step_that_fits_is_added():
    add()
    add(residual=NO_BUFFER)


@pytest.mark.parametrize("slot, name", list(enumerate(["input", "weights", "bias", "output", "residual"])))
def test_buffers_that_end_too_early(slot, name):
    for offset in (4, -4, 1 << 40):
        with pytest.raises(ConvInferError, match="Winograd"):
            add(**{name: (slot, offset)})
    with pytest.raises(ConvInferError, match="Winograd"):
        add(**{name: (17, 0)})


NARROW = narrowest_of("scalar")
DOT = next(kernel for kernel in _core.kernels() if kernel.operation == "gemm_dot_f32")


@pytest.mark.parametrize(
    "changes",
    [
        {"output_shape": (1, 1, WIDTH)},
        {"output_shape": (1, HEIGHT, 1)},
        {"output_shape": (0, HEIGHT, WIDTH)},
        {"output_shape": (2, HEIGHT, WIDTH)},
        {"output_shape": (1, HEIGHT + 1, WIDTH)},
        {"output_shape": (2**31 - 1, 2**31 - 1, 2**31 - 1)},
        {"depth": 0},
        {"depth": DEPTH + 1},
        {"depth": 2**31 - 1, "channels": 2**31 - 1},
        {"channels": DEPTH + 1},
        {"tiles_per_task": 0},
        {"panels_per_task": 0},
        {"prefetch_distance": -1},
        {"input_strides": (1 << 40, 1 << 30, 1 << 20)},
        {"activation": LATE},
        {"panels": []},
        {"panels": [(DOT, 0, 4, 0, 0)]},
        {"panels": [(NARROW, 0, 5, 0, 0)]},
        {"panels": [(NARROW, 1, 4, 0, 0)]},
        {"panels": [(NARROW, 0, 4, 1, 0)]},
        {"panels": [(NARROW, 0, 4, -1, 0)]},
        {"panels": [(NARROW, 0, 4, 0, -1)]},
        {"panels": [(NARROW, 0, 4, 0, 2**62)]},
        {"panels": [(NARROW, 4 * n, 4, 0, 0) for n in range(4)]},
    ],
    ids=repr,
)
def test_arguments_that_cannot_be(changes):
    with pytest.raises(ConvInferError, match="Winograd"):
        add(**changes)


def test_weights_that_are_none():
    memory = _core.Memory(4 * 16 * 4 * 8)
    good = np.ones((4, 3, 3, 8), np.float32)
    _core.pack_winograd_f32(NARROW, good, memory, 0)
    for wrong, error in (
        (good.astype(np.float64), TypeError),
        (good[:, :, :2], ValueError),
        (good[0], TypeError),
        (np.ones((5, 3, 3, 8), np.float32), ValueError),
        (good[:0], ConvInferError),
    ):
        with pytest.raises(error):
            _core.pack_winograd_f32(NARROW, wrong, memory, 0)
    for offset in (-4, 2, 4, 1 << 40):
        with pytest.raises(ValueError, match="leave a memory"):
            _core.pack_winograd_f32(NARROW, good, memory, offset)


def test_weights_may_lie_in_any_order():
    rng = np.random.default_rng(0)
    stored = rng.standard_normal((6, 7, 3, 3)).astype(np.float32)  # as in a model file: OIHW
    as_it_lies, in_order = (_core.Memory(4 * 16 * 8 * 7) for _ in range(2))
    _core.pack_winograd_f32(NARROW, stored.transpose(0, 2, 3, 1), as_it_lies, 0)
    _core.pack_winograd_f32(NARROW, np.ascontiguousarray(stored.transpose(0, 2, 3, 1)), in_order, 0)
    assert bytes(as_it_lies) == bytes(in_order)


# ---- plans


def case(images=1, height=12, width=10, channels=24, columns=32, groups=1, pads=(1, 1, 1, 1), activation=None, **more):
    kernel, strides, dilations = (more.get(name, size) for name, size in
                                  (("kernel", (3, 3)), ("strides", (1, 1)), ("dilations", (1, 1))))  # fmt: skip
    return images, height, width, channels, columns, groups, kernel, strides, dilations, pads, activation


def planned(*sizes):
    x, w, b, attrs, expected = build(*sizes)
    return conv_graph(x.shape, w, b, attrs, expected.shape), x, expected


def lowering_of(plan) -> str:
    return plan.steps[-1].lowering


def test_plans_take_it_where_it_pays():
    graph, x, expected = planned(case())
    y, plan = run_plan(graph, x)
    assert lowering_of(plan).startswith(emitting.LOWERING)
    assert_near(y, expected)
    for threads in (2, 3):
        again, _ = run_plan(graph, x, threads)
        np.testing.assert_array_equal(y, again)


@pytest.mark.parametrize(
    "changes",
    [{"kernel": (3, 2)}, {"strides": (1, 2)}, {"dilations": (2, 1)}, {"height": 1}, {"channels": 1}, {"columns": 1}],
    ids=repr,
)
def test_plans_convolve_directly_elsewhere(changes):
    graph, x, expected = planned(case(**changes))
    y, plan = run_plan(graph, x)
    assert not lowering_of(plan).startswith(emitting.LOWERING)
    assert_near(y, expected)


def test_memory_is_spared_where_there_is_a_limit():
    graph, x, expected = planned(case())
    y, plan = run_plan(graph, x, max_memory=1 << 30)
    assert not lowering_of(plan).startswith(emitting.LOWERING)
    assert_near(y, expected)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        case,
        images=st.integers(1, 2),
        height=st.integers(2, 9),
        width=st.integers(2, 9),
        channels=st.sampled_from([2, 5, 16, 17]),
        columns=st.sampled_from([1, 4, 20, 33]),
        groups=st.integers(1, 3),
        pads=st.tuples(*[st.integers(1, 2)] * 4),
        activation=st.sampled_from([None, ("clamp", 0.0, np.inf), ("sigmoid", 0.0, 0.0)]),
    )
)
def test_any_size_planned(chosen):
    graph, x, expected = planned(chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emitting, "pays", lambda *sizes: True)
        y, _ = run_plan(graph, x, threads=2)
    assert_near(y, expected)
