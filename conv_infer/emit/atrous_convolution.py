"""Emits atrous convolutions whose output is computed region by region, each with the taps that meet the image."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..graph import Node
from ..planner.regions import Region, cut_into_regions
from ..planner.tiling import FLOAT_BYTES
from .context import NO_BUFFER, EmitContext, StepInfo, View
from .convolution import GemmPanels
from .windows import Geometry, in_the_image


def emit_atrous_conv(ctx: EmitContext, node: Node, geometry: Geometry) -> StepInfo:
    """A step for each panel and region, none of which waits for another: the regions read a panel's weights one after
    the other while they are in the cache."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    residual = ctx.optional_view(node, 3)
    windows = in_the_image(ctx, node, source, geometry)
    packed = GemmPanels(ctx, node, geometry, windows.tap_strides)
    regions = cut_into_regions(ctx.graph, node)
    places = [region_arguments(node, geometry, source, region, packed) for region in regions]
    slot, bias = packed.arguments["bias"]
    for number, panel in enumerate(packed.arguments["panels"]):
        arguments = {**packed.arguments, "panels": [panel], "bias": (slot, bias)}
        bias += panel[0].nr * FLOAT_BYTES
        for region, place in zip(regions, places, strict=True):
            if number or region is not regions[0]:
                ctx.program.no_barrier()
            height, width = region.shape
            rows = geometry.images * height * width
            tasks = min(ctx.threads, -(-rows // packed.row_multiple))
            _core.add_conv(
                ctx.program,
                output=part_of(output, region),
                residual=part_of(residual, region) if residual else NO_BUFFER,
                output_shape=(geometry.images, height, width),
                input_strides=windows.strides,
                output_strides=output.strides[:3],
                residual_strides=residual.strides[:3] if residual else (0, 0, 0),
                rows_per_task=-(-rows // tasks),
                **{**arguments, **place},
            )
    taps = geometry.kernel[0] * geometry.kernel[1]
    products = sum(region.shape[0] * region.shape[1] * region.taps for region in regions)
    macs = geometry.macs // (geometry.height * geometry.width * taps) * products
    return StepInfo(packed.kernels, f"in place, in {len(regions)} regions", macs, packed.weight_bytes)


def region_arguments(
    node: Node, geometry: Geometry, source: View, region: Region, packed: GemmPanels
) -> dict[str, object]:
    """Where a region's windows begin, and which taps they read; depth offsets are those from the first of these."""
    first_tap = tap_offset(node, region, source)
    window = 0
    for axis, begin in enumerate((region.rows[0], region.columns[0])):
        position = begin * node.attrs["strides"][axis] - node.attrs["pads"][axis]
        window += position * source.strides[1 + axis]
    return {
        "input": source.moved(window + first_tap),
        "depth_offsets": packed.arguments["depth_offsets"] - np.int32(first_tap),
        "depth_parts": depth_parts(geometry, region),
    }


def part_of(view: View, region: Region) -> tuple[int, int]:
    return view.moved(region.rows[0] * view.strides[1] + region.columns[0] * view.strides[2])


def tap_offset(node: Node, region: Region, source: View) -> int:
    """From a window's first element to that of the first tap that the region reads."""
    dilation_y, dilation_x = node.attrs["dilations"]
    return region.taps_y[0] * dilation_y * source.strides[1] + region.taps_x[0] * dilation_x * source.strides[2]


def depth_parts(geometry: Geometry, region: Region) -> np.ndarray:
    """The taps that the region reads as runs of depth: int32 [runs, (first, count)]."""
    width, channels = geometry.kernel[1], geometry.channels_per_group
    first, end = region.taps_x
    return np.array(
        [((y * width + first) * channels, (end - first) * channels) for y in range(*region.taps_y)], np.int32
    )
