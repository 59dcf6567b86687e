"""Activations, binary operators, scale and shift against NumPy in float64."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strided import SETS, Operand, layouts, run_everywhere, run_step, shapes

from conv_infer import _core
from conv_infer.emit.activations import KINDS
from conv_infer.emit.elementwise import BINARY_KINDS
from conv_infer.errors import ConvInferError

FAST = settings(max_examples=60, deadline=None)
NO_ACTIVATION = (0, -np.inf, np.inf)
erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def elu(x, alpha):
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))


# kind -> (function of float64 x, alpha, beta; alpha; beta)
REFERENCES = {
    "clamp": (lambda x, a, b: np.minimum(np.maximum(x, a), b), -0.5, 6.0),
    "leaky_relu": (lambda x, a, b: np.where(x >= 0, x, a * x), 0.125, 0.0),
    "hard_swish": (lambda x, a, b: x * np.clip(a * x + b, 0, 1), 0.125, 0.5),
    "hard_sigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), 0.25, 0.5),
    "sigmoid": (lambda x, a, b: sigmoid(x), 0.0, 0.0),
    "silu": (lambda x, a, b: x * sigmoid(a * x), 1.5, 0.0),
    "tanh": (lambda x, a, b: np.tanh(x), 0.0, 0.0),
    "elu": (lambda x, a, b: elu(x, a), 1.5, 0.0),
    "selu": (lambda x, a, b: b * elu(x, a), 1.625, 1.0625),
    "celu": (lambda x, a, b: np.maximum(0, x) + np.minimum(0, a * np.expm1(np.minimum(x, 0) / a)), 2.0, 0.0),
    "mish": (lambda x, a, b: x * np.tanh(np.logaddexp(0, x)), 0.0, 0.0),
    "gelu": (lambda x, a, b: x / 2 * (1 + erf(x / np.sqrt(2))), 0.0, 0.0),
    "gelu_tanh": (lambda x, a, b: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))), 0.0, 0.0),
    "softplus": (lambda x, a, b: np.logaddexp(0, x), 0.0, 0.0),
    "softsign": (lambda x, a, b: x / (1 + np.abs(x)), 0.0, 0.0),
    "exp": (lambda x, a, b: np.exp(x), 0.0, 0.0),
    "log": (lambda x, a, b: np.log(x), 0.0, 0.0),
    "sqrt": (lambda x, a, b: np.sqrt(x), 0.0, 0.0),
    "abs": (lambda x, a, b: np.abs(x), 0.0, 0.0),
    "neg": (lambda x, a, b: -x, 0.0, 0.0),
    "reciprocal": (lambda x, a, b: 1 / x, 0.0, 0.0),
    "floor": (lambda x, a, b: np.floor(x), 0.0, 0.0),
    "ceil": (lambda x, a, b: np.ceil(x), 0.0, 0.0),
    "round": (lambda x, a, b: np.round(x), 0.0, 0.0),
    "erf": (lambda x, a, b: erf(x), 0.0, 0.0),
    "sin": (lambda x, a, b: np.sin(x), 0.0, 0.0),
    "cos": (lambda x, a, b: np.cos(x), 0.0, 0.0),
}
POSITIVE_ONLY = {"log", "sqrt"}
# Where the exact result is a difference of nearly equal numbers, the error is measured against |x|, not the result.
CANCELLING = {"gelu", "gelu_tanh", "mish", "silu"}
MAGNITUDES = np.geomspace(1e-30, 80.0, 3001)


def triple(kind):
    return KINDS.index(kind), REFERENCES[kind][1], REFERENCES[kind][2]


def activation(shape, activation_triple):
    def add(program, views, threads, allowed):
        _core.add_activation(
            program, shape=shape, y=views[0], x=views[1], activation=activation_triple, threads=threads, allowed=allowed
        )

    return add


def test_every_activation_has_a_reference():
    assert set(REFERENCES) == set(KINDS)


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("kind", KINDS)
def test_activations_are_accurate(isa, kind):
    values = MAGNITUDES if kind in POSITIVE_ONLY else np.concatenate([-MAGNITUDES, MAGNITUDES])
    x = Operand.of(values.astype(np.float32))
    y = Operand(x.array.shape, np.float32)
    result = run_everywhere(activation(x.array.shape, triple(kind)), [y, x], isa)
    function, alpha, beta = REFERENCES[kind]
    exact = x.array.astype(np.float64)
    expected = function(exact, alpha, beta)
    scale = np.abs(exact) if kind in CANCELLING else np.abs(expected)
    error = np.abs(result - expected) / np.maximum(scale, np.finfo(np.float32).tiny)
    assert error.max() < 1e-6, f"at {exact[error.argmax()]}"


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("kind", KINDS)
def test_activations_of_nan_and_infinity(isa, kind):
    x = Operand.of(np.array([np.nan, np.inf, -np.inf] * 11, np.float32))
    y = Operand(x.array.shape, np.float32)
    result = run_step(activation(x.array.shape, triple(kind)), [y, x], isa)
    with np.errstate(all="ignore"):
        expected = REFERENCES[kind][0](x.array.astype(np.float64), *REFERENCES[kind][1:])
    if kind in ("silu", "gelu", "gelu_tanh", "mish", "hard_swish"):  # -inf * 0: NaN, or the limit
        expected[2::3] = result[2::3]
        assert np.all(np.isnan(result[2::3]) | (result[2::3] == 0))
    if kind == "softsign":  # inf / inf
        expected[np.isinf(x.array)] = np.nan
    np.testing.assert_array_equal(result, expected.astype(np.float32))


@pytest.mark.parametrize("isa", SETS)
@FAST
@given(data=st.data())
def test_activation_over_any_strides(isa, data):
    shape = data.draw(shapes())
    values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    x = Operand.of(values, **data.draw(layouts(shape)))
    y = Operand(shape, np.float32, **data.draw(layouts(shape)))
    result = run_step(activation(shape, triple("leaky_relu")), [y, x], isa)
    np.testing.assert_array_equal(result, np.where(values >= 0, values, np.float32(0.125) * values))


BINARY_REFERENCES = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": np.minimum,
    "max": np.maximum,
    "pow": np.power,
    "prelu": lambda a, b: np.where(a >= 0, a, a * b),
    "mod": np.fmod,
}


def binary(kind, shape, a, b, activation_triple=NO_ACTIVATION, y=None):
    def add(program, views, threads, allowed):
        _core.add_binary(
            program,
            kind=BINARY_KINDS.index(kind),
            shape=shape,
            y=y or views[0],
            a=a,
            b=b,
            activation=activation_triple,
            threads=threads,
            allowed=allowed,
        )

    return add


def test_every_binary_operator_has_a_reference():
    assert set(BINARY_REFERENCES) == set(BINARY_KINDS)


@pytest.mark.parametrize("isa", SETS)
@settings(max_examples=120, deadline=None)
@given(kind=st.sampled_from(BINARY_KINDS), data=st.data())
def test_binary_broadcasts(isa, kind, data):
    shape = data.draw(shapes(max_rank=4))
    rng = np.random.default_rng(2)
    operands = []
    for _ in range(2):
        narrow = tuple(1 if data.draw(st.booleans()) else size for size in shape)
        narrow = narrow[data.draw(st.integers(0, len(shape))) :] if set(narrow) <= {1} else narrow
        values = rng.normal(size=narrow).astype(np.float32)
        values = np.abs(values) + 0.5 if kind == "pow" else values
        operands.append(Operand.of(values, **data.draw(layouts(narrow))))
    y = Operand(shape, np.float32, **data.draw(layouts(shape)))
    a, b = operands
    result = run_step(binary(kind, shape, a.view(3, shape), b.view(4, shape)), [y, a, b], isa)
    expected = np.broadcast_to(BINARY_REFERENCES[kind](a.array, b.array), shape)
    if kind == "pow":
        np.testing.assert_allclose(result, expected, rtol=1e-6)
    else:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("shape_b", [(2, 40, 41, 24), (1, 1, 1, 24), (2, 1, 1, 24), (2, 40, 41, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("kind", ["clamp", "sigmoid"])
def test_binary_with_activation(isa, shape_b, kind):
    rng = np.random.default_rng(3)
    shape = (2, 40, 41, 24)
    a = Operand.of(rng.normal(size=shape).astype(np.float32))
    b = Operand.of(rng.normal(size=shape_b).astype(np.float32))
    y = Operand(shape, np.float32)
    for first, second in ((a.view(3), b.view(4, shape)), (b.view(4, shape), a.view(3))):
        result = run_everywhere(binary("add", shape, first, second, triple(kind)), [y, a, b], isa)
        expected = REFERENCES[kind][0](np.float64(a.array + b.array), *REFERENCES[kind][1:])
        np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("isa", SETS)
def test_minimum_and_maximum_keep_nan(isa):
    a = Operand.of(np.array([np.nan, 1, np.nan, 2] * 9, np.float32))
    b = Operand.of(np.array([1, np.nan, np.nan, 3] * 9, np.float32))
    y = Operand(a.array.shape, np.float32)
    for kind, function in (("min", np.minimum), ("max", np.maximum)):
        result = run_step(binary(kind, a.array.shape, a.view(3), b.view(4)), [y, a, b], isa)
        np.testing.assert_array_equal(result, function(a.array, b.array))


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("size", [1, 15, 16, 33, 40_000])
def test_binary_in_place(isa, size):
    rng = np.random.default_rng(4)
    a, b = (Operand.of(rng.normal(size=size).astype(np.float32)) for _ in range(2))
    expected = np.maximum(a.array + b.array, 0)
    for first, second in ((a.view(2), b.view(3)), (b.view(3), a.view(2))):
        result = run_everywhere(binary("add", (size,), first, second, (0, 0.0, np.inf)), [a, b], isa)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("isa", SETS)
@FAST
@given(data=st.data())
def test_scale_and_shift(isa, data):
    shape = data.draw(shapes(min_rank=1, max_rank=4, max_size=20))
    rng = np.random.default_rng(5)
    x = Operand.of(rng.normal(size=shape).astype(np.float32), **data.draw(layouts(shape)))
    scale, shift = (Operand.of(rng.normal(size=shape[-1]).astype(np.float32)) for _ in range(2))
    y = Operand(shape, np.float32)

    def add(program, views, threads, allowed):
        _core.add_affine(
            program,
            shape=shape,
            y=views[0],
            x=views[1],
            scale=scale.view(4, shape),
            shift=shift.view(5, shape),
            activation=(0, 0.0, np.inf),
            threads=threads,
            allowed=allowed,
        )

    result = run_everywhere(add, [y, x, scale, shift], isa)
    expected = np.maximum(np.float64(x.array) * scale.array + shift.array, 0)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_unknown_kinds_are_refused():
    program = _core.Program([0, 0, 64])
    view = (2, 0), (1,)
    with pytest.raises(ConvInferError):
        activation((4,), (len(KINDS), 0.0, 0.0))(program, [view, view], threads=1, allowed=1)
    with pytest.raises(ConvInferError):
        _core.add_binary(
            program, kind=99, shape=(4,), y=view, a=view, b=view, activation=NO_ACTIVATION, threads=1, allowed=1
        )
