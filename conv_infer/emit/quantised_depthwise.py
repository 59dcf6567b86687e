"""Emits int8 depthwise convolutions, which have kernels of their own and read in place."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..errors import ConvInferError, UnsupportedError
from ..graph import Node
from ..planner.storage import frame_of
from .context import NO_BUFFER, EmitContext, StepInfo
from .direct_convolution import padded_input
from .requantise import bias_of, requantise_of, scales_of, zero_points_of


def emit_quantised_depthwise(ctx: EmitContext, node: Node) -> StepInfo | None:
    """conv_infer.QConv in groups of one channel in and one out; None, and nothing appended, for all others, and where
    another tensor is added in the step, the result is requantised, or the window has too many taps for the kernels."""
    attrs = node.attrs
    columns, kernel_height, kernel_width, channels = ctx.graph.shape(node.inputs[1])
    lowering = attrs.get("lowering")
    if (
        columns == 1
        or channels != 1
        or attrs["groups"] != columns
        or attrs["add"] is not None
        or "line" in attrs
        or attrs.get("input_channels") is not None
        or attrs.get("input_layout", "NHWC") != "NHWC"
        or (lowering is not None and lowering.writes_padding)
        or kernel_height * kernel_width > _core.DEPTHWISE_S8_TAPS
    ):
        return None
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    weights = ctx.constant(node.inputs[1])
    zero_points = zero_points_of(node, columns)
    window = (kernel_height, kernel_width), tuple(attrs["strides"]), tuple(attrs["dilations"])
    packed = pack_depthwise(ctx, node, window, weights, zero_points)
    scale = NO_BUFFER
    if not attrs["raw"]:
        scale = ctx.add_weights(packed.columns(np.ascontiguousarray(scales_of(node, columns))))
    _core.add_depthwise_s8(
        ctx.program,
        kernel=packed.kernel,
        weights=ctx.add_weights(packed.weights),
        bias=ctx.add_weights(packed.bias),
        scale=scale,
        output=output.ref,
        output_shape=output.shape,
        output_strides=output.strides[:3],
        kernel_shape=window[0],
        strides=window[1],
        dilations=window[2],
        requantise=requantise_of(node),
        threads=ctx.threads,
        **padded_input(source, frame_of(ctx.graph, node)),
    )
    ctx.release(weights)
    macs = int(np.prod(output.shape)) * kernel_height * kernel_width
    return StepInfo(kernel=packed.kernel.name, lowering="in place", macs=macs, weight_bytes=packed.weights.nbytes)


def pack_depthwise(
    ctx: EmitContext,
    node: Node,
    window: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
    weights: np.ndarray,
    zero_points: np.ndarray | None,
) -> _core.PackedDepthwise:
    """Packed for the best kernel; where weights less their zero points do not fit its bytes, for the next best."""
    names, allowed = _core.isa_names(), ctx.allowed
    while True:
        kernel = _core.depthwise_s8_kernel(*window, allowed)
        try:
            return _core.PackedDepthwise(
                kernel,
                weights[..., 0].transpose(1, 2, 0),
                zero_point=zero_points,
                a_zero=node.attrs["x_zero_point"],
                bias=bias_of(ctx, node),
            )
        except ConvInferError as error:
            if kernel.isa == "scalar":
                raise UnsupportedError(f"node '{node.label}' ({node.op}): {error}") from None
            allowed &= ~(1 << names.index(kernel.isa))
