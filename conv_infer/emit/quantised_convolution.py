"""Emits int8 convolutions: depthwise ones through kernels of their own, others in Winograd's form where that is faster,
else as GEMMs: kernel, panels, depth tables, packed weights."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..errors import UnsupportedError
from ..graph import Node
from ..planner.arena import round_up
from ..planner.depth_runs import DepthRuns
from ..planner.lowering import IN_PLACE
from ..planner.quantised_tiling import choose_reading, picked_bytes
from ..planner.tiling import FLOAT_BYTES, plan_rows
from .context import NO_BUFFER, EmitContext, StepInfo
from .convolution import depth_tables
from .quantised_depthwise import emit_quantised_depthwise
from .quantised_winograd import emit_winograd
from .requantise import (
    added_view,
    bias_of,
    element_offsets,
    requantise_of,
    require_unsigned,
    scales_of,
    zero_points_of,
)
from .windows import Geometry, in_the_image

PANELS_TO_GATHER = 8  # that read windows copied together, for the copy to pay
TILE_ROWS = 16  # of a matrix register
WIDEST_SKIP = 1.5  # computed windows for each one wanted, at most, where that makes all of them evenly spaced


def emit_qconv(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.QConv: NHWC (or planar NCHW) uint8, OHWI int8 or uint8 weights, int32 bias; ONNX QLinearConv 10,
    ConvInteger 10 (attribute `raw`) and their relatives."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    other = ctx.optional_view(node, 3)
    require_unsigned(node, source, other, *(() if node.attrs["raw"] else (output,)))
    geometry = Geometry(ctx.constant(node.inputs[1]), node.attrs["groups"], output.shape)
    return emit_quantised_depthwise(ctx, node) or emit_winograd(ctx, node, geometry) or emit_gemm(ctx, node, geometry)


def emit_gemm(ctx: EmitContext, node: Node, geometry: Geometry) -> StepInfo:
    """QConv as a GEMM over output pixels."""
    source, output, other = ctx.view(node.inputs[0]), ctx.view(node.outputs[0]), added_view(ctx, node)
    windows = in_the_image(ctx, node, source, geometry)
    tables, group_offsets = depth_tables(node, geometry, windows.tap_strides)
    reading = choose_reading(
        tables,
        [table for table, _ in group_offsets],
        geometry.columns_per_group,
        geometry.rows,
        other is not None,
        ctx.allowed,
    )
    kernel, picked = reading.kernel, None
    if reading.picks:
        picked, group_offsets = picked_bytes(reading, tables, group_offsets)
    row_windows = geometry.width if reading.picks else windows_in_a_row(kernel, geometry, windows.strides)
    packed = PackedGroups(ctx, node, kernel, geometry, reading.covers, group_offsets)
    is_gathered = (
        not reading.picks
        and row_windows == geometry.width
        and gathers(kernel, geometry, windows.strides, packed.panels)
    )
    rows = geometry.images * geometry.height * row_windows
    row_bytes = geometry.row_bytes(node.attrs["strides"]) // FLOAT_BYTES
    plan = plan_rows(
        rows,
        row_bytes,
        len(packed.panels),
        packed.nbytes,
        geometry.macs,
        ctx.threads,
        kernel.mr,
        max(kernel.mr, _core.cache_sizes()[1] // 2 // row_bytes),
    )
    rows_per_task = plan.rows_per_task
    if row_windows > geometry.width:
        rows_per_task = -(-rows_per_task // row_windows) * row_windows
    _core.add_qconv(
        ctx.program,
        kernel=kernel,
        input=windows.first,
        weights=packed.weights,
        bias=packed.bias,
        scale=packed.scale,
        weight_zero=packed.weight_zero,
        output=output.ref,
        residual=other.ref if other else NO_BUFFER,
        output_shape=output.shape[:3],
        row_windows=row_windows,
        input_strides=windows.strides,
        output_strides=output.strides[:3],
        residual_strides=other.strides[:3] if other else (0, 0, 0),
        depth_offsets=packed.depth_offsets,
        panels=packed.panels,
        parameters=packed.parameters,
        requantise=requantise_of(node),
        rows_per_task=rows_per_task,
        panels_per_task=len(packed.panels) if packed.has_sums else plan.panels_per_task,
        gathers=is_gathered,
        picked=picked,
        allowed=ctx.allowed,
    )
    form = "direct" if geometry.kernel == (1, 1) else str(node.attrs.get("lowering") or IN_PLACE)
    return StepInfo(
        kernel=kernel.name,
        lowering=f"{form}, windows copied together" if is_gathered or reading.picks else form,
        macs=geometry.macs,
        weight_bytes=packed.nbytes,
    )


def windows_in_a_row(kernel: _core.Kernel, geometry: Geometry, strides: tuple[int, int, int]) -> int:
    """How many windows to compute in each row. Tiles of matrix registers are loaded by one stride: where windows of
    consecutive rows follow one another evenly once some more of each row are computed, that beats gathering them."""
    image, row, pixel = strides
    if kernel.isa != "amx" or pixel <= 0 or row % pixel or geometry.images * geometry.height == 1:
        return geometry.width
    if image < row * geometry.height:  # the last row's windows would leave the image
        return geometry.width
    count = row // pixel
    return count if geometry.width <= count <= WIDEST_SKIP * geometry.width else geometry.width


def gathers(kernel: _core.Kernel, geometry: Geometry, strides: tuple[int, int, int], panels: list[tuple]) -> bool:
    """Whether windows that do not follow one another evenly within a tile of matrix registers are copied together once,
    for all panels: else the kernel does so for each, in its own scratch. `panels`: as PackedGroups makes them."""
    image, row, pixel = strides
    within_rows = geometry.width % TILE_ROWS == 0
    is_even = row == pixel * geometry.width and (geometry.images == 1 or image == row * geometry.height)
    reads_alike = all(panel[2] == 0 and panel[4] == 0 for panel in panels)
    return kernel.isa == "amx" and len(panels) >= PANELS_TO_GATHER and reads_alike and not within_rows and not is_even


class PackedGroups:
    """The panels of all groups in the order in which the step reads them; reserves their weights, biases and scales.

    Groups whose patches lie alike share one depth table. Where weights less their zero points do not fit the kernel's,
    a panel of ones goes before each group's, which sums up A.
    """

    __slots__ = (
        "bias",
        "depth_offsets",
        "has_sums",
        "nbytes",
        "panels",
        "parameters",
        "scale",
        "weight_zero",
        "weights",
    )

    def __init__(
        self,
        ctx: EmitContext,
        node: Node,
        kernel: _core.Kernel,
        geometry: Geometry,
        covers: list[DepthRuns],
        group_offsets: list[tuple[int, int]],
    ):
        weights = ctx.constant(node.inputs[1])
        zero_points = zero_points_of(node, len(weights))
        columns = geometry.columns_per_group
        groups = [
            byte_weights(kernel, weights, slice(first, first + columns), zero_points, covers[table])
            for first, (table, _) in zip(range(0, len(weights), columns), group_offsets, strict=True)
        ]
        self.has_sums = any(group.needs_sums for group in groups)
        ones = [sums_of(kernel, runs) for runs in covers] if self.has_sums else []
        self.panels: list[tuple[int, ...]] = []
        places, tables, starts = [], [], []
        total = parameter = depth = 0
        for runs, entry in zip(covers, ones or [None] * len(covers), strict=True):
            table = np.empty(runs.blocks, np.int32)
            first = next(
                group for group, (index, _) in zip(groups, group_offsets, strict=True) if covers[index] is runs
            )
            first.depth_table(runs.offsets, table)
            tables.append(table)
            starts.append((depth, total))
            depth += runs.blocks
            if entry is not None:
                places.append((entry, total))
                total += round_up(entry.nbytes)
        columns_of_ones = [entry.padded_columns for entry in ones]
        parameters = sum(group.padded_columns for group in groups)
        for index, (group, (table, offset)) in enumerate(zip(groups, group_offsets, strict=True)):
            table_start, sums_at = starts[table]
            if self.has_sums:
                ones_bias = parameters + sum(columns_of_ones[:table])
                self.panels.append((0, 1, table_start, group.k_blocks, offset, sums_at, ones_bias, 1))
            for first, count, weight_offset in group.panels:
                place = index * columns + first
                self.panels.append(
                    (place, count, table_start, group.k_blocks, offset, total + weight_offset, parameter + first, 0)
                )
            places.append((group, total))
            total += round_up(group.nbytes)
            parameter += group.padded_columns
        self.parameters = parameters + sum(columns_of_ones)
        self.depth_offsets = np.concatenate(tables)
        self.nbytes = total

        def fill(memory: _core.Memory, offset: int) -> None:
            for entry, place in places:
                entry.pack(memory, offset + place)

        bias = bias_of(ctx, node)

        def fill_bias(memory: _core.Memory, offset: int) -> None:
            folded = np.frombuffer(memory, np.int32, self.parameters, offset)
            self._fold_bias(node, groups, bias, folded)
            ctx.release(weights)  # read for the last time: to sum them up
            place = parameters
            for entry in ones:
                entry.pack_bias(None, 0, folded[place : place + entry.padded_columns])
                place += entry.padded_columns

        laid_out = b"".join(runs.order.tobytes() + runs.lengths.tobytes() for runs in covers)
        key = (node.inputs[1], kernel.name, laid_out, bytes(str(group_offsets), "ascii"))
        self.weights = ctx.reserve_weights(total, fill, key)
        self.bias = ctx.reserve_weights(4 * self.parameters, fill_bias)
        self.scale = self.weight_zero = NO_BUFFER
        if not node.attrs["raw"]:
            self.scale = ctx.add_weights(self._spread(groups, columns, scales_of(node, len(weights))))
        if self.has_sums:
            zeros = np.zeros(self.parameters, np.int32)
            place = 0
            for group in groups:
                if group.needs_sums:
                    group.pack_zero_points(zeros[place : place + group.padded_columns])
                place += group.padded_columns
            self.weight_zero = ctx.add_weights(zeros)

    def _spread(self, groups: list[_core.ByteWeights], columns: int, values: np.ndarray) -> np.ndarray:
        """Values of each column at the places of the panels' columns, zeros between."""
        spread = np.zeros(self.parameters, values.dtype)
        place = 0
        for index, group in enumerate(groups):
            spread[place : place + columns] = values[index * columns : (index + 1) * columns]
            place += group.padded_columns
        return spread

    def _fold_bias(
        self, node: Node, groups: list[_core.ByteWeights], bias: np.ndarray | None, folded: np.ndarray
    ) -> None:
        place = first = 0
        for group in groups:
            columns = group.weights.shape[0]
            own = None if bias is None else bias[first : first + columns]
            try:
                group.pack_bias(own, node.attrs["x_zero_point"], folded[place : place + group.padded_columns])
            except UnsupportedError as error:
                raise UnsupportedError(f"node '{node.label}' ({node.op}): {error}") from None
            place += group.padded_columns
            first += columns


def byte_weights(
    kernel: _core.Kernel, weights: np.ndarray, columns: slice, zero_points: np.ndarray | None, runs: DepthRuns
) -> _core.ByteWeights:
    """One group's weights in the order of the runs, read from the model's array wherever it lies."""
    part = weights[columns]
    zeros = None if zero_points is None else zero_points[columns]
    offsets = element_offsets(part)
    if not runs.has_gaps:
        ordered = offsets[runs.order].astype(np.int32)
        in_order = np.array_equal(ordered, np.arange(len(ordered)))
        return _core.ByteWeights(kernel, part, runs.lengths, None if in_order else ordered, zeros)
    # Bytes between the elements meet weights that equal their zero points.
    filled = np.zeros((len(part), len(runs.order)), part.dtype)
    if zeros is not None:
        filled += zeros.astype(part.dtype)[:, None]
    present = np.flatnonzero(runs.order >= 0)
    filled[:, present] = part.reshape(len(part), -1)[:, runs.order[present]]
    return _core.ByteWeights(kernel, filled, runs.lengths, None, zeros)


def sums_of(kernel: _core.Kernel, runs: DepthRuns) -> _core.ByteWeights:
    """A panel of one column of ones: its products are the sums of A."""
    return _core.ByteWeights(kernel, np.ones((1, len(runs.order)), np.int8), runs.lengths)
