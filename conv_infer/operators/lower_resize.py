"""Resize and Upsample of height and width as the planned operator Resize."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from ..layout import FLOAT32, Lowering, channels_last, permuted
from .lower_window import emit_on_image
from .resize import resolve_resize

_TYPES = (FLOAT32, np.dtype(np.int8), np.dtype(np.uint8))


def lower_resize(lowering: Lowering, node: Node) -> bool:
    x, output = node.inputs[0], node.outputs[0]
    if lowering.dtype(x) not in _TYPES or lowering.rank(x) not in (3, 4):
        return False
    resampling = resolve_resize(node, lowering.shape(x), lowering.constants_of(node))
    if resampling is None or resampling.mode == "cubic" or resampling.coordinates == "tf_crop_and_resize":
        return False
    scales = resampling.scales
    if resampling.antialias or scales[:2] != (1.0, 1.0) or 0 in resampling.sizes:
        return False
    if all(scale == 1.0 for scale in scales):
        lowering.alias(output, x)
        return True
    attrs = {
        "mode": resampling.mode,
        "coordinate_transformation_mode": resampling.coordinates,
        "nearest_mode": resampling.rounding,
        "scales": scales[2:] if len(scales) == 4 else (1.0, scales[2]),
    }
    if lowering.is_float(x) or resampling.mode == "nearest":
        emit_on_image(lowering, node, "Resize", [], attrs)
        return True
    # levels are interpolated as numbers, and cut to integers
    order = channels_last(lowering.rank(x))
    levels = lowering.use(x, order)
    note = {"note": f"Resize '{node.label}' runs in float32: its results lie between the levels"}
    numbers = lowering.step(node, "Cast", [levels], lowering.shape(levels), note, FLOAT32)
    shape = permuted(lowering.shape(output), order)
    if len(order) == 3:
        numbers = lowering.reshaped(node, numbers, _as_image(lowering.shape(levels)))
        numbers = lowering.step(node, "Resize", [numbers], _as_image(shape), attrs)
        numbers = lowering.reshaped(node, numbers, shape)
    else:
        numbers = lowering.step(node, "Resize", [numbers], shape, attrs)
    lowering.emit(node, "Cast", [numbers], order)
    return True


def _as_image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A signal NLC as an image of one row, NHWC."""
    return (shape[0], 1, *shape[1:])
