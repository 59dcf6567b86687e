"""Emits int8 3x3 convolutions in Winograd's form, where that is exact and predicted to be faster."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..errors import UnsupportedError
from ..graph import Node
from ..planner.lowering import FRAME_COPY
from ..planner.quantised_tiling import plan_tiles, winograd_kernel
from .context import NO_BUFFER, EmitContext, StepInfo
from .requantise import added_view, bias_of, element_offsets, requantise_of, scales_of, zero_points_of
from .windows import Geometry, in_the_image

LOWERING = "Winograd F(2x2, 3x3)"


def emit_winograd(ctx: EmitContext, node: Node, geometry: Geometry) -> StepInfo | None:
    """conv_infer.QConv as Winograd's minimal filtering; None where the direct form is the one to take: the window, the
    instruction set, the weights' range or the predicted time speak for it, or memory is to be spared."""
    kernel = kernel_for(ctx, node, geometry)
    if kernel is None:
        return None
    weights = ctx.constant(node.inputs[1])
    packed = pack_for(kernel, weights, zero_points_of(node, len(weights)))
    if not packed.fits:
        return None
    source, output, other = ctx.view(node.inputs[0]), ctx.view(node.outputs[0]), added_view(ctx, node)
    windows = in_the_image(ctx, node, source, geometry)
    bias = bias_of(ctx, node)

    def fill(memory: _core.Memory, offset: int) -> None:
        packed.pack(memory, offset)

    def fill_bias(memory: _core.Memory, offset: int) -> None:
        folded = np.frombuffer(memory, np.int32, packed.padded_columns, offset)
        try:
            packed.pack_bias(bias, node.attrs["x_zero_point"], folded)
        except UnsupportedError as error:
            raise UnsupportedError(f"node '{node.label}' ({node.op}): {error}") from None
        ctx.release(weights)  # read for the last time: to sum them up

    scale = np.zeros(packed.padded_columns, np.float32)
    scale[: len(weights)] = scales_of(node, len(weights))
    plan = plan_tiles(kernel, output.shape, ctx.threads)
    _core.add_winograd(
        ctx.program,
        kernel=kernel,
        input=windows.first,
        weights=ctx.reserve_weights(packed.nbytes, fill, (node.inputs[1], kernel.name)),
        bias=ctx.reserve_weights(4 * packed.padded_columns, fill_bias),
        scale=ctx.add_weights(scale),
        output=output.ref,
        residual=other.ref if other else NO_BUFFER,
        output_shape=output.shape,
        depth=geometry.channels_per_group,
        input_strides=windows.strides,
        output_strides=output.strides[:3],
        residual_strides=other.strides[:3] if other else (0, 0, 0),
        requantise=requantise_of(node),
        tiles_per_task=plan.rows_per_task,
        columns_per_task=plan.panels_per_task * kernel.nr,
    )
    lowering = node.attrs.get("lowering")
    is_copied = lowering is not None and lowering.form == FRAME_COPY
    return StepInfo(
        kernel=kernel.name,
        lowering=f"{LOWERING}, {lowering}" if is_copied else LOWERING,
        macs=geometry.macs,
        weight_bytes=packed.nbytes,
    )


def kernel_for(ctx: EmitContext, node: Node, geometry: Geometry) -> _core.Kernel | None:
    """The kernel to take, None where the direct form is open only or predicted to be as fast."""
    attrs = node.attrs
    if (
        geometry.kernel != (3, 3)
        or attrs["strides"] != (1, 1)
        or attrs["dilations"] != (1, 1)
        or attrs["groups"] != 1
        or attrs["raw"]
        or attrs.get("input_channels") is not None
        or attrs.get("input_layout", "NHWC") != "NHWC"
        or min(geometry.height, geometry.width) < 2
        or ctx.spares_memory
    ):
        return None
    return winograd_kernel(
        (geometry.images, geometry.height, geometry.width),
        geometry.channels_per_group,
        geometry.columns_per_group,
        ctx.allowed,
    )


def pack_for(kernel: _core.Kernel, weights: np.ndarray, zero_points: np.ndarray | None) -> _core.WinogradWeights:
    offsets = None if weights[0].flags.c_contiguous else element_offsets(weights).astype(np.int32)
    return _core.WinogradWeights(kernel, weights, offsets, zero_points)
