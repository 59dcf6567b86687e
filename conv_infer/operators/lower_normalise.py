"""BatchNormalization, InstanceNormalization, LayerNormalization, GroupNormalization and LRN as planned operators."""

from __future__ import annotations

from math import prod

import numpy as np

from ..graph import Node
from ..layout import NHWC, Lowering, channels_last, is_plain, plain_order

FEW_CHANNELS = 8  # of images that are not channels-last: rows of one channel are normalised faster


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
    channels = lowering.shape(x)[1]
    epsilon = float(node.attrs.get("epsilon", 1e-5))
    constants = [lowering.constant(node, index) for index in (1, 2)]
    few = channels < FEW_CHANNELS and is_plain(lowering.home(x))
    if few and constants[0] is not None and constants[1] is not None:
        normalise_rows(lowering, node, channels, epsilon, *constants)
    else:
        emit_instance_norm(lowering, node, lowering.use_plain(scale), lowering.use_plain(shift), channels, epsilon)
    return True


def emit_instance_norm(lowering: Lowering, node: Node, scale: str, shift: str, groups: int, epsilon: float) -> None:
    """Normalises the node's first input over all but the images and `groups` of channels (axis 1)."""
    x = node.inputs[0]
    attrs = {"groups": groups, "epsilon": epsilon}
    order = channels_last(lowering.rank(x))
    physical = lowering.use(x, order)
    if order == NHWC:
        lowering.emit(node, "InstanceNorm", [physical, scale, shift], order, attrs)
        return
    batch, channels, *spatial = lowering.shape(x)
    image = lowering.reshaped(node, physical, (batch, 1, prod(spatial), channels))
    image = lowering.step(node, "InstanceNorm", [image, scale, shift], lowering.shape(image), attrs)
    lowering.emit(node, "Reshape", [image], order)


def normalise_rows(
    lowering: Lowering, node: Node, groups: int, epsilon: float, scale: np.ndarray, shift: np.ndarray
) -> None:
    """A LayerNorm over the channels and pixels of each group, which lie together in the plain layout, then `scale` and
    `shift` [channels]."""
    x = node.inputs[0]
    shape = lowering.shape(x)
    attrs = {"axis": 2, "epsilon": epsilon}
    rows = lowering.reshaped(node, lowering.use_plain(x), (shape[0], groups, prod(shape[1:]) // groups))
    rows = lowering.step(node, "LayerNorm", [rows, "", ""], lowering.shape(rows), attrs)
    normalised = lowering.graph.add_tensor(f"{node.outputs[0]}:normalised", lowering.dtype(x), shape)
    lowering.bind(normalised, lowering.reshaped(node, rows, shape), plain_order(len(shape)))
    emit_affine(lowering, node, normalised, scale, shift)


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
        lowering.emit(node, "InstanceNorm", inputs, NHWC, {"groups": channels, "epsilon": epsilon})
        return True
    order = lowering.home(x)
    if set(order[rank - len(axes) :]) != set(axes):
        order = (*[axis for axis in range(rank) if axis not in axes], *axes)
    attrs = {"axis": rank - len(axes), "epsilon": epsilon}
    lowering.emit(node, "LayerNorm", [lowering.use(x, order), "", ""], order, attrs)
    return True


def lower_group_normalization(lowering: Lowering, node: Node) -> bool:
    scale, shift = lowering.constant(node, 1), lowering.constant(node, 2)
    if scale is None or shift is None or not lowering.is_float(*node.inputs):
        return False
    groups = node.attrs["num_groups"]
    if node.version < 21 and scale.shape == (groups,):
        width = lowering.shape(node.inputs[0])[1] // groups
        scale, shift = (np.repeat(array, width) for array in (scale, shift))
    normalise_groups(lowering, node, groups, float(node.attrs.get("epsilon", 1e-5)), scale, shift)
    return True


def lower_recognised_groups(lowering: Lowering, node: Node) -> bool:
    """An InstanceNorm over groups of channels that stands for several ONNX nodes: inputs x, scale [C], shift [C]."""
    constants = [lowering.constants[name] for name in node.inputs[1:]]
    normalise_groups(lowering, node, node.attrs["groups"], node.attrs["epsilon"], *constants)
    return True


def normalise_groups(
    lowering: Lowering, node: Node, groups: int, epsilon: float, scale: np.ndarray, shift: np.ndarray
) -> None:
    x = node.inputs[0]
    if lowering.shape(x)[1] < FEW_CHANNELS and is_plain(lowering.home(x)):
        normalise_rows(lowering, node, groups, epsilon, scale, shift)
        return
    names = [
        lowering.graph.add_constant(f"{node.outputs[0]}:{role}", np.ascontiguousarray(array, np.float32))
        for role, array in (("scale", scale), ("shift", shift))
    ]
    emit_instance_norm(lowering, node, *names, groups, epsilon)


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
