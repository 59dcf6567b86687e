"""Resize and Upsample in all their forms; sampling by a grid or by regions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..graph import Node
from .checks import (
    Constants,
    Shape,
    choice,
    has_input,
    integer,
    integers,
    model_error,
    normalise_axes,
    number,
    tensor,
    vector,
)

_POLICIES = ("stretch", "not_larger", "not_smaller")
_COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
_ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


class Resampling:
    """Resize or Upsample with everything resolved.

    `sizes` and `scales` have one value per dimension of the input; `scales` are those that the coordinates are
    computed with: as given, or output size over input size where sizes were given. `roi` has beginnings, then ends
    (None but for tf_crop_and_resize).
    """

    __slots__ = (
        "antialias",
        "coordinates",
        "exclude_outside",
        "extrapolation",
        "mode",
        "roi",
        "rounding",
        "scales",
        "sizes",
    )

    def __init__(self, mode: str, coordinates: str, rounding: str):
        self.mode = mode  # "nearest", "linear" or "cubic"
        self.coordinates = coordinates  # coordinate_transformation_mode
        self.rounding = rounding  # nearest_mode
        self.sizes: tuple[int, ...] = ()
        self.scales: tuple[float, ...] = ()
        self.roi: tuple[float, ...] | None = None
        self.antialias = False
        self.exclude_outside = False
        self.extrapolation = 0.0


def resolve_resize(node: Node, shape: Shape, constants: Constants) -> Resampling | None:
    """What Resize-10/11/13/18/19 and Upsample-7/9/10 mean; None where the graph computes the scales or sizes."""
    legacy = node.op == "Upsample" or node.version < 11
    mode = choice(node, "mode", "nearest", ("nearest", "linear", "bilinear", "cubic"))
    mode = "linear" if mode == "bilinear" else mode
    if legacy:
        # Upsample and Resize-10 sample at x_original = x_resized / scale, rounded down.
        resampling = Resampling(mode, "asymmetric", "floor")
        if node.version >= 9 and not has_input(node, 1):
            raise model_error(node, "its second input, the scales, is missing")
        scales = integers_or_floats(node, "scales") if node.version < 9 else floats(node, constants, 1)
        if scales is None:
            return None
        return _by_scales(node, resampling, shape, list(range(len(shape))), scales)
    resampling = Resampling(
        mode,
        choice(node, "coordinate_transformation_mode", "half_pixel", _COORDINATES),
        choice(node, "nearest_mode", "round_prefer_floor", _ROUNDINGS),
    )
    resampling.antialias = bool(integer(node, "antialias", 0))
    resampling.exclude_outside = bool(integer(node, "exclude_outside", 0))
    resampling.extrapolation = number(node, "extrapolation_value", 0.0)
    axes = integers(node, "axes")
    axes = list(range(len(shape))) if axes is None else normalise_axes(node, axes, len(shape))
    if resampling.coordinates == "tf_crop_and_resize":
        roi = floats(node, constants, 1) if has_input(node, 1) else []
        if roi is None:
            return None
        if len(roi) != 2 * len(axes):
            raise model_error(
                node, f"the region of interest has {len(roi)} values; {2 * len(axes)} are expected, two per axis"
            )
        if not all(map(math.isfinite, roi)):
            raise model_error(node, f"the region of interest is {roi}; finite numbers are expected")
        resampling.roi = _whole_roi(roi, axes, len(shape))
    # Exporters leave scales out by an empty tensor as well as by an empty name.
    if has_input(node, 3):
        sizes = vector(node, constants, 3)
        if sizes is None:
            return None
        if sizes:
            return _by_sizes(node, resampling, shape, axes, sizes)
    if not has_input(node, 2):
        raise model_error(node, "it has neither scales nor sizes")
    scales = floats(node, constants, 2)
    return None if scales is None else _by_scales(node, resampling, shape, axes, scales)


def integers_or_floats(node: Node, name: str) -> list[float]:
    """A list of numbers in an attribute."""
    value = node.attrs.get(name)
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, (int, float)) for item in value):
        raise model_error(node, f"attribute '{name}' is {value!r}; a list of numbers is expected")
    return [float(item) for item in value]


def floats(node: Node, constants: Constants, index: int) -> list[float] | None:
    """A constant input of one dimension as Python floats; None where its values are not known."""
    array = constants[index]
    if array is None:
        return None
    if array.ndim > 1 or array.size > 64:
        raise model_error(node, f"input '{node.inputs[index]}' must be a vector with one value per axis")
    return array.reshape(-1).astype(np.float64).tolist()


def _whole_roi(roi: Sequence[float], axes: Sequence[int], rank: int) -> tuple[float, ...]:
    begin, end = [0.0] * rank, [1.0] * rank
    for position, axis in enumerate(axes):
        begin[axis], end[axis] = roi[position], roi[position + len(axes)]
    return (*begin, *end)


def _by_scales(
    node: Node, resampling: Resampling, shape: Shape, axes: Sequence[int], scales: Sequence[float]
) -> Resampling:
    """Output size: floor(size * scale), in float32 as onnxruntime computes it."""
    if len(scales) != len(axes):
        raise model_error(
            node, f"the scales are {list(scales)}; {len(axes)} values are expected for {tensor(node, 0, shape)}"
        )
    whole, sizes = [1.0] * len(shape), list(shape)
    for axis, scale in zip(axes, scales, strict=True):
        if not (math.isfinite(scale) and scale > 0):
            raise model_error(node, f"the scales are {list(scales)}; positive numbers are expected")
        whole[axis] = scale
        extent = 1.0
        if resampling.roi is not None:
            extent = resampling.roi[axis + len(shape)] - resampling.roi[axis]
        size = float(np.float32(shape[axis]) * np.float32(extent) * np.float32(scale))
        sizes[axis] = math.floor(min(size, 2.0**62))  # infinite where float32 overflows; refused as too large
    resampling.scales, resampling.sizes = tuple(whole), tuple(sizes)
    return resampling


def _by_sizes(
    node: Node, resampling: Resampling, shape: Shape, axes: Sequence[int], sizes: Sequence[int]
) -> Resampling:
    """Output size as given, or fitted into (around) it with the proportions kept."""
    if len(sizes) != len(axes) or min(sizes) < 1:
        raise model_error(
            node,
            f"the sizes are {list(sizes)}; {len(axes)} values of at least 1 are expected for {tensor(node, 0, shape)}",
        )
    policy = choice(node, "keep_aspect_ratio_policy", "stretch", _POLICIES)
    whole, scales = list(shape), [1.0] * len(shape)
    if policy != "stretch":
        ratios = [np.float32(size) / np.float32(max(shape[axis], 1)) for axis, size in zip(axes, sizes, strict=True)]
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        for axis in axes:
            scales[axis] = float(ratio)
            whole[axis] = math.floor(float(ratio * np.float32(shape[axis])) + 0.5)
    else:
        for axis, size in zip(axes, sizes, strict=True):
            whole[axis] = size
            scales[axis] = float(np.float32(size) / np.float32(max(shape[axis], 1)))
    resampling.sizes, resampling.scales = tuple(whole), tuple(scales)
    return resampling


def resize(node: Node, shapes: list, constants: list) -> list:
    """Resize, Upsample."""
    resolved = resolve_resize(node, shapes[0], constants)
    return [None if resolved is None else resolved.sizes]


def grid_sample(node: Node, shapes: list, constants: list) -> list:
    """GridSample-16/20/22: x [N,C,...], grid [N,...,spatial axes]."""
    x, grid = shapes
    if len(x) < 3 or len(grid) != len(x) or grid[0] != x[0] or grid[-1] != len(x) - 2:
        raise model_error(
            node, f"{tensor(node, 0, x)} and {tensor(node, 1, grid)} must be [N,C,...] and [N,...,{len(x) - 2}]"
        )
    return [(*x[:2], *grid[1:-1])]


def affine_grid(node: Node, shapes: list, constants: list) -> list:
    """AffineGrid-20: theta [N,axes,axes+1] and the size [N,C,...] give a grid [N,...,axes]."""
    size = vector(node, constants, 1)
    if size is None:
        return [None]
    if len(size) not in (4, 5) or shapes[0] != (size[0], len(size) - 2, len(size) - 1):
        raise model_error(node, f"{tensor(node, 0, shapes[0])} does not fit the size {size}")
    return [(size[0], *size[2:], len(size) - 2)]


def roi_align(node: Node, shapes: list, constants: list) -> list:
    """RoiAlign-10/16/22: [regions, C, output_height, output_width]."""
    x, regions = shapes[:2]
    if len(x) != 4 or len(regions) != 2:
        raise model_error(
            node, f"{tensor(node, 0, x)} and {tensor(node, 1, regions)} must be [N,C,H,W] and [regions,4]"
        )
    return [(regions[0], x[1], integer(node, "output_height", 1), integer(node, "output_width", 1))]
