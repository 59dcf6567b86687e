"""The planned operators on int8 and uint8 tensors, in exact NumPy: 64-bit sums, float32 step by step.

Each formula is what onnxruntime 1.31 computes on x86-64 with VNNI, bit for bit, unless a docstring says otherwise.
`fma` is the fused multiply-add of float32.
"""

from __future__ import annotations

import numpy as np
from planned_reference import windows

from conv_infer.graph import Node


def fma(a, b, c):
    """round(a * b + c), rounded to float32 once.

    In float64 the product of two float32 is exact and so, for the magnitudes at hand, is the sum.
    """
    return (np.float64(a) * np.float64(b) + np.float64(c)).astype(np.float32)


def clip(levels, lo, hi, dtype):
    """Rounded levels, limited to lo .. hi, as an integer tensor."""
    limits = np.iinfo(dtype)
    assert limits.min <= lo <= hi <= limits.max
    return np.clip(levels, lo, hi).astype(dtype)


def saturate(levels, dtype):
    limits = np.iinfo(dtype)
    return np.clip(levels, limits.min, limits.max).astype(dtype)


def conv(inputs, attrs, shape, dtype):
    """QConv: clip(rint(float32(acc) * scale) + y_zero_point, lo, hi); acc alone if `raw`.

    acc = sum over the window of (x - x_zero_point) * (w - w_zero_point) + bias; padding holds x_zero_point.
    With `add`, the result q is operand a of an addition (see `binary`), the fourth input is operand b. With `line` it
    becomes clip(rint(fma(q, slope, intercept)), lo, hi).
    """
    x, w, bias, other = inputs
    o, kh, kw, depth = w.shape
    groups = attrs["groups"]
    if attrs["input_channels"] is not None:
        channels = np.asarray(attrs["input_channels"])
        assert channels.shape == (groups * depth,)
        x = x[..., channels]
    assert x.shape[-1] == groups * depth, (x.shape, w.shape, groups)
    levels = x.astype(np.int64) - attrs["x_zero_point"]
    weights = w.astype(np.int64) - np.asarray(attrs["w_zero_point"], np.int64).reshape(-1, 1, 1, 1)
    cut = windows(levels, (kh, kw), attrs["strides"], attrs["dilations"], attrs["pads"], shape[1:3], 0)
    n, oh, ow = cut.shape[:3]
    cut = cut.reshape(n * oh * ow, kh * kw, groups, depth).transpose(2, 0, 1, 3).reshape(groups, n * oh * ow, -1)
    weights = weights.reshape(groups, o // groups, kh * kw * depth).transpose(0, 2, 1)
    # float64 holds these sums exactly, and multiplies faster than int64
    acc = (cut.astype(np.float64) @ weights.astype(np.float64)).astype(np.int64)
    acc = acc.transpose(1, 0, 2).reshape(n, oh, ow, o)
    if bias is not None:
        acc = acc + bias
    assert np.abs(acc).max(initial=0) < 2**31
    if attrs["raw"]:
        assert attrs["add"] is None and other is None
        return acc.astype(np.int32)
    assert attrs["scale"].shape == (o,) and attrs["scale"].dtype == np.float32
    scaled = acc.astype(np.float32) * attrs["scale"]
    q = clip(np.rint(scaled).astype(np.float64) + attrs["y_zero_point"], attrs["lo"], attrs["hi"], dtype)
    if attrs["add"] is None:
        assert other is None
        if "line" in attrs:
            slope, intercept, lo, hi = attrs["line"]
            q = clip(np.rint(q * np.float64(slope) + np.float64(intercept)), lo, hi, dtype)
        return q
    y_scale, other_scale, other_zero, sum_scale, sum_zero, lo, hi = attrs["add"]
    assert other.shape == q.shape
    zeros = attrs["y_zero_point"], other_zero, sum_zero
    origins, is_second = attrs.get("origins", (0, 0, 0)), attrs.get("is_second_operand", False)
    return add(q, other, (y_scale, other_scale, sum_scale), zeros, lo, hi, dtype, origins, is_second)


def add(a, b, scales, zeros, lo, hi, dtype, origins, is_second=False):
    """clip(rint(fma(a, ra, fma(b, rb, c))), lo, hi) with ra = a_scale / y_scale, rb = b_scale / y_scale.

    c = y_zero_point - fma(ra, a_zero_point, rb * b_zero_point), or with a and b exchanged where a `is_second`: a
    convolution's result that the graph adds as operand b. The sum itself is not exchanged then, so that one result in
    millions differs from onnxruntime's, by 1, as where one operand is a scalar. `origins` (of a, b, y) say how far
    stored levels and zero points are from those of the formula.
    """
    scales = [np.float32(scale) for scale in scales]
    zeros = [np.float32(zero - origin) for zero, origin in zip(zeros, origins, strict=True)]
    ra, rb = scales[0] / scales[2], scales[1] / scales[2]
    constant = zeros[2] - (fma(rb, zeros[1], ra * zeros[0]) if is_second else fma(ra, zeros[0], rb * zeros[1]))
    a, b = a.astype(np.float32) - np.float32(origins[0]), b.astype(np.float32) - np.float32(origins[1])
    return clip(np.rint(fma(a, ra, fma(b, rb, constant))).astype(np.float64) + origins[2], lo, hi, dtype)


def multiply(a, b, scales, zeros, lo, hi, dtype, origins):
    """clip(rint(float32((a - a_zero_point) * (b - b_zero_point)) * ratio + y_zero_point), lo, hi).

    ratio = (a_scale * b_scale) / y_scale. The zero point is added before rounding, in float32, without fma: ties are
    even with it.
    """
    ratio = np.float32(scales[0]) * np.float32(scales[1]) / np.float32(scales[2])
    product = (a.astype(np.int64) - zeros[0]) * (b.astype(np.int64) - zeros[1])
    level = np.rint(product.astype(np.float32) * ratio + np.float32(zeros[2] - origins[2]))
    return clip(level.astype(np.float64) + origins[2], lo, hi, dtype)


def binary(a, b, attrs, dtype):
    """QBinary: addition or multiplication of quantised tensors, with NumPy's broadcasting."""
    scales, zeros = ([attrs[f"{name}_{what}"] for name in "aby"] for what in ("scale", "zero_point"))
    function = {"add": add, "mul": multiply}[attrs["kind"]]
    return function(a, b, scales, zeros, attrs["lo"], attrs["hi"], dtype, attrs.get("origins", (0, 0, 0)))


def quantize(x, attrs, dtype):
    """Quantize: saturate(rint(x / scale) + zero_point). Scales and zero points are scalars, or [size of `axis`]."""
    scale, zero = along(x, attrs["scale"], attrs["axis"]), along(x, attrs["zero_point"], attrs["axis"])
    return saturate(np.rint(x.astype(np.float32) / scale.astype(np.float32)).astype(np.float64) + zero, dtype)


def dequantize(x, attrs):
    """Dequantize: float32(x - zero_point) * scale."""
    scale, zero = along(x, attrs["scale"], attrs["axis"]), along(x, attrs["zero_point"], attrs["axis"])
    return (x.astype(np.int64) - zero).astype(np.float32) * scale.astype(np.float32)


def along(x, values, axis):
    values = np.asarray(values)
    if axis is None:
        assert values.ndim == 0
        return values
    assert values.shape in ((), (x.shape[axis],))
    return values.reshape((-1,) + (1,) * (x.ndim - axis - 1))


def lookup(x, attrs):
    """QLookup: table[x as an unsigned byte]."""
    assert attrs["table"].shape == (256,)
    return attrs["table"][x.view(np.uint8)]


def mean(x, attrs, dtype):
    """QMean: saturate(rint(float32(sum of (x - x_zero_point)) * scale) + y_zero_point); the axes remain, of size 1.

    scale = x_scale / (y_scale * float32(number of elements)).
    """
    count = np.prod([x.shape[axis] for axis in attrs["axes"]])
    scale = np.float32(attrs["x_scale"]) / (np.float32(attrs["y_scale"]) * np.float32(count))
    total = (x.astype(np.int64) - attrs["x_zero_point"]).sum(attrs["axes"], keepdims=True)
    return saturate(np.rint(total.astype(np.float32) * scale).astype(np.float64) + attrs["y_zero_point"], dtype)


def average_pool(x, attrs, shape, dtype):
    """QAveragePool: saturate(rint(float32 sum / count / y_scale + y_zero_point)).

    The sum is that of float32(x - x_zero_point) * x_scale over the window's rows, from left to right, each addition
    rounded; count is the number of elements inside the image, or with count_include_pad of all. `origins` (of x, y) say
    how far stored levels and zero points are from those of the formula.
    """
    kernel, strides, pads, size = attrs["kernel"], attrs["strides"], attrs["pads"], shape[1:3]
    real = (x.astype(np.int64) - attrs["x_zero_point"]).astype(np.float32) * np.float32(attrs["x_scale"])
    cut = windows(real, kernel, strides, (1, 1), pads, size, 0)
    total = np.zeros(shape, np.float32)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            total = total + cut[:, :, :, row, column]
    if attrs["count_include_pad"]:
        count = np.float32(kernel[0] * kernel[1])
    else:
        ones = np.ones((1, *x.shape[1:3], 1), np.float32)
        count = windows(ones, kernel, strides, (1, 1), pads, size, 0).sum((3, 4))
    origin = attrs.get("origins", (0, 0))[1]
    level = np.rint(total / count / np.float32(attrs["y_scale"]) + np.float32(attrs["y_zero_point"] - origin))
    return saturate(level.astype(np.float64) + origin, dtype)


def softmax(x, attrs, dtype):
    """QSoftmax: saturate(rint(e * factor / sum of e) + y_zero_point) with e = table[255 - (maximum - x)].

    table (float32 [256], ascending) holds exp(x_scale * (i - 255)) times a constant that leaves room for the sum, whose
    terms are added from first to last. factor is 1 / y_scale rounded down, as onnxruntime has it both of QLinearSoftmax
    and of a Softmax between DequantizeLinear and QuantizeLinear: less than one level from the exact result.
    """
    axis = attrs["axis"]
    table = attrs["table"]
    assert table.shape == (256,) and table.dtype == np.float32
    below = x.max(axis, keepdims=True).astype(np.int64) - x.astype(np.int64)
    terms = table[255 - below]
    total = np.take(np.add.accumulate(terms, axis, dtype=np.float32), [-1], axis)
    levels = np.rint(terms * np.float32(attrs["factor"]) / total)
    return saturate(levels.astype(np.float64) + attrs["y_zero_point"], dtype)


def evaluate(node: Node, inputs: list, shape: tuple[int, ...], dtype: np.dtype):
    """The output of one planned operator on quantised tensors; None where it is none."""
    op, attrs = node.op, node.attrs
    x = inputs[0]
    if op == "QConv":
        return conv(inputs, attrs, shape, dtype)
    if op == "QBinary":
        return binary(x, inputs[1], attrs, dtype)
    if op == "Quantize":
        return quantize(x, attrs, dtype)
    if op == "Dequantize":
        return dequantize(x, attrs)
    if op == "QLookup":
        result = lookup(x, attrs)
        assert result.dtype == dtype
        return result
    if op == "QMean":
        return mean(x, attrs, dtype)
    if op == "QAveragePool":
        return average_pool(x, attrs, shape, dtype)
    if op == "QSoftmax":
        return softmax(x, attrs, dtype)
    return None
