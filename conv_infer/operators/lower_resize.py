"""Resize and Upsample of height and width as the planned operator Resize."""

from __future__ import annotations

from ..graph import Node
from ..layout import Lowering
from .lower_window import emit_on_image
from .resize import resolve_resize


def lower_resize(lowering: Lowering, node: Node) -> bool:
    x, output = node.inputs[0], node.outputs[0]
    if not lowering.is_float(x) or lowering.rank(x) not in (3, 4):
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
    emit_on_image(lowering, node, "Resize", [], attrs)
    return True
