"""Emits convolutions: depthwise and narrow groups through kernels of their own, everything else as a GEMM."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..graph import Node
from ..planner.arena import round_up
from ..planner.lowering import BANDS, IN_PLACE, REGIONS, band_geometry
from ..planner.storage import image_size
from ..planner.tiling import (
    FLOAT_BYTES,
    Panel,
    depth_block,
    even,
    pieces_of_image,
    plan_rows,
    prefetch_distance,
    rows_in_cache,
    split_columns,
)
from .activations import fused_activation
from .context import NO_BUFFER, EmitContext, StepInfo
from .direct_convolution import emit_direct_conv
from .windows import Geometry, in_reusable_buffer, in_the_image, input_strides
from .winograd import emit_winograd_conv


def emit_conv(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Conv: NHWC (or planar NCHW) float32, OHWI weights; ONNX Conv, operator sets 1 to 22."""
    return emit_direct_conv(ctx, node) or emit_winograd_conv(ctx, node) or emit_gemm_conv(ctx, node)


def emit_gemm_conv(ctx: EmitContext, node: Node) -> StepInfo:
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    residual = ctx.optional_view(node, 3)
    lowering = node.attrs.get("lowering")
    geometry = Geometry(ctx.constant(node.inputs[1]), node.attrs["groups"], output.shape)
    if lowering is not None and lowering.form == BANDS:
        return emit_conv_in_bands(ctx, node, geometry)
    if lowering is not None and lowering.form == REGIONS:
        from .atrous_convolution import emit_atrous_conv

        return emit_atrous_conv(ctx, node, geometry)
    place = in_reusable_buffer if lowering is not None and lowering.is_reusable else in_the_image
    windows = place(ctx, node, source, geometry)
    packed = GemmPanels(ctx, node, geometry, windows.tap_strides)
    row_bytes = geometry.row_bytes(node.attrs["strides"])
    rows = plan_rows(
        geometry.rows,
        row_bytes,
        packed.panels,
        packed.weight_bytes,
        geometry.macs,
        ctx.threads,
        packed.row_multiple,
        rows_in_cache(
            row_bytes + output.shape[3] * FLOAT_BYTES, packed.weight_bytes, packed.row_multiple, _core.cache_sizes()[1]
        ),
    )
    _core.add_conv(
        ctx.program,
        input=windows.first,
        output=output.ref,
        residual=residual.ref if residual else NO_BUFFER,
        output_shape=output.shape[:3],
        input_strides=windows.strides,
        output_strides=output.strides[:3],
        residual_strides=residual.strides[:3] if residual else (0, 0, 0),
        rows_per_task=rows.rows_per_task,
        panels_per_task=rows.panels_per_task,
        reusable=windows.buffer,
        strips_per_task=windows.strips_per_task,
        **packed.arguments,
    )
    return StepInfo(
        kernel=packed.kernels,
        lowering="direct" if lowering is None and geometry.kernel == (1, 1) else str(lowering or IN_PLACE),
        macs=geometry.macs,
        weight_bytes=packed.weight_bytes,
    )


def emit_conv_in_bands(ctx: EmitContext, node: Node, geometry: Geometry) -> StepInfo:
    """The rows of the padded input that a block of output rows needs are copied into scratch and read there."""
    output = ctx.view(node.outputs[0])
    residual = ctx.optional_view(node, 3)
    lowering = node.attrs["lowering"]
    task_rows = -(-geometry.height // pieces_of_image(geometry.images, geometry.height, ctx.threads))
    rows = even(task_rows, lowering.strip, 1)
    bands, packed = banded_input(ctx, node, geometry, rows)
    _core.add_conv_bands(
        ctx.program,
        task_rows=task_rows,
        output=output.ref,
        residual=residual.ref if residual else NO_BUFFER,
        output_strides=output.strides[:3],
        residual_strides=residual.strides[:3] if residual else (0, 0, 0),
        **bands,
        **packed.arguments,
    )
    return StepInfo(packed.kernels, str(lowering), geometry.macs, packed.weight_bytes)


def banded_input(ctx: EmitContext, node: Node, geometry: Geometry, rows: int) -> tuple[dict[str, object], GemmPanels]:
    """What `_core.add_conv_bands` takes for bands of so many output rows, whatever becomes of the output."""
    source = ctx.view(node.inputs[0])
    attrs = node.attrs
    is_planar = attrs.get("input_layout", "NHWC") == "NCHW"
    image, row, pixel, channel = input_strides(source, attrs.get("input_layout", "NHWC"))
    channels, height, width = image_size(ctx.graph, node)
    window, line = band_geometry(ctx.graph, node)
    band_rows = (rows - 1) * attrs["strides"][0] + window
    tap_strides = (0, line, 1, band_rows * line) if is_planar else (0, line * channels, channels, 1)
    bands = {
        "image_shape": (geometry.images, height, width, channels),
        "image_strides": (image, row, pixel, channel),
        "is_planar": is_planar,
        "padded_width": line,
        "kernel_shape": geometry.kernel,
        "strides": attrs["strides"],
        "dilations": attrs["dilations"],
        "pads": attrs["pads"],
        "rows": rows,
        "input": source.ref,
        "output_shape": (geometry.images, geometry.height, geometry.width),
        "input_strides": (0, 0, 0),
    }
    return bands, GemmPanels(ctx, node, geometry, tap_strides)


class GemmPanels:
    """A convolution's weights and biases cut into panels, their places reserved. `arguments` are those of
    `_core.GemmConv` that do not depend on where images lie."""

    __slots__ = ("arguments", "kernels", "panels", "row_multiple", "weight_bytes")

    def __init__(
        self,
        ctx: EmitContext,
        node: Node,
        geometry: Geometry,
        tap_strides: tuple[int, int, int, int],
    ):
        tables, group_offsets = depth_tables(node, geometry, tap_strides)
        reads_runs = len(tables) == 1 and np.array_equal(tables[0], np.arange(geometry.depth))
        cut = split_columns(geometry.columns_per_group, geometry.depth, geometry.rows, reads_runs, ctx.allowed)
        panels, weights_ref, bias_ref, weight_bytes = pack_panels(ctx, node, geometry, cut, group_offsets)
        l2_bytes = _core.cache_sizes()[1]
        self.kernels = " ".join(dict.fromkeys(panel.kernel.name for panel in cut))
        self.panels = len(panels)
        self.row_multiple = max(panel.kernel.mr for panel in cut)
        self.weight_bytes = weight_bytes
        self.arguments = {
            "weights": weights_ref,
            "bias": bias_ref,
            "depth_offsets": tables,
            "panels": panels,
            **fused_activation(node.attrs.get("activation"), ctx.allowed),
            "depth_block": depth_block(geometry.depth, geometry.rows, cut, _core.cache_sizes()),
            "prefetch_distance": prefetch_distance(weight_bytes, geometry.rows, l2_bytes),
        }


def depth_tables(
    node: Node, geometry: Geometry, strides: tuple[int, int, int, int]
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Where the elements of a patch lie, from its first one, in the order (ky, kx, channel) of the packed weights.

    Returns int32 [tables, depth] and, for each group, which table it uses and the offset of its first channel. Groups
    whose tables are equal but for that offset share one.
    """
    _, row, pixel, channel = strides
    dilation_y, dilation_x = node.attrs["dilations"]
    kernel_height, kernel_width = geometry.kernel
    taps = (
        np.arange(kernel_height)[:, None, None] * (dilation_y * row)
        + np.arange(kernel_width)[None, :, None] * (dilation_x * pixel)
    ).astype(np.int64)
    count = geometry.channels_per_group
    chosen = node.attrs.get("input_channels")
    if chosen is None:
        tables = (taps + np.arange(count) * channel).reshape(1, -1)
        return tables.astype(np.int32), [(0, group * count * channel) for group in range(geometry.groups)]
    found: dict[bytes, int] = {}
    tables_list, groups = [], []
    for group in range(geometry.groups):
        channels = np.asarray(chosen[group * count : (group + 1) * count], np.int64)
        first = int(channels[0])
        table = (taps + (channels - first) * channel).reshape(-1).astype(np.int32)
        index = found.setdefault(table.tobytes(), len(tables_list))
        if index == len(tables_list):
            tables_list.append(table)
        groups.append((index, first * channel))
    return np.stack(tables_list), groups


def weight_matrix(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """OHWI weights as a matrix [O, depth], and the order in which its columns make depth (ky, kx, channel).

    Weights that lie in a model file as OIHW are packed from there, without a copy in between.
    """
    columns, height, width, channels = weights.shape
    as_stored = weights.transpose(0, 3, 1, 2)
    if weights.dtype == np.float32 and as_stored.flags.c_contiguous and height * width > 1:
        order = np.arange(channels * height * width, dtype=np.int32).reshape(channels, height, width)
        return as_stored.reshape(columns, -1), np.ascontiguousarray(order.transpose(1, 2, 0)).reshape(-1)
    return np.ascontiguousarray(weights, np.float32).reshape(columns, -1), None


def pack_panels(
    ctx: EmitContext,
    node: Node,
    geometry: Geometry,
    cut: list[Panel],
    group_offsets: list[tuple[int, int]],
) -> tuple[list[tuple], tuple[int, int], tuple[int, int], int]:
    """The panels of all groups in the order in which the step reads them; reserves their weights and biases."""
    weights = ctx.constant(node.inputs[1])
    bias_name = node.inputs[2] if len(node.inputs) > 2 else ""
    bias = ctx.constant(bias_name) if bias_name else None
    columns = geometry.columns_per_group
    offsets, total = [], 0
    for panel in cut:
        offsets.append(total)
        total += round_up(_core.packed_gemm_f32_elems(panel.kernel, geometry.depth) * FLOAT_BYTES) // FLOAT_BYTES
    padded_bias = np.zeros((geometry.groups, sum(panel.kernel.nr for panel in cut)), np.float32)
    if bias is not None:
        place = 0
        grouped = bias.reshape(geometry.groups, columns)
        for panel in cut:
            padded_bias[:, place : place + panel.columns] = grouped[:, panel.first : panel.first + panel.columns]
            place += panel.kernel.nr

    def fill(memory: _core.Memory, offset: int) -> None:
        matrix, order = weight_matrix(weights)
        for group in range(geometry.groups):
            rows = matrix[group * columns : (group + 1) * columns]
            for panel, start in zip(cut, offsets, strict=True):
                place = offset + (group * total + start) * FLOAT_BYTES
                _core.pack_gemm_f32(panel.kernel, rows[panel.first : panel.first + panel.columns], memory, place, order)
        ctx.release(weights)

    key = (node.inputs[1], *(panel.kernel.name for panel in cut))
    weight_bytes = geometry.groups * total * FLOAT_BYTES
    weights_ref = ctx.reserve_weights(weight_bytes, fill, key)
    panels = [
        (panel.kernel, group * columns + panel.first, panel.columns, table, offset, group * total + start)
        for group, (table, offset) in enumerate(group_offsets)
        for panel, start in zip(cut, offsets, strict=True)
    ]
    return panels, weights_ref, ctx.add_weights(padded_bias), weight_bytes
