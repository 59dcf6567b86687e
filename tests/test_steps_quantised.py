"""Steps on quantised tensors, bit for bit against exact NumPy, with every instruction set."""

import emitting
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from placing import allowed_bits
from planned_reference_quantised import evaluate
from strided import Operand, layouts

from conv_infer import _core
from conv_infer.graph import INTERNAL, Node
from conv_infer.passes.quantised.windows import softmax_table

INSTRUCTION_SETS = [isa for isa in _core.isa_allowed() if isa in ("scalar", "avx2", "avx512", "neon")]
SHAPES = st.lists(st.sampled_from([1, 2, 3, 7, 33, 70]), min_size=1, max_size=3).map(tuple)

each_isa = pytest.mark.parametrize("isa", INSTRUCTION_SETS)


def check(isa, op, inputs, attrs, output, data=None, threads=1):
    """Runs a planned operator and compares it with its definition; with `data`, over arrays of any strides.

    `output` is (shape, type)."""
    shape, dtype = output[0], np.dtype(output[1])
    expected = evaluate(Node(op, ["x"], ["y"], attrs, domain=INTERNAL), inputs, shape, dtype)
    lay = (lambda shape: data.draw(layouts(shape))) if data is not None else (lambda shape: {})
    operands = [Operand.of(array, **lay(array.shape)) for array in inputs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emitting, "ALLOWED", allowed_bits(isa))
        actual = emitting.run_node(op, operands, Operand(shape, dtype, **lay(shape)), attrs, threads=threads)
    assert actual.dtype == dtype
    assert actual.tobytes() == expected.astype(dtype).tobytes()


def random_bytes(data, shape, name="seed"):
    return np.random.default_rng(data.draw(st.integers(0, 2**32), label=name)).integers(0, 256, shape, np.uint8)


def scales(data, size=None):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    return (
        np.float32(rng.uniform(0.003, 0.2, size)) if size else np.float32(rng.choice([0.0625, rng.uniform(0.003, 0.2)]))
    )


@each_isa
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_quantize(isa, data):
    shape = data.draw(SHAPES)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    axis = data.draw(st.sampled_from([None, len(shape) - 1, 0]))
    scale = scales(data, None if axis is None else shape[axis])
    zero = rng.integers(0, 256, None if axis is None else shape[axis])
    x = (rng.standard_normal(shape) * data.draw(st.sampled_from([1.0, 10.0, 1e6, 1e30]))).astype(np.float32)
    ties = rng.random(shape) < 0.3
    x[ties] = (rng.integers(-600, 600, shape)[ties] / 32).astype(np.float32)
    check(isa, "Quantize", [x], {"scale": scale, "zero_point": zero, "axis": axis}, (shape, np.uint8), data)


@each_isa
def test_quantize_takes_nan_for_zero(isa):
    x = np.array([np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 0.0] * 20, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emitting, "ALLOWED", allowed_bits(isa))
        attrs = {"scale": np.float32(0.5), "zero_point": 7, "axis": None}
        y = emitting.run_node("Quantize", [x], Operand.of(np.zeros(x.shape, np.uint8)), attrs)
    assert y.tolist() == [7, 255, 0, 255, 0, 7] * 20


@each_isa
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_dequantize(isa, data):
    shape = data.draw(SHAPES)
    axis = data.draw(st.sampled_from([None, len(shape) - 1, 0]))
    size = None if axis is None else shape[axis]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    if data.draw(st.booleans()):
        x, zero = rng.integers(0, 256, shape, np.uint8), rng.integers(0, 256, size)
    else:
        x, zero = rng.integers(-(2**31), 2**31, shape, np.int64).astype(np.int32), np.zeros(size or (), np.int32)
    check(
        isa,
        "Dequantize",
        [x],
        {"scale": scales(data, size), "zero_point": zero, "axis": axis},
        (shape, np.float32),
        data,
    )


@each_isa
@pytest.mark.parametrize("kind", ["add", "mul"])
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_binary(isa, kind, data):
    shape = data.draw(SHAPES)
    small = tuple(1 if data.draw(st.integers(0, 3)) == 0 else size for size in shape)
    pair = [random_bytes(data, shape), random_bytes(data, small, "other seed")]
    if data.draw(st.booleans()):
        pair.reverse()
    attrs = {"kind": kind}
    for name in "aby":
        attrs[f"{name}_scale"], attrs[f"{name}_zero_point"] = scales(data), data.draw(st.integers(0, 255))
    attrs["lo"], attrs["hi"] = data.draw(st.sampled_from([(0, 255), (30, 200)]))
    check(isa, "QBinary", pair, attrs, (shape, np.uint8), data, threads=data.draw(st.integers(1, 2)))


@each_isa
@settings(deadline=None, max_examples=30)
@given(st.data())
def test_lookup(isa, data):
    shape = data.draw(SHAPES)
    check(
        isa,
        "QLookup",
        [random_bytes(data, shape)],
        {"table": random_bytes(data, 256, "table")},
        (shape, np.uint8),
        data,
    )


@each_isa
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_mean(isa, data):
    shape = data.draw(st.tuples(*[st.sampled_from([1, 2, 5, 9, 40])] * 4))
    axes = data.draw(st.sampled_from([(1, 2), (3,), (0, 3), (1,), (0, 1, 2, 3)]))
    x = random_bytes(data, shape)
    if data.draw(st.booleans()):
        x[...] = data.draw(st.sampled_from([0, 255]))
    attrs = {"axes": axes, "x_scale": scales(data), "y_scale": scales(data)}
    attrs["x_zero_point"], attrs["y_zero_point"] = data.draw(st.integers(0, 255)), data.draw(st.integers(0, 255))
    out = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    check(isa, "QMean", [x], attrs, (out, np.uint8), data)


@each_isa
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_average_pool(isa, data):
    integers = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    height, width, channels = integers(3, 9), integers(3, 9), data.draw(st.sampled_from([1, 3, 17, 64, 70]))
    kernel = integers(1, 3), integers(1, 3)
    strides = integers(1, 2), integers(1, 2)
    pads = tuple(integers(0, size - 1) for size in (*kernel, *kernel))
    out = [
        (size + pads[axis] + pads[axis + 2] - kernel[axis]) // strides[axis] + 1
        for axis, size in ((0, height), (1, width))
    ]
    attrs = {"kernel": kernel, "strides": strides, "pads": pads, "count_include_pad": data.draw(st.booleans())}
    attrs |= {"x_scale": scales(data), "y_scale": scales(data)}
    attrs["x_zero_point"], attrs["y_zero_point"] = integers(0, 255), integers(0, 255)
    x = random_bytes(data, (2, height, width, channels))
    check(isa, "QAveragePool", [x], attrs, ((2, *out, channels), np.uint8), threads=integers(1, 2))


@each_isa
@pytest.mark.parametrize("channels", [5, 24, 70])
@pytest.mark.parametrize("taps", [(2, 2), (3, 3), (17, 17)])
@pytest.mark.parametrize("scale", [1.0, 1.0000001, 0.99999994, 3e38, 1e-40])
def test_means_halfway_between_levels(isa, channels, taps, scale):
    """Sums that the roundings of each tap decide: with equal scales, a quarter of the means of four lie halfway."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1, 18, 18, channels), np.uint8)
    x[0, 9:] = 255  # the largest sums
    attrs = {"kernel": taps, "strides": (1, 1), "pads": (1, 1, 1, 1), "count_include_pad": False, "x_zero_point": 7}
    attrs |= {"x_scale": np.float32(0.1 * scale), "y_scale": np.float32(0.1), "y_zero_point": 3}
    out = (1, 21 - taps[0], 21 - taps[1], channels)
    with np.errstate(over="ignore", invalid="ignore"):
        check(isa, "QAveragePool", [x], attrs, (out, np.uint8))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_softmax(data):
    shape = data.draw(SHAPES)
    axis = data.draw(st.integers(0, len(shape) - 1))
    scale, y_scale = scales(data), np.float32(1 / 256)
    attrs = {"axis": axis, "table": softmax_table(scale, shape[axis]), "factor": np.float32(1) / y_scale}
    attrs |= {"x_scale": scale, "y_scale": y_scale, "y_zero_point": data.draw(st.integers(0, 255))}
    check(None, "QSoftmax", [random_bytes(data, shape)], attrs, (shape, np.uint8), data)
