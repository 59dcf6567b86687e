"""Resize and Upsample of height and width as the planned operator Resize."""

from __future__ import annotations

from ..graph import Node
from ..layout import Lowering
from .lower_convolution import emit_on_image

_COORDINATES = {
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
}
_NEAREST = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}


def lower_resize(lowering: Lowering, node: Node) -> bool:
    x, output = node.inputs[0], node.outputs[0]
    if not lowering.is_float(x) or lowering.rank(x) not in (3, 4):
        return False
    mode = node.attrs.get("mode", "nearest")
    mode = "linear" if mode == "bilinear" else mode
    if node.op == "Upsample" or node.version < 11:
        coordinates, nearest = "asymmetric", "floor"
    else:
        coordinates = node.attrs.get("coordinate_transformation_mode", "half_pixel")
        nearest = node.attrs.get("nearest_mode", "round_prefer_floor")
    if mode not in ("nearest", "linear") or coordinates not in _COORDINATES or nearest not in _NEAREST:
        return False
    if node.attrs.get("antialias"):
        return False
    scales = _scales(lowering, node)
    if scales is None or scales[0] != 1.0 or scales[1] != 1.0:
        return False
    before, after = lowering.shape(x), lowering.shape(output)
    if before[:2] != after[:2] or 0 in after:
        return False
    if before == after and all(scale == 1.0 for scale in scales):
        lowering.alias(output, x)
        return True
    spatial = (1.0, scales[2]) if len(scales) == 3 else (scales[2], scales[3])
    attrs = {
        "mode": mode,
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": nearest,
        "scales": spatial,
    }
    emit_on_image(lowering, node, "Resize", [], attrs)
    return True


def _scales(lowering: Lowering, node: Node) -> list[float] | None:
    """The factor of every axis: as given, or what the sizes that are asked for imply; None where it is computed."""
    before, after = lowering.shape(node.inputs[0]), lowering.shape(node.outputs[0])
    rank = len(before)
    given = node.attrs.get("scales")
    if given is None and node.op == "Upsample":
        array = lowering.constant(node, 1)
        given = None if array is None else array.tolist()
        return given
    if given is None and node.version < 11:
        array = lowering.constant(node, 1)
        return None if array is None else array.tolist()
    if given is not None:
        return [float(scale) for scale in given]
    axes = node.attrs.get("axes")
    axes = list(range(rank)) if axes is None else [axis + rank if axis < 0 else axis for axis in axes]
    scales = [1.0] * rank
    array = lowering.constant(node, 2) if lowering.has_input(node, 2) else None
    if array is not None and array.size:
        for axis, scale in zip(axes, array.tolist(), strict=True):
            scales[axis] = scale
        return scales
    sizes = lowering.constant(node, 3) if lowering.has_input(node, 3) else None
    if sizes is None:
        return None
    ratios = [size / before[axis] for axis, size in zip(axes, sizes.tolist(), strict=True)]
    policy = node.attrs.get("keep_aspect_ratio_policy", "stretch")
    if policy == "not_larger":
        ratios = [min(ratios)] * len(axes)
    elif policy == "not_smaller":
        ratios = [max(ratios)] * len(axes)
    for axis, ratio in zip(axes, ratios, strict=True):
        scales[axis] = ratio
    if any(scales[axis] != 1.0 for axis in range(rank) if before[axis] == after[axis] and axis < 2):
        return None
    return scales
