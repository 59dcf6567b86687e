"""`fuse_quantised`: convolutions and matrix products, as the planned operator QConv or the one that becomes it, QGemm.

With acc the exact sum of products of levels less zero points, the result is the levels

    clip(round half to even(float32(acc) * scale) + y_zero_point, lo, hi),  scale = (x_scale * w_scale) / y_scale,

scale evaluated in float32 in this order. onnxruntime 1.31 computes the same for QLinearConv, QLinearMatMul, QGemm
(whose alpha multiplies x_scale first) and for Conv, Gemm and MatMul between DequantizeLinear and QuantizeLinear.
"""

from __future__ import annotations

import numpy as np

from ...graph import Node
from ...operators.quantisation import INT32_MAX, accumulator_bound
from .levels import QUANTISED, Quantisation, Weights
from .walk import Target, Walk

_WINDOW = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
# Quantisers compute the scale of a bias in float32 or in float64: what they may differ by, relatively
_BIAS_SCALE_TOLERANCE = 2.0**-20


class _Product:
    """An integer product: x (a tensor), w (a constant), their zero points, and a constant int32 bias or None."""

    __slots__ = ("bias", "w", "w_zero_point", "x", "x_zero_point")

    def __init__(self, x: str, x_zero_point: int, w: np.ndarray, w_zero_point: np.ndarray, bias: np.ndarray | None):
        self.x = x
        self.x_zero_point = x_zero_point
        self.w = w  # output channels first
        self.w_zero_point = w_zero_point
        self.bias = bias

    @property
    def channels(self) -> int:
        return self.w.shape[0]

    def attrs(self) -> dict:
        zero_point = np.broadcast_to(self.w_zero_point, (self.channels,)).astype(np.int32)
        same = bool((zero_point == zero_point[0]).all())
        return {"x_zero_point": self.x_zero_point, "w_zero_point": int(zero_point[0]) if same else zero_point}

    def inputs(self, walk: Walk, output: str) -> list[str]:
        weights = walk.graph.add_constant(f"{output}:weights", self.w)
        bias = "" if self.bias is None else walk.graph.add_constant(f"{output}:bias", self.bias)
        return [self.x, weights, bias]

    def emit(self, walk: Walk, node: Node, op: str, attrs: dict, scale, after: Quantisation, bounds, output: str):
        """The product of levels, requantised."""
        attrs = {**attrs, **self.attrs(), "raw": False, "scale": np.broadcast_to(scale, (self.channels,)).copy()}
        attrs.update(y_zero_point=after.zero_point, lo=bounds[0], hi=bounds[1])
        walk.emit(node, op, self.inputs(walk, output), output, attrs)

    def emit_raw(self, walk: Walk, node: Node, op: str, attrs: dict, output: str) -> None:
        """The int32 sums themselves."""
        attrs = {**attrs, **self.attrs(), "raw": True, "scale": None, "y_zero_point": 0, "lo": 0, "hi": 0}
        walk.emit(node, op, self.inputs(walk, output), output, attrs)

    def emit_real(self, walk: Walk, node: Node, op: str, attrs: dict, scale, axis: int) -> None:
        """The node's float32 result: the sums times the product of the operands' scales."""
        output = node.outputs[0]
        sums = walk.tensor(output, np.dtype(np.int32))
        self.emit_raw(walk, node, op, attrs, sums)
        scale = np.broadcast_to(scale, (self.channels,)).copy()
        zeros = np.zeros(self.channels, np.int32)
        note = f"no QuantizeLinear follows {node.op} '{node.label}'"
        walk.emit(node, "Dequantize", [sums], output, {"scale": scale, "zero_point": zeros, "axis": axis, "note": note})


def _window(node: Node) -> dict:
    return {name: node.attrs[name] for name in _WINDOW if name in node.attrs}


# Between DequantizeLinear and QuantizeLinear


def conv(walk: Walk, node: Node) -> str | None:
    x, w = walk.pure(node.inputs[0]), walk.values.get(node.inputs[1])
    if x is None:
        return "its input is not quantised as a whole"
    if not isinstance(w, Weights) or w.array.dtype not in QUANTISED or w.axis not in (None, 0):
        return "its weights are not constants quantised as a whole or per output channel"
    if w.array.ndim not in (3, 4):
        return "only images and signals have an integer form"
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    return _fuse(walk, node, "QConv", x, w, w.array, bias, _window(node), np.float32(1.0), 1)


def gemm(walk: Walk, node: Node) -> str | None:
    if float(node.attrs.get("beta", 1.0)) != 1.0:
        return "its beta is not 1"
    alpha = np.float32(node.attrs.get("alpha", 1.0))
    if not 0 < alpha < np.inf:
        return "its alpha is not positive"
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    attrs = {"transA": int(bool(node.attrs.get("transA")))}
    return _fuse_matrix(walk, node, bool(node.attrs.get("transB")), bias, attrs, alpha)


def matmul(walk: Walk, node: Node) -> str | None:
    return _fuse_matrix(walk, node, False, "", {"transA": 0}, np.float32(1.0))


def _fuse_matrix(walk: Walk, node: Node, transposed: bool, bias: str, attrs: dict, alpha: np.float32) -> str | None:
    x, w = walk.pure(node.inputs[0]), walk.values.get(node.inputs[1])
    if x is None:
        return "its first operand is not quantised as a whole"
    if not isinstance(w, Weights) or w.array.dtype not in QUANTISED:
        return "its second operand is not a quantised constant"
    if w.array.ndim != 2 or w.axis not in (None, 0 if transposed else 1):
        return "its weights are not a matrix quantised as a whole or per column"
    matrix = w.array if transposed else w.array.T
    return _fuse(walk, node, "QGemm", x, w, matrix, bias, attrs, alpha, len(walk.shape(node.outputs[0])) - 1)


def _fuse(
    walk: Walk,
    node: Node,
    op: str,
    x: tuple[str, Quantisation],
    w: Weights,
    weights: np.ndarray,
    bias: str,
    attrs: dict,
    alpha: np.float32,
    channel_axis: int,
) -> str | None:
    source, before = x
    scale = (alpha * before.scale) * w.scale
    levels: np.ndarray | None = None
    if bias:
        found = _bias_levels(walk, bias, scale, weights.shape[0])
        if isinstance(found, str):
            return found
        levels = found
    if accumulator_bound(weights, w.zero_point, levels) > INT32_MAX:
        return "its sums could overflow int32"
    product = _Product(source, before.zero_point, weights, w.zero_point, levels)
    target = walk.target(node.outputs[0])
    if target is None:
        product.emit_real(walk, node, op, attrs, scale, channel_axis)
        return None
    return _requantised(walk, node, op, product, attrs, scale, target)


def _requantised(
    walk: Walk, node: Node, op: str, product: _Product, attrs: dict, scale: np.ndarray, target: Target
) -> None:
    after = target.quantisation
    product.emit(walk, node, op, attrs, scale / after.scale, after, target.bounds, walk.settle(node, target))


def _bias_levels(walk: Walk, name: str, scale: np.ndarray, channels: int) -> np.ndarray | str:
    """The bias in units of the sums (int32 [channels]), or why it has no such form."""
    value = walk.values.get(name)
    if not isinstance(value, Weights) or value.array.dtype != np.int32 or value.zero_point.any():
        return "its bias is not quantised to int32"
    if value.array.size not in (1, channels) or value.array.shape[-1:] not in ((channels,), (1,), ()):
        return "its bias differs from row to row"
    if (np.abs(value.scale - scale) > _BIAS_SCALE_TOLERANCE * scale).any():
        return "the scale of its bias is not the product of the other two"
    return np.broadcast_to(value.array.reshape(-1), (channels,)).astype(np.int32)


# As the graph has them: parameters as inputs


def qlinear_conv(walk: Walk, node: Node) -> str | None:
    """QLinearConv: x, its scale and zero point, w, its, y's, bias."""
    weights, bias = walk.constants.get(node.inputs[3]), None
    if weights is None or weights.ndim not in (3, 4):
        return "its weights are computed, or neither of an image nor of a signal"
    if len(node.inputs) > 8 and node.inputs[8]:
        bias = walk.constants.get(node.inputs[8])
        if bias is None:
            return "its bias is computed"
    return _requantise_node(walk, node, "QConv", weights, bias, _window(node), (6, 7), np.float32(1.0))


def qlinear_matmul(walk: Walk, node: Node) -> str | None:
    """QLinearMatMul: a, its scale and zero point, b, its, y's."""
    weights = walk.constants.get(node.inputs[3])
    if weights is None or weights.ndim != 2:
        return "its second operand is computed, or not a matrix"
    return _requantise_node(walk, node, "QGemm", weights.T, None, {"transA": 0}, (6, 7), np.float32(1.0))


def qgemm(walk: Walk, node: Node) -> str | None:
    """QGemm: a, its scale and zero point, b, its, c, y's; float32 without y's."""
    inputs = [*node.inputs, *[""] * (9 - len(node.inputs))]
    weights, bias = walk.constants.get(inputs[3]), None
    if weights is None:
        return "its second operand is computed"
    matrix = weights if node.attrs.get("transB") else weights.T
    if inputs[6]:
        array = walk.constants.get(inputs[6])
        if (
            array is None
            or array.size not in (1, matrix.shape[0])
            or array.shape[-1:] not in ((matrix.shape[0],), (1,), ())
        ):
            return "its bias is computed, or differs from row to row"
        bias = np.broadcast_to(array.reshape(-1), (matrix.shape[0],)).astype(np.int32)
    attrs = {"transA": int(bool(node.attrs.get("transA")))}
    alpha = np.float32(node.attrs.get("alpha", 1.0))
    if not 0 < alpha < np.inf:
        return "its alpha is not positive"
    if inputs[7]:
        return _requantise_node(walk, node, "QGemm", matrix, bias, attrs, (7, 8), alpha)
    x, w = walk.quantisation(*inputs[1:3], walk.dtype(inputs[0])), walk.parameters(inputs[4], inputs[5])
    if x is None or w is None:
        return "its parameters are computed"
    product = _Product(inputs[0], x.zero_point, matrix, w[1], bias)
    product.emit_real(walk, node, "QGemm", attrs, (alpha * x.scale) * w[0], 1)
    return None


def _requantise_node(
    walk: Walk,
    node: Node,
    op: str,
    weights: np.ndarray,
    bias: np.ndarray | None,
    attrs: dict,
    result: tuple[int, int],
    alpha: np.float32,
) -> str | None:
    """A node whose inputs 1, 2 are the parameters of its first operand, 4, 5 those of the weights, `result` its own."""
    x, output = node.inputs[0], node.outputs[0]
    before = walk.quantisation(node.inputs[1], node.inputs[2], walk.dtype(x))
    w = walk.parameters(node.inputs[4], node.inputs[5])
    zero_point = node.inputs[result[1]] if result[1] < len(node.inputs) else ""
    after = walk.quantisation(node.inputs[result[0]], zero_point, walk.dtype(output))
    if before is None or w is None or after is None or any(part.size not in (1, weights.shape[0]) for part in w):
        return "its parameters are computed, or not one per tensor or output channel"
    product = _Product(x, before.zero_point, weights, w[1], bias)
    scale = (alpha * before.scale) * w[0] / after.scale
    product.emit(walk, node, op, attrs, scale, after, (after.lowest, after.highest), output)
    return None


def conv_integer(walk: Walk, node: Node) -> str | None:
    """ConvInteger: x, w, their zero points; the result is int32."""
    weights = walk.constants.get(node.inputs[1])
    if weights is None or weights.ndim not in (3, 4):
        return "its weights are computed, or neither of an image nor of a signal"
    return _raw_node(walk, node, "QConv", weights, _window(node))


def matmul_integer(walk: Walk, node: Node) -> str | None:
    """MatMulInteger: a, b, their zero points; the result is int32."""
    weights = walk.constants.get(node.inputs[1])
    if weights is None or weights.ndim != 2:
        return "its second operand is computed, or not a matrix"
    return _raw_node(walk, node, "QGemm", weights.T, {"transA": 0})


def _raw_node(walk: Walk, node: Node, op: str, weights: np.ndarray, attrs: dict) -> str | None:
    zeros = []
    for index in (2, 3):
        name = node.inputs[index] if index < len(node.inputs) else ""
        zeros.append(walk.constants.get(name) if name else np.zeros(1, np.int64))
    if any(zero is None for zero in zeros) or zeros[0].size != 1 or zeros[1].size not in (1, weights.shape[0]):
        return "its zero points are computed, or not one per tensor or output channel"
    x_zero_point, w_zero_point = (zero.reshape(-1).astype(np.int64) for zero in zeros)
    product = _Product(node.inputs[0], int(x_zero_point[0]), weights, w_zero_point, None)
    product.emit_raw(walk, node, op, attrs, node.outputs[0])
    return None
