"""Quantised ONNX graphs, node by node as the model file has them: sums in integers, rounded in float32 only where ONNX
says so. Shares nothing with the package: it decides where results differ.

A DequantizeLinear is not rounded: what reads it sees integers and their scale. Requantisation is that of ONNX's
QLinearConv, float32(sum) * ((x_scale * w_scale) / y_scale), and onnxruntime's for additions and means.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Levels:
    """What a DequantizeLinear gives: values, that is levels less their zero point (int64), times float32 scales."""

    def __init__(self, values: np.ndarray, scale: np.ndarray, zero_point: np.ndarray):
        self.values = values
        self.scale = scale
        self.zero_point = zero_point

    def moved(self, values: np.ndarray) -> Levels:
        return Levels(values, self.scale, self.zero_point)

    def real(self) -> np.ndarray:
        return self.values.astype(np.float32) * self.scale


class Sums:
    """Exact sums (int64) that stand for sums * scale / count."""

    def __init__(self, sums: np.ndarray, scale: np.ndarray, count: int = 1):
        self.sums = sums
        self.scale = scale
        self.count = count


class Addition:
    def __init__(self, a: Levels, b: Levels):
        self.a = a
        self.b = b


class Quantised:
    """The result of a QuantizeLinear; `places` are where the exact numbers lie between levels, in float64."""

    def __init__(self, levels: np.ndarray, places: np.ndarray):
        self.levels = levels
        self.places = places

    def distance_to_tie(self, where: np.ndarray) -> float:
        """How far the exact numbers at some places are from the next number halfway between two levels, at most."""
        chosen = self.places[where]
        return float(np.abs(np.abs(chosen - np.floor(chosen)) - 0.5).max(initial=0.0))


def quantised_names(model: onnx.ModelProto) -> list[str]:
    return [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]


def run_exactly(
    model: onnx.ModelProto, feeds: dict[str, np.ndarray], given: dict[str, np.ndarray] | None = None
) -> tuple[dict[str, Quantised], dict[str, np.ndarray]]:
    """(what every QuantizeLinear gives, the outputs). With `given`, nodes read those levels instead of the computed."""
    values: dict[str, object] = {"": None, **feeds}
    values.update((tensor.name, numpy_helper.to_array(tensor)) for tensor in model.graph.initializer)
    quantised = {}
    for node in model.graph.node:
        attrs = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        result = OPERATORS[node.op_type](attrs, *(values[name] for name in node.input))
        if isinstance(result, Quantised):
            quantised[node.output[0]] = result
            result = result.levels if given is None else given[node.output[0]]
        values[node.output[0]] = result
    outputs = {output.name: values[output.name] for output in model.graph.output}
    return quantised, {name: x.real() if isinstance(x, Levels) else x for name, x in outputs.items()}


def dequantise(attrs: dict, x, scale, zero_point=None) -> Levels:
    shape = (-1,) + (1,) * (x.ndim - attrs.get("axis", 1) - 1) if scale.ndim else ()
    zero_point = np.zeros_like(scale, np.int64) if zero_point is None else zero_point.astype(np.int64)
    zero_point = zero_point.reshape(shape)
    return Levels(x.astype(np.int64) - zero_point, scale.reshape(shape), zero_point)


def quantise(attrs: dict, x, scale, zero_point) -> Quantised:
    zero, limits = int(zero_point), np.iinfo(zero_point.dtype)
    if isinstance(x, Sums):
        ratio = x.scale / scale if x.count == 1 else x.scale / (scale * np.float32(x.count))
        rounded = np.rint(x.sums.astype(np.float32) * ratio).astype(np.float64) + zero
        places = x.sums * (x.scale.astype(np.float64) / (np.float64(scale) * x.count)) + zero
    elif isinstance(x, Addition):
        rounded, places = add_levels(x.a, x.b, scale, zero)
    else:
        real = x.real() if isinstance(x, Levels) else x
        rounded = np.rint(real / scale).astype(np.float64) + zero
        places = real / np.float64(scale) + zero
    return Quantised(np.clip(rounded, limits.min, limits.max).astype(zero_point.dtype), places)


def add_levels(a: Levels, b: Levels, scale: np.ndarray, zero: int) -> tuple[np.ndarray, np.ndarray]:
    """onnxruntime's addition: levels times ratios of scales, all zero points in one constant, fused multiply-adds."""

    def fused(x, y, z):
        return (np.float64(x) * np.float64(y) + np.float64(z)).astype(np.float32)

    ratio_a, ratio_b = a.scale / scale, b.scale / scale
    constant = np.float32(zero) - fused(a.zero_point, ratio_a, ratio_b * np.float32(b.zero_point))
    levels = ((each.values + each.zero_point).astype(np.float32) for each in (a, b))
    rounded = np.rint(fused(next(levels), ratio_a, fused(next(levels), ratio_b, constant)))
    exact = sum(each.values * np.float64(each.scale) for each in (a, b))
    return rounded, exact / np.float64(scale) + zero


def convolve(attrs: dict, x: Levels, w: Levels, bias: Levels | None = None) -> Sums:
    images, outputs, depth, groups = x.values.shape[0], w.values.shape[0], w.values.shape[1], attrs.get("group", 1)
    weights = w.values.reshape(groups, outputs // groups, depth, *w.values.shape[2:]).astype(np.float64)
    total = 0.0  # float64 holds sums below 2^53 exactly
    for y, column, part in windows(x.values, {**attrs, "kernel_shape": w.values.shape[2:]}, 0):
        size = part.shape[2:]
        pixels = part.reshape(images, groups, depth, -1).astype(np.float64)
        total = total + weights[:, :, :, y, column] @ pixels
    sums = total.astype(np.int64).reshape(images, outputs, *size)
    return with_bias(sums, x, w, bias, (-1, 1, 1))


def multiply_matrices(attrs: dict, a: Levels, b: Levels, bias: Levels | None = None) -> Sums:
    assert not attrs.get("transA") and attrs.get("alpha", 1.0) == attrs.get("beta", 1.0) == 1.0
    right = b.values.T if attrs.get("transB") else b.values
    sums = (a.values.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    return with_bias(sums, a, b, bias, (-1,))


def with_bias(sums: np.ndarray, x: Levels, w: Levels, bias: Levels | None, shape: tuple[int, ...]) -> Sums:
    scale = x.scale * w.scale.reshape(shape)
    if bias is not None:
        np.testing.assert_allclose(np.broadcast_to(bias.scale, scale.size), scale.reshape(-1), 1e-6)
        sums = sums + bias.values.reshape(shape)
    assert np.abs(sums).max(initial=0) < 2**31
    return Sums(sums, scale)


def windows(x: np.ndarray, attrs: dict, fill) -> Iterator[tuple[int, int, np.ndarray]]:
    """Row and column of each element of a window, and what of the image meets it."""
    rows, columns = attrs["kernel_shape"]
    (stride_y, stride_x), (step_y, step_x) = attrs.get("strides", (1, 1)), attrs.get("dilations", (1, 1))
    top, left, bottom, right = attrs.get("pads", (0, 0, 0, 0))
    if attrs.get("ceil_mode"):
        bottom += -(x.shape[2] + top + bottom - rows) % stride_y
        right += -(x.shape[3] + left + right - columns) % stride_x
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    height = x.shape[2] - (rows - 1) * step_y
    width = x.shape[3] - (columns - 1) * step_x
    for y in range(rows):
        for column in range(columns):
            first_y, first_x = y * step_y, column * step_x
            yield y, column, x[:, :, first_y : first_y + height : stride_y, first_x : first_x + width : stride_x]


def take_maxima(attrs: dict, x: Levels) -> Levels:
    parts = [part for _, _, part in windows(x.values, attrs, np.iinfo(np.int64).min)]
    return x.moved(np.maximum.reduce(parts))


def take_means(attrs: dict, x: Levels) -> np.ndarray:
    """Sums in float32 from left to right, as onnxruntime has them."""
    total = sum(part for _, _, part in windows(x.real(), attrs, np.float32(0)))
    inside = sum(part for _, _, part in windows(np.ones_like(x.real()), attrs, np.float32(0)))
    return total / (np.float32(np.prod(attrs["kernel_shape"])) if attrs.get("count_include_pad") else inside)


def concatenate(attrs: dict, *parts: Levels):
    if len({(float(part.scale), int(part.zero_point)) for part in parts}) == 1:
        return parts[0].moved(np.concatenate([part.values for part in parts], attrs["axis"]))
    return np.concatenate([part.real() for part in parts], attrs["axis"])


def reshape(attrs: dict, x, shape):
    values = x.values if isinstance(x, Levels) else x
    values = values.reshape([size or values.shape[axis] for axis, size in enumerate(shape)])
    return x.moved(values) if isinstance(x, Levels) else values


def double(attrs: dict, x: Levels, _, scales) -> Levels:
    assert attrs["mode"] == b"nearest" and scales.tolist() == [1, 1, 2, 2]
    return x.moved(x.values.repeat(2, 2).repeat(2, 3))


OPERATORS = {
    "Add": lambda attrs, a, b: Addition(a, b),
    "AveragePool": take_means,
    "Concat": concatenate,
    "Conv": convolve,
    "DequantizeLinear": dequantise,
    "Flatten": lambda attrs, x: x.moved(x.values.reshape(len(x.values), -1)),
    "Gemm": multiply_matrices,
    "GlobalAveragePool": lambda attrs, x: Sums(
        x.values.sum((2, 3), keepdims=True), x.scale, int(np.prod(x.values.shape[2:]))
    ),
    "MaxPool": take_maxima,
    "QuantizeLinear": quantise,
    "Reshape": reshape,
    "Resize": double,
    "Sigmoid": lambda attrs, x: (1 / (1 + np.exp(-x.real().astype(np.float64)))).astype(np.float32),
    "Transpose": lambda attrs, x: x.moved(x.values.transpose(attrs["perm"])),
}
