"""BatchNormalization, InstanceNormalization, LayerNormalization, GroupNormalization and LRN as planned operators."""

from __future__ import annotations

from math import prod

import numpy as np

from ..graph import Node
from ..layout import NHWC, Lowering, channels_last, plain_order


def lower_batch_normalization(lowering: Lowering, node: Node) -> bool:
    """At inference: y = x * scale + shift with scale = gamma / sqrt(variance + epsilon), both rounded from float64."""
    x = node.inputs[0]
    arrays = [lowering.constant(node, index) for index in range(1, 5)]
    if any(array is None for array in arrays) or not lowering.is_float(x) or lowering.rank(x) < 2:
        return False
    if any(node.outputs[1:]) or node.attrs.get("training_mode") or node.attrs.get("spatial", 1) == 0:
        return False
    gamma, beta, mean, variance = [array.astype(np.float64) for array in arrays]
    scale = gamma / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
    emit_affine(lowering, node, x, scale, beta - mean * scale)
    return True


def emit_affine(lowering: Lowering, node: Node, x: str, scale: np.ndarray, shift: np.ndarray) -> None:
    """One scale and shift per channel (axis 1) of `x`."""
    order = channels_last(lowering.rank(x))
    output = node.outputs[0]
    constants = [
        lowering.graph.add_constant(f"{output}:scale", scale.astype(np.float32)),
        lowering.graph.add_constant(f"{output}:shift", shift.astype(np.float32)),
    ]
    lowering.emit(node, "Affine", [lowering.use(x, order), *constants], order, {"activation": None})


def lower_instance_normalization(lowering: Lowering, node: Node) -> bool:
    x, scale, shift = node.inputs
    if not lowering.is_float(x, scale, shift) or lowering.rank(x) < 3:
        return False
    attrs = {"epsilon": float(node.attrs.get("epsilon", 1e-5))}
    order = channels_last(lowering.rank(x))
    physical = lowering.use(x, order)
    parameters = [lowering.use_plain(scale), lowering.use_plain(shift)]
    if order == NHWC:
        lowering.emit(node, "InstanceNorm", [physical, *parameters], order, attrs)
        return True
    batch, channels, *spatial = lowering.shape(x)
    image = lowering.reshaped(node, physical, (batch, 1, prod(spatial), channels))
    image = lowering.step(node, "InstanceNorm", [image, *parameters], lowering.shape(image), attrs)
    lowering.emit(node, "Reshape", [image], order)
    return True


def lower_layer_normalization(lowering: Lowering, node: Node) -> bool:
    x, scale = node.inputs[:2]
    shift = node.inputs[2] if lowering.has_input(node, 2) else ""
    if not lowering.is_float(x, scale, shift) or any(node.outputs[1:]):
        return False
    rank = lowering.rank(x)
    axis = node.attrs.get("axis", -1)
    axis += rank if axis < 0 else 0
    normalised = lowering.shape(x)[axis:]
    parameters = []
    for name in (scale, shift):
        if name and lowering.shape(name) != normalised:
            array = lowering.constants.get(name)
            if array is None:
                return False
            name = lowering.graph.add_constant(f"{name}:broadcast", np.broadcast_to(array, normalised))
        parameters.append(name and lowering.use_plain(name))
    order = lowering.home(x)
    tail = tuple(range(axis, rank))
    if order[axis:] != tail:
        order = plain_order(rank)
    attrs = {"axis": axis, "epsilon": float(node.attrs.get("epsilon", 1e-5))}
    lowering.emit(node, "LayerNorm", [lowering.use(x, order), *parameters], order, attrs)
    return True


def lower_recognised_normalisation(lowering: Lowering, node: Node) -> bool:
    """A LayerNorm that stands for several ONNX nodes, over any axes."""
    x = node.inputs[0]
    axes = node.attrs["axes"]
    rank = lowering.rank(x)
    epsilon = node.attrs["epsilon"]
    if rank == 4 and axes == (2, 3):
        channels = lowering.shape(x)[1]
        ones = lowering.graph.add_constant(f"{node.outputs[0]}:scale", np.ones(channels, np.float32))
        zeros = lowering.graph.add_constant(f"{node.outputs[0]}:shift", np.zeros(channels, np.float32))
        inputs = [lowering.use(x, NHWC), ones, zeros]
        lowering.emit(node, "InstanceNorm", inputs, NHWC, {"epsilon": epsilon})
        return True
    order = lowering.home(x)
    if set(order[rank - len(axes) :]) != set(axes):
        order = (*[axis for axis in range(rank) if axis not in axes], *axes)
    attrs = {"axis": rank - len(axes), "epsilon": epsilon}
    lowering.emit(node, "LayerNorm", [lowering.use(x, order), "", ""], order, attrs)
    return True


def lower_group_normalization(lowering: Lowering, node: Node) -> bool:
    """A LayerNorm over the channels and pixels of each group, then a scale and shift per channel."""
    x = node.inputs[0]
    scale, shift = lowering.constant(node, 1), lowering.constant(node, 2)
    if scale is None or shift is None or not lowering.is_float(*node.inputs):
        return False
    shape = lowering.shape(x)
    groups = node.attrs["num_groups"]
    channels = shape[1]
    if node.version < 21 and scale.shape == (groups,):
        scale, shift = (np.repeat(array, channels // groups) for array in (scale, shift))
    attrs = {"axis": 2, "epsilon": float(node.attrs.get("epsilon", 1e-5))}
    rows = lowering.reshaped(node, lowering.use_plain(x), (shape[0], groups, prod(shape[1:]) // groups))
    rows = lowering.step(node, "LayerNorm", [rows, "", ""], lowering.shape(rows), attrs)
    normalised = lowering.graph.add_tensor(f"{node.outputs[0]}:normalised", lowering.dtype(x), shape)
    lowering.bind(normalised, lowering.reshaped(node, rows, shape), plain_order(len(shape)))
    emit_affine(lowering, node, normalised, scale, shift)
    return True


def lower_lrn(lowering: Lowering, node: Node) -> bool:
    x = node.inputs[0]
    if not lowering.is_float(x) or lowering.rank(x) != 4:
        return False
    attrs = {
        "size": node.attrs["size"],
        "alpha": float(node.attrs.get("alpha", 1e-4)),
        "beta": float(node.attrs.get("beta", 0.75)),
        "bias": float(node.attrs.get("bias", 1.0)),
    }
    lowering.emit(node, "LRN", [lowering.use(x, NHWC)], NHWC, attrs)
    return True
