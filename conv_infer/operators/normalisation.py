"""Batch, instance, layer, group and local response normalisation."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from .checks import Shape, dims, integer, integers, model_error, normalise_axes, normalise_axis, tensor


def _channels(node: Node, x: Shape) -> int:
    if len(x) < 2:
        raise model_error(node, f"{tensor(node, 0, x)} must have 2 or more dimensions")
    return x[1]


def batch_normalization(node: Node, shapes: list, constants: list) -> list:
    """BatchNormalization-6/7/9/14/15: scale, bias and statistics per channel.

    Up to opset 8 `spatial=0` asks for a scale per element [C,...] instead; up to opset 13 outputs may be listed that
    only training fills.
    """
    x = shapes[0]
    channels = _channels(node, x) if len(x) != 1 else 1
    expected: Shape = (channels,)
    if node.version < 9 and not integer(node, "spatial", 1):
        expected = x[1:]
    for index in range(1, 5):
        if shapes[index] != expected:
            raise model_error(node, f"{tensor(node, index, shapes[index])} must have the shape {dims(expected)}")
    return [x] + [expected] * (len(node.outputs) - 1)


def evaluate_batch_normalization(node: Node, arrays: list) -> list | None:
    """BatchNormalization of constants, in training mode (opset 14) by their own statistics: so exporters leave weights
    that are standardised before use. None where an older operator set's training is asked for."""
    if (any(node.outputs[1:]) and node.version < 14) or not integer(node, "spatial", 1):
        return None
    x, scale, shift, *given = (array.astype(np.float64) for array in arrays)
    others = tuple(axis for axis in range(x.ndim) if axis != 1)
    mean, variance = (x.mean(others), x.var(others)) if integer(node, "training_mode", 0) else given
    factor = scale / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
    along = (-1, *[1] * (x.ndim - 2))
    result = (x - mean.reshape(along)) * factor.reshape(along) + shift.reshape(along)
    momentum = node.attrs.get("momentum", 0.9)
    running = [
        (before * momentum + now * (1 - momentum)).astype(arrays[3].dtype)
        for before, now in zip(given, (mean, variance), strict=True)
    ]
    return [result.astype(arrays[0].dtype), *running][: len(node.outputs)]


def instance_normalization(node: Node, shapes: list, constants: list) -> list:
    """InstanceNormalization-6/22: scale and bias [C]."""
    x = shapes[0]
    if len(x) < 3:
        raise model_error(node, f"{tensor(node, 0, x)} must have 3 or more dimensions")
    for index in (1, 2):
        if shapes[index] != (x[1],):
            raise model_error(node, f"{tensor(node, index, shapes[index])} must have the shape {x[1]}")
    return [x]


def resolve_layer_axis(node: Node, rank: int) -> int:
    """The first axis of those that LayerNormalization and RMSNormalization take together."""
    return normalise_axis(node, integer(node, "axis", -1), rank)


def layer_normalization(node: Node, shapes: list, constants: list) -> list:
    """LayerNormalization-17, RMSNormalization-23: scale and bias broadcast to the normalised part."""
    x = shapes[0]
    axis = resolve_layer_axis(node, len(x))
    for index in range(1, len(shapes)):
        shape = shapes[index]
        if shape is None:
            continue
        padded = (1,) * (len(x) - len(shape)) + shape
        if len(padded) != len(x) or any(size not in (1, whole) for size, whole in zip(padded, x, strict=True)):
            raise model_error(node, f"{tensor(node, index, shape)} does not broadcast to {tensor(node, 0, x)}")
    statistics = x[:axis] + (1,) * (len(x) - axis)
    return [x] + [statistics] * (len(node.outputs) - 1)


def layer_normalization_types(node: Node, dtypes: list) -> list:
    """The statistics are float32, whatever the input's type."""
    return [dtypes[0]] + [np.dtype(np.float32)] * (len(node.outputs) - 1)


def group_normalization(node: Node, shapes: list, constants: list) -> list:
    """GroupNormalization-18 (scale and bias per group), -21 (per channel)."""
    x = shapes[0]
    channels = _channels(node, x)
    groups = integer(node, "num_groups")
    if groups < 1 or channels % groups:
        raise model_error(
            node, f"attribute 'num_groups' is {groups}, which does not divide the channels of {tensor(node, 0, x)}"
        )
    expected = (groups if node.version < 21 else channels,)
    for index in (1, 2):
        if shapes[index] != expected:
            raise model_error(node, f"{tensor(node, index, shapes[index])} must have the shape {dims(expected)}")
    return [x]


def lp_normalization(node: Node, shapes: list, constants: list) -> list:
    """LpNormalization-1/22."""
    normalise_axis(node, integer(node, "axis", -1), len(shapes[0]))
    if integer(node, "p", 2) not in (1, 2):
        raise model_error(node, f"attribute 'p' is {node.attrs['p']}; 1 or 2 is expected")
    return [shapes[0]]


def mean_variance_normalization(node: Node, shapes: list, constants: list) -> list:
    """MeanVarianceNormalization-9/13."""
    normalise_axes(node, integers(node, "axes", [0, 2, 3]), len(shapes[0]))
    return [shapes[0]]


def local_response(node: Node, shapes: list, constants: list) -> list:
    """LRN-1/13 over the channels of [N,C,...]."""
    _channels(node, shapes[0])
    if integer(node, "size") < 1:
        raise model_error(node, f"attribute 'size' is {node.attrs['size']}; at least 1 is expected")
    return [shapes[0]]
