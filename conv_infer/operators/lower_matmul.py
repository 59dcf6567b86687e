"""Gemm and MatMul: with constant weights a 1x1 convolution over an image of one row, otherwise BatchMatMul."""

from __future__ import annotations

from math import prod

import numpy as np

from ..graph import Node
from ..layout import Lowering

_CONV = {
    "strides": (1, 1),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "groups": 1,
    "activation": None,
    "input_channels": None,
    "input_layout": "NHWC",
}


def lower_gemm(lowering: Lowering, node: Node) -> bool:
    a, b = node.inputs[:2]
    c = node.inputs[2] if lowering.has_input(node, 2) else ""
    if not lowering.is_float(a, b, c):
        return False
    alpha, beta = float(node.attrs.get("alpha", 1.0)), float(node.attrs.get("beta", 1.0))
    if beta == 0.0:
        c = ""
    left = lowering.use(a, (1, 0) if node.attrs.get("transA") else (0, 1))
    rows, outputs = lowering.shape(node.outputs[0])
    bias = _gemm_bias(lowering, node, c, beta, outputs) if c else ""
    rest = "" if bias else c
    right = lowering.use(b, (1, 0) if node.attrs.get("transB") else (0, 1))
    weights = lowering.constants.get(right)
    if weights is not None:
        if alpha != 1.0:
            weights = weights * np.float32(alpha)
        result = _conv(lowering, node, left, weights, bias, final=not rest)
    else:
        result = (
            lowering.step(node, "BatchMatMul", [left, right], (rows, outputs), {"alpha": alpha})
            if rest or bias
            else None
        )
        if result is None:
            lowering.emit(node, "BatchMatMul", [left, right], None, {"alpha": alpha})
        elif bias:
            lowering.emit(node, "Binary", [result, bias], None, {"kind": "add", "activation": None})
    if rest:
        _add_rest(lowering, node, result, rest, beta)
    return True


def _gemm_bias(lowering: Lowering, node: Node, c: str, beta: float, outputs: int) -> str:
    """C as a vector of constants, one per column; "" where it is none."""
    array = lowering.constants.get(c)
    if array is None or prod(array.shape[:-1]) != 1:
        return ""
    if beta == 1.0 and array.shape == (outputs,):
        return c
    row = np.broadcast_to(array.reshape(array.shape[-1:]), (outputs,)) * np.float32(beta)
    return lowering.graph.add_constant(f"{node.outputs[0]}:bias", row)


def _add_rest(lowering: Lowering, node: Node, result: str, c: str, beta: float) -> None:
    """Adds a C that is computed, or differs from row to row."""
    physical = lowering.use_plain(c)
    if beta != 1.0:
        factor = lowering.graph.add_constant(f"{node.outputs[0]}:beta", np.array(beta, np.float32))
        physical = lowering.step(
            node, "Binary", [physical, factor], lowering.shape(physical), {"kind": "mul", "activation": None}
        )
    lowering.emit(node, "Binary", [result, physical], None, {"kind": "add", "activation": None})


def _conv(lowering: Lowering, node: Node, left: str, weights: np.ndarray, bias: str, final: bool) -> str:
    """`left` [..., M, K] times constant weights [K, N]; the node's output itself if `final`."""
    shape = lowering.shape(left)
    depth, outputs = weights.shape
    rows = prod(shape[:-1])
    image = lowering.reshaped(node, left, (1, 1, rows, depth))
    kernel = lowering.graph.add_constant(f"{node.outputs[0]}:weights", weights.T.reshape(outputs, 1, 1, depth))
    image = lowering.step(node, "Conv", [image, kernel, bias, ""], (1, 1, rows, outputs), dict(_CONV))
    if final:
        lowering.emit(node, "Reshape", [image])
        return node.outputs[0]
    return lowering.reshaped(node, image, (*shape[:-1], outputs))


def lower_matmul(lowering: Lowering, node: Node) -> bool:
    a, b = node.inputs
    if not lowering.is_float(a, b):
        return False
    left, right = lowering.use_plain(a), lowering.use_plain(b)
    if lowering.rank(a) == 1:
        left = lowering.reshaped(node, left, (1, *lowering.shape(a)))
    if lowering.rank(b) == 1:
        right = lowering.reshaped(node, right, (*lowering.shape(b), 1))
    weights = lowering.constants.get(right)
    if weights is not None and prod(weights.shape[:-2]) == 1 and weights.ndim <= max(2, lowering.rank(left)):
        _conv(lowering, node, left, weights.reshape(weights.shape[-2:]), "", final=True)
        return True
    rank = max(lowering.rank(left), lowering.rank(right))
    left, right = _of_rank(lowering, node, left, rank), _of_rank(lowering, node, right, rank)
    first, second = lowering.shape(left), lowering.shape(right)
    batch = np.broadcast_shapes(first[:-2], second[:-2])
    shape = (*batch, first[-2], second[-1])
    attrs = {"alpha": 1.0}
    if shape == lowering.shape(node.outputs[0]):
        lowering.emit(node, "BatchMatMul", [left, right], None, attrs)
    else:
        lowering.emit(node, "Reshape", [lowering.step(node, "BatchMatMul", [left, right], shape, attrs)])
    return True


def _of_rank(lowering: Lowering, node: Node, physical: str, rank: int) -> str:
    shape = lowering.shape(physical)
    return lowering.reshaped(node, physical, (1,) * (rank - len(shape)) + tuple(shape))
