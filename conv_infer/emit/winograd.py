"""Emits float32 3x3 convolutions in Winograd's form, where that is predicted to be faster."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..graph import Node
from ..planner.arena import round_up
from ..planner.lowering import FRAME_COPY
from ..planner.tiling import FLOAT_BYTES, Panel, kernels_of, prefetch_distance, split_columns
from ..planner.winograd import POSITIONS, TILE, pays, plan_winograd, tiles_of
from .activations import fused_activation
from .context import NO_BUFFER, EmitContext, StepInfo
from .windows import Geometry, in_the_image

LOWERING = "Winograd F(2x2, 3x3)"


def emit_winograd_conv(ctx: EmitContext, node: Node) -> StepInfo | None:
    """conv_infer.Conv as Winograd's minimal filtering; None where the direct form is the one to take: the window or the
    predicted time speak for it, or memory is to be spared."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    geometry = Geometry(ctx.constant(node.inputs[1]), node.attrs["groups"], output.shape)
    if not is_open(ctx, node, geometry):
        return None
    outputs, depth = output.shape[:3], geometry.channels_per_group
    tiles = tiles_of(outputs)
    cut = split_columns(geometry.columns_per_group, depth, tiles, False, ctx.allowed)
    lanes = min(kernel.nr for kernel in kernels_of("gemm_f32", ctx.allowed))
    if not pays(outputs, source.shape[3], depth, output.shape[3], geometry.groups * len(cut), lanes):
        return None
    residual = ctx.optional_view(node, 3)
    panels, weights, bias, weight_bytes = pack_panels(ctx, node, geometry, cut)
    plan = plan_winograd(outputs, source.shape[3], cut, len(panels), weight_bytes, ctx.threads)
    windows = in_the_image(ctx, node, source, geometry)
    _core.add_winograd_f32(
        ctx.program,
        allowed=ctx.allowed,
        input=windows.first,
        weights=weights,
        bias=bias,
        output=output.ref,
        residual=residual.ref if residual else NO_BUFFER,
        output_shape=outputs,
        channels=source.shape[3],
        depth=depth,
        input_strides=windows.strides,
        output_strides=output.strides[:3],
        residual_strides=residual.strides[:3] if residual else (0, 0, 0),
        panels=panels,
        **fused_activation(node.attrs.get("activation"), ctx.allowed),
        tiles_per_task=plan.rows_per_task,
        panels_per_task=plan.panels_per_task,
        prefetch_distance=prefetch_distance(weight_bytes, tiles, _core.cache_sizes()[1]),
    )
    lowering = node.attrs.get("lowering")
    is_copied = lowering is not None and lowering.form == FRAME_COPY
    return StepInfo(
        kernel=" ".join(dict.fromkeys(panel.kernel.name for panel in cut)),
        lowering=f"{LOWERING}, {lowering}" if is_copied else LOWERING,
        macs=geometry.macs,
        weight_bytes=weight_bytes,
    )


def is_open(ctx: EmitContext, node: Node, geometry: Geometry) -> bool:
    """Whether the convolution has the window, and reads its input where it lies."""
    attrs = node.attrs
    lowering = attrs.get("lowering")
    return (
        geometry.kernel == (3, 3)
        and tuple(attrs["strides"]) == (1, 1)
        and tuple(attrs["dilations"]) == (1, 1)
        and attrs.get("input_channels") is None
        and attrs.get("input_layout", "NHWC") == "NHWC"
        and min(geometry.height, geometry.width) >= TILE
        and not (lowering is not None and lowering.writes_padding)
        and not ctx.spares_memory
    )


def pack_panels(
    ctx: EmitContext, node: Node, geometry: Geometry, cut: list[Panel]
) -> tuple[list[tuple], tuple[int, int], tuple[int, int], int]:
    """The panels of all groups in the order in which the step reads them; reserves their weights and biases."""
    weights = ctx.constant(node.inputs[1])
    bias_name = node.inputs[2] if len(node.inputs) > 2 else ""
    columns, depth = geometry.columns_per_group, geometry.channels_per_group
    panels, total, biases = [], 0, []
    for group in range(geometry.groups):
        for panel in cut:
            first = group * columns + panel.first
            panels.append((panel.kernel, first, panel.columns, group * depth, total))
            total += round_up(POSITIONS * depth * panel.kernel.nr * FLOAT_BYTES) // FLOAT_BYTES
            bias = np.zeros(panel.kernel.nr, np.float32)
            if bias_name:
                bias[: panel.columns] = ctx.constant(bias_name).reshape(-1)[first : first + panel.columns]
            biases.append(bias)

    def fill(memory: _core.Memory, offset: int) -> None:
        for kernel, first, count, _, start in panels:
            _core.pack_winograd_f32(kernel, weights[first : first + count], memory, offset + start * FLOAT_BYTES)
        ctx.release(weights)

    key = (node.inputs[1], "winograd", *(panel.kernel.name for panel in cut))
    weights_ref = ctx.reserve_weights(total * FLOAT_BYTES, fill, key)
    return panels, weights_ref, ctx.add_weights(np.concatenate(biases)), total * FLOAT_BYTES
