"""Operators on quantised tensors, as the pass `fuse_quantised` leaves them, as planned operators: channels last."""

from __future__ import annotations

from math import prod

import numpy as np

from ..graph import Node
from ..layout import Lowering, Order, plain_order
from .convolution import resolve_convolution
from .lower_binary import operand
from .lower_convolution import image_weights
from .lower_reduce import emit_along_axis, emit_reduction
from .lower_window import emit_on_image, pair, window_attrs
from .pooling import resolve_pooling

_PRODUCT = ("lo", "hi", "raw", "scale", "w_zero_point", "x_zero_point", "y_zero_point")
_UNARY = ("x_scale", "x_zero_point", "y_scale", "y_zero_point")
_MATRIX_WINDOW = {
    "strides": (1, 1),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "groups": 1,
}


def _product_attrs(node: Node) -> dict:
    return {**_picked(node, _PRODUCT), "add": None, "input_channels": None}


def _picked(node: Node, names: tuple[str, ...]) -> dict:
    return {name: node.attrs[name] for name in names}


def lower_qconv(lowering: Lowering, node: Node) -> bool:
    x, w, bias = node.inputs
    window, groups = resolve_convolution(node, lowering.shape(x), lowering.shape(w))
    attrs = {**window_attrs(window), "groups": groups, **_product_attrs(node)}
    emit_on_image(lowering, node, "QConv", [image_weights(lowering, node), bias, ""], attrs)
    return True


def lower_qgemm(lowering: Lowering, node: Node) -> bool:
    """x [..., M, K] times weights [N, K]: a 1x1 convolution over an image of one row."""
    x, w, bias = node.inputs
    left = lowering.use(x, (1, 0)) if node.attrs["transA"] else lowering.use_plain(x)
    outputs, depth = lowering.shape(w)
    output = node.outputs[0]
    rows = prod(lowering.shape(output)) // outputs
    image = lowering.reshaped(node, left, (1, 1, rows, depth))
    weights = lowering.reshaped(node, w, (outputs, 1, 1, depth))
    attrs = {**_MATRIX_WINDOW, **_product_attrs(node)}
    inputs = [image, weights, bias, ""]
    image = lowering.step(node, "QConv", inputs, (1, 1, rows, outputs), attrs, lowering.dtype(output))
    lowering.emit(node, "Reshape", [image])
    return True


def lower_qbinary(lowering: Lowering, node: Node) -> bool:
    output = node.outputs[0]
    shape = lowering.shape(output)
    full = [name for name in node.inputs if lowering.shape(name) == shape]
    full = full or [name for name in node.inputs if lowering.rank(name) == len(shape)]
    order = lowering.common_order(full) if full else plain_order(len(shape))
    operands = [operand(lowering, node, name, order) for name in node.inputs]
    lowering.emit(node, "QBinary", operands, order, dict(node.attrs))
    return True


def lower_as_it_lies(lowering: Lowering, node: Node) -> bool:
    """QLookup, Quantize and Dequantize with one scale: in whatever layout the tensor has. Others: with `axis` last."""
    axis = node.attrs.get("axis")
    attrs = dict(node.attrs)
    physical, order = lowering.use_home(node.inputs[0])
    if axis is None and node.op == "Dequantize" and node.outputs[0] in lowering.graph.outputs:
        physical, order = lowering.use_plain(node.inputs[0]), plain_order(len(order))  # bytes are moved, not floats
    if axis is not None:
        if order[-1] != axis:
            order = _with_last(order, axis)
            physical = lowering.use(node.inputs[0], order)
        attrs["axis"] = len(order) - 1
    lowering.emit(node, node.op, [physical], order, attrs)
    return True


def _with_last(order: Order, axis: int) -> Order:
    return (*[other for other in order if other != axis], axis)


def lower_qmean(lowering: Lowering, node: Node) -> bool:
    emit_reduction(lowering, node, "QMean", node.attrs["axes"], bool(node.attrs["keepdims"]), _picked(node, _UNARY))
    return True


def lower_qaverage_pool(lowering: Lowering, node: Node) -> bool:
    x, output = node.inputs[0], node.outputs[0]
    shape, rank = lowering.shape(x), lowering.rank(x)
    if not node.attrs.get("channels_last"):
        emit_on_image(lowering, node, "QAveragePool", [], _pool_attrs(node, shape))
        return True
    attrs = _pool_attrs(node, (shape[0], shape[-1], *shape[1:-1]))
    image, result = lowering.use_plain(x), lowering.shape(output)
    if rank == 4:
        lowering.emit(node, "QAveragePool", [image], None, attrs)
        return True
    image = lowering.reshaped(node, image, (shape[0], 1, *shape[1:]))
    image = lowering.step(node, "QAveragePool", [image], (result[0], 1, *result[1:]), attrs, lowering.dtype(output))
    lowering.emit(node, "Reshape", [image])
    return True


def _pool_attrs(node: Node, shape: tuple[int, ...]) -> dict:
    """`shape` has the channels first."""
    window = resolve_pooling(node, shape)
    attrs = {"kernel": pair(window.kernel, 1), **window_attrs(window), **_picked(node, _UNARY)}
    del attrs["dilations"]
    attrs["count_include_pad"] = bool(node.attrs.get("count_include_pad", 0))
    return attrs


def lower_qsoftmax(lowering: Lowering, node: Node) -> bool:
    attrs = {**_picked(node, _UNARY), "table": node.attrs["table"], "factor": np.float32(node.attrs["factor"])}
    emit_along_axis(lowering, node, "QSoftmax", node.attrs["axis"], attrs)
    return True


QUANTISED = {
    "QConv": lower_qconv,
    "QGemm": lower_qgemm,
    "QBinary": lower_qbinary,
    "QMean": lower_qmean,
    "QAveragePool": lower_qaverage_pool,
    "QSoftmax": lower_qsoftmax,
    **dict.fromkeys(("QLookup", "Quantize", "Dequantize"), lower_as_it_lies),
}
