"""onnxruntime's operators on quantised tensors, any shapes, types and parameters, through sessions: its levels."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnxruntime_exact import session
from quantised_builder import INT8, UINT8, QuantisedNet

import conv_infer


class Drawn:
    """A network of one operator, drawn piece by piece."""

    def __init__(self, data):
        self.draw = data.draw
        self.net = QuantisedNet(seed=self.draw(st.integers(0, 1000)))
        self.dtype = self.draw(st.sampled_from([INT8, UINT8]))

    def size(self, most=9):
        return self.draw(st.integers(1, most))

    def flag(self):
        return self.draw(st.booleans())

    def parameters(self, low=0.005, high=0.2):
        """A scale and a zero point, the extremes among them."""
        limits = np.iinfo(self.dtype)
        zero = self.draw(st.sampled_from([limits.min, limits.max, 0]) | st.integers(limits.min, limits.max))
        return self.net.scale(low, high), self.net.zero(self.dtype, zero)

    def operand(self, shape):
        return self.net.levels(shape, self.dtype), *self.parameters()

    def image(self, channels_last=False):
        height, width, channels = self.size(12), self.size(12), self.size(20)
        return (self.size(2), *((height, width, channels) if channels_last else (channels, height, width)))


def binary(drawn, op):
    shape = drawn.image()
    other = tuple(1 if drawn.flag() and drawn.flag() else size for size in shape)
    both = [drawn.operand(shape), drawn.operand(other)]
    a, b = both if drawn.flag() else both[::-1]
    return drawn.net.ms(op, *a, *b, *drawn.parameters(0.05, 0.3))


def concat(drawn, op):
    shape, axis = list(drawn.image()), drawn.draw(st.integers(-4, 3))
    parts, result = [], drawn.parameters()
    for _ in range(drawn.size(3)):
        shape[axis] = drawn.size(5)
        levels, *own = drawn.operand(shape)
        parts += [levels, *(result if drawn.flag() else own)]
    return drawn.net.ms(op, *result, *parts, axis=axis)


def unary(drawn, op):
    attrs = {"alpha": drawn.draw(st.floats(0.001, 0.9))} if op == "QLinearLeakyRelu" else {}
    return drawn.net.ms(op, *drawn.operand(drawn.image()), *drawn.parameters(), **attrs)


def softmax(drawn, op):
    """Of two elements at least, by no tiny scale: else onnxruntime's exponentials overflow, and certainty becomes 0."""
    shape = tuple(size + 1 for size in drawn.image())
    levels, _, zero = drawn.operand(shape)
    after = drawn.net.const(np.float32(1 / 256)), drawn.net.zero(drawn.dtype, np.iinfo(drawn.dtype).min)
    return drawn.net.ms(
        op, levels, drawn.net.scale(0.02, 0.2), zero, *after, axis=drawn.draw(st.integers(-4, 3)), opset=13
    )


def global_pool(drawn, op):
    last = int(drawn.flag())
    return drawn.net.ms(op, *drawn.operand(drawn.image(last)), *drawn.parameters(0.005, 0.05), channels_last=last)


def pool(drawn, op):
    shape = drawn.image()
    kernel = [drawn.draw(st.integers(1, min(4, size))) for size in shape[2:]]
    pads = [drawn.draw(st.integers(0, size - 1)) for size in (*kernel, *kernel)]
    window = {"kernel_shape": kernel, "strides": [drawn.size(3), drawn.size(3)], "pads": pads}
    counts = int(drawn.flag())
    return drawn.net.ms(op, *drawn.operand(shape), *drawn.parameters(), **window, count_include_pad=counts)


def gemm(drawn, op):
    rows, depth, columns, transposed = drawn.size(), drawn.size(70), drawn.size(40), int(drawn.flag())
    net, per_column = drawn.net, drawn.flag()
    weights = net.integers((columns, depth) if transposed else (depth, columns))
    w = (
        weights,
        net.scale(0.002, 0.02, columns if per_column else None),
        net.zero(INT8, 0, columns if per_column else None),
    )
    bias = net.integers(columns, np.int32, -3000, 3000) if drawn.flag() else ""
    result = drawn.parameters(0.05, 0.5) if drawn.flag() else ()
    attrs = {"transB": transposed, "alpha": drawn.draw(st.sampled_from([1.0, 0.5, 1.7]))}
    return net.ms(op, *drawn.operand((rows, depth)), *w, bias, *result, **attrs)


OPERATORS = {
    "QLinearAdd": binary,
    "QLinearMul": binary,
    "QLinearConcat": concat,
    "QLinearLeakyRelu": unary,
    "QLinearSigmoid": unary,
    "QLinearSoftmax": softmax,
    "QLinearGlobalAveragePool": global_pool,
    "QLinearAveragePool": pool,
    "QGemm": gemm,
}
# Where an operand is broadcast, onnxruntime adds in another order
ROUNDED_ELSEWHERE = {"QLinearAdd": 1}


@pytest.mark.parametrize("op", OPERATORS)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any(op, data):
    drawn = Drawn(data)
    name = OPERATORS[op](drawn, op)
    model = drawn.net.model(name)
    (wanted,) = session(model).run([name], drawn.net.feeds)
    found = conv_infer.run(model.SerializeToString(), drawn.net.feeds, strict=True)[name]
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    difference = np.abs(found.astype(np.float64) - wanted)
    if found.dtype == np.float32:  # the sums are exact, what becomes of them rounds twice
        assert difference.max() <= 1e-6 * np.abs(wanted).max()
    else:
        assert difference.max() <= ROUNDED_ELSEWHERE.get(op, 0)
