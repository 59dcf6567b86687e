"""Reductions, normalisations and conversions against NumPy in float64, and onnxruntime."""

import numpy as np
import pytest
from emitting import run_node
from hypothesis import given, settings
from hypothesis import strategies as st
from strided import SETS, Operand, layouts, run_everywhere, run_step, shapes

from conv_infer import _core
from conv_infer.emit.reduce import REDUCTIONS, TYPES
from conv_infer.errors import ConvInferError

FAST = settings(max_examples=60, deadline=None)


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def log_sum_exp(x, **options):
    most = x.max(**options)
    return most + np.log(np.exp(x - most).sum(**options))


REDUCTION_REFERENCES = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
    "l1": lambda x, **options: np.abs(x).sum(**options),
    "l2": lambda x, **options: np.sqrt(np.square(x).sum(**options)),
    "sum_square": lambda x, **options: np.square(x).sum(**options),
    "log_sum": lambda x, **options: np.log(x.sum(**options)),
    "log_sum_exp": log_sum_exp,
}


def reduction(kind, shape, axes):
    def add(program, views, threads, allowed):
        _core.add_reduce(
            program,
            kind=REDUCTIONS.index(kind),
            shape=shape,
            axes=axes,
            y=views[0],
            x=views[1],
            threads=threads,
            allowed=allowed,
        )

    return add


def check_reduction(kind, x, axes, isa, y_layout=None):
    expected = REDUCTION_REFERENCES[kind](x.array.astype(np.float64), axis=axes, keepdims=True)
    y = Operand(expected.shape, np.float32, **(y_layout or {}))
    result = run_everywhere(reduction(kind, x.array.shape, axes), [y, x], isa)
    scale = np.abs(x.array).sum(axis=axes, keepdims=True) if kind in ("sum", "mean", "log_sum") else 1
    np.testing.assert_array_less(np.abs(result - expected), 2e-6 * (np.abs(expected) + scale) + 1e-30)


def test_every_reduction_has_a_reference():
    assert set(REDUCTION_REFERENCES) == set(REDUCTIONS)


@pytest.mark.parametrize("isa", SETS)
@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(REDUCTIONS), data=st.data())
def test_reductions(isa, kind, data):
    shape = data.draw(shapes(max_rank=4))
    axes = tuple(axis for axis in range(len(shape)) if data.draw(st.booleans()))
    values = normal(shape)
    x = Operand.of(np.abs(values) + 0.1 if kind == "log_sum" else values, **data.draw(layouts(shape)))
    y_shape = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    check_reduction(kind, x, axes, isa, data.draw(layouts(y_shape)))


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("kind", ["mean", "max", "l2", "log_sum_exp"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((2, 56, 56, 72), (1, 2)),
        ((1, 7, 7, 1100), (1, 2)),
        ((300, 1001), (1,)),
        ((3, 40_000), (0, 1)),
        ((50_000, 3), (0,)),
    ],
)
def test_reductions_of_networks(isa, kind, shape, axes):
    check_reduction(kind, Operand.of(normal(shape)), axes, isa)


@pytest.mark.parametrize("isa", SETS)
def test_extremes_keep_nan_and_infinity(isa):
    values = normal((5, 70))
    values[1, 3] = values[2, 69] = np.nan
    values[3] = -np.inf
    values[4, 5] = np.inf
    for kind in ("max", "min", "log_sum_exp"):
        for axes in ((0,), (1,), (0, 1)):
            x = Operand.of(values)
            with np.errstate(all="ignore"):
                expected = REDUCTION_REFERENCES["max" if kind == "log_sum_exp" else kind](
                    values, axis=axes, keepdims=True
                )
            y = Operand(expected.shape, np.float32)
            result = run_step(reduction(kind, values.shape, axes), [y, x], isa)
            if kind != "log_sum_exp":
                np.testing.assert_array_equal(result, expected)
            else:
                np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
                infinite = np.isinf(expected)
                np.testing.assert_array_equal(result[infinite], expected[infinite])


def test_reductions_of_nothing():
    for kind, expected in (("sum", 0), ("mean", np.nan), ("max", -np.inf), ("min", np.inf), ("prod", 1)):
        for shape, axes in (((3, 0), (1,)), ((0, 3), (0,))):
            y = Operand([1 if axis in axes else size for axis, size in enumerate(shape)], np.float32)
            result = run_step(reduction(kind, shape, axes), [y, Operand(shape, np.float32)], "scalar")
            np.testing.assert_array_equal(result, np.full(y.array.shape, expected, np.float32))


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize("isa", SETS)
@FAST
@given(data=st.data(), log=st.booleans())
def test_softmax(isa, data, log):
    shape = data.draw(shapes(min_rank=1, max_rank=4, max_size=70))
    if np.prod(shape) > 100_000:
        return
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = Operand.of(normal(shape) * 10, **data.draw(layouts(shape)))
    y = Operand(shape, np.float32, **data.draw(layouts(shape)))

    def add(program, views, threads, allowed):
        _core.add_softmax(
            program, shape=shape, axis=axis, log=log, y=views[0], x=views[1], threads=threads, allowed=allowed
        )

    expected = softmax(x.array.astype(np.float64), axis)
    result = run_everywhere(add, [y, x], isa)
    if log:
        np.testing.assert_allclose(result, np.log(expected), rtol=1e-6, atol=1e-5)
    else:
        np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-30)  # rounding x - max, 60 at most


@pytest.mark.parametrize("size", [1, 15, 33, 1000])
@pytest.mark.parametrize("log", [False, True])
def test_softmax_of_extremes(size, log):
    x = normal((4, size))
    x[0] = 1e30
    x[1] = -1e30
    x[2, 0] = np.nan
    x[3, 0] = -np.inf
    x[3, -1] = 3
    with np.errstate(all="ignore"):
        expected = softmax(x.astype(np.float64), 1)
        expected = np.log(expected) if log else expected
    result = run_node("Softmax", [x], Operand(x.shape, np.float32), {"axis": -1, "log": log})
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def lrn(x, size, alpha, beta, bias):
    square = np.zeros(x.shape)
    channels = x.shape[-1]
    for channel in range(channels):
        first, last = max(0, channel - (size - 1) // 2), min(channels - 1, channel + size // 2)
        square[..., channel] = np.square(x[..., first : last + 1]).sum(-1)
    return x / (bias + alpha / size * square) ** beta


@pytest.mark.parametrize("isa", SETS)
@FAST
@given(data=st.data())
def test_lrn(isa, data):
    shape = data.draw(shapes(min_rank=2, max_rank=4, max_size=20))
    x = Operand.of(normal(shape) * 4, **data.draw(layouts(shape)))
    y = Operand(shape, np.float32, **data.draw(layouts(shape)))
    size = data.draw(st.integers(1, 2 * shape[-1] + 1))
    options = {"alpha": 0.3, "beta": data.draw(st.sampled_from([0.5, 0.75, 1.0])), "bias": 1.5}

    def add(program, views, threads, allowed):
        _core.add_lrn(
            program,
            shape=shape,
            axis=len(shape) - 1,
            size=size,
            y=views[0],
            x=views[1],
            threads=threads,
            allowed=allowed,
            **options,
        )

    expected = lrn(x.array.astype(np.float64), size, **options)
    np.testing.assert_allclose(run_everywhere(add, [y, x], isa), expected, rtol=3e-6)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 13, 14, 40, 41])
def test_lrn_of_any_window(size):
    x = normal((2, 3, 4, 6))
    options = {"alpha": 0.5, "beta": 0.75, "bias": 1.0}
    result = run_node("LRN", [x], Operand(x.shape, np.float32), {"size": size, **options})
    np.testing.assert_allclose(result, lrn(x.astype(np.float64), size, **options), rtol=3e-6)


@FAST
@given(data=st.data())
def test_instance_norm(data):
    shape = data.draw(shapes(min_rank=2, max_rank=5, max_size=7))
    channels = data.draw(st.sampled_from([1, 3, 16, 70, 300, 600]))
    groups = data.draw(
        st.sampled_from([size for size in (1, 2, channels // 2, channels) if size and channels % size == 0])
    )
    shape = (*shape[:-1], channels)
    rank = len(shape)
    steps = (*(data.draw(st.sampled_from([1, 2, -1])) for _ in shape[:-1]), 1)
    x = Operand.of(normal(shape) + 5, steps=steps)
    scale, shift = normal(shape[-1:], 1), normal(shape[-1:], 2)
    exact = x.array.astype(np.float64).reshape(*shape[:-1], groups, -1)
    axes = (*range(1, rank - 1), rank)
    mean, variance = exact.mean(axis=axes, keepdims=True), exact.var(axis=axes, keepdims=True)
    expected = ((exact - mean) / np.sqrt(variance + 1e-3)).reshape(shape) * scale + shift
    attrs = {"groups": groups, "epsilon": 1e-3}
    one, two = (
        run_node("InstanceNorm", [x, scale, shift], Operand(shape, np.float32), attrs, threads=threads)
        for threads in (1, 2)
    )
    np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(one, two)


@FAST
@given(data=st.data(), has_scale=st.booleans(), has_shift=st.booleans())
def test_layer_norm(data, has_scale, has_shift):
    shape = data.draw(shapes(min_rank=1, max_rank=4, max_size=12))
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = Operand.of(normal(shape) + 3, **data.draw(layouts(shape)))
    scale = normal(shape[axis:], 1) if has_scale else None
    shift = normal(shape[axis:], 2) if has_shift else None
    exact = x.array.astype(np.float64)
    axes = tuple(range(axis, len(shape)))
    mean, variance = exact.mean(axis=axes, keepdims=True), exact.var(axis=axes, keepdims=True)
    expected = (exact - mean) / np.sqrt(variance + 1e-3)
    expected = expected * (1 if scale is None else scale) + (0 if shift is None else shift)
    output = Operand(shape, np.float32, **data.draw(layouts(shape)))
    one, two = (
        run_node("LayerNorm", [x, scale, shift], output, {"axis": axis, "epsilon": 1e-3}, threads=threads)
        for threads in (1, 2)
    )
    np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(one, two)


def cast_everything(values, target):
    x = Operand.of(values)
    return run_node("Cast", [x], Operand(x.array.shape, target), {})


@pytest.mark.parametrize("target", TYPES)
@pytest.mark.parametrize("source", TYPES)
def test_cast_of_what_fits(source, target):
    values = np.arange(0, 128).repeat(3)
    if source.startswith("float") and target.startswith("float"):
        values = np.random.default_rng(0).normal(size=999) * np.geomspace(1e-9, 1e4, 999)
    elif source.startswith("float"):
        values = values + np.tile([0, 0.25, 0.99], 128)
    values = values.astype(source)
    expected = values.astype(target)
    if (source, target) == ("float64", "float16"):
        expected = values.astype(np.float32).astype(target)
    np.testing.assert_array_equal(cast_everything(values, target), expected)


def test_every_half_converts_both_ways():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    singles = cast_everything(halves, np.float32)
    np.testing.assert_array_equal(singles, halves.astype(np.float32))
    neighbours = np.concatenate([np.nextafter(singles, np.float32(side)) for side in (-np.inf, np.inf)])
    middles = (singles[1:].astype(np.float64) + singles[:-1]).astype(np.float32) / 2
    for values in (singles, neighbours, middles, singles * 3):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(cast_everything(values, np.float16), values.astype(np.float16))


def test_cast_of_what_does_not_fit():
    lowest = {np.int32: -(2**31), np.int64: -(2**63)}
    values = np.array([np.nan, np.inf, -np.inf, 1e20, -1e20], np.float32)
    for target, bound in lowest.items():
        np.testing.assert_array_equal(cast_everything(values, target), np.full(5, bound, target))
    np.testing.assert_array_equal(cast_everything(np.float32([-1.9, 300.5]), np.uint8), np.uint8([255, 44]))
    np.testing.assert_array_equal(cast_everything(np.int64([2**40 + 5, -1]), np.int32), np.int32([5, -1]))
    np.testing.assert_array_equal(cast_everything(values, np.bool_), np.ones(5, bool))
    large = np.array([2**62 + 1, 2**24 + 1, -(2**53) - 1])
    np.testing.assert_array_equal(cast_everything(large, np.float32), large.astype(np.float32))
    np.testing.assert_array_equal(cast_everything(large, np.float64), large.astype(np.float64))


@FAST
@given(data=st.data())
def test_cast_over_any_strides(data):
    shape = data.draw(shapes())
    source, target = (data.draw(st.sampled_from(TYPES)) for _ in range(2))
    x = Operand.of(np.random.default_rng(0).integers(0, 100, shape).astype(source), **data.draw(layouts(shape)))
    y = Operand(shape, target, **data.draw(layouts(shape)))
    np.testing.assert_array_equal(run_node("Cast", [x], y, {}), x.array.astype(target))


def test_axes_that_are_not_there_are_refused():
    program = _core.Program([0, 0, 64])
    view = (2, 0), (4, 1)
    for axes in ((2,), (-1,)):
        with pytest.raises(ConvInferError):
            _core.add_reduce(program, kind=0, shape=(4, 4), axes=axes, y=view, x=view, threads=1, allowed=1)
