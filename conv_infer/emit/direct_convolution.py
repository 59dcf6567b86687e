"""Emits depthwise convolutions and those in narrow groups, which have kernels of their own and read in place."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..graph import Node
from ..planner.storage import frame_of
from ..planner.tiling import FLOAT_BYTES
from .activations import activation_triple
from .context import NO_BUFFER, EmitContext, StepInfo

BIAS_MULTIPLE = 16  # the kernels read whole vectors of biases


def emit_direct_conv(ctx: EmitContext, node: Node, activation: tuple[str, float, float] | None) -> StepInfo | None:
    """Appends the step where a direct kernel fits the convolution; None, and nothing appended, where none does."""
    attrs = node.attrs
    columns, kernel_height, kernel_width, channels = ctx.graph.shape(node.inputs[1])
    groups = attrs["groups"]
    lowering = attrs.get("lowering")
    if groups == 1 or attrs.get("input_channels") is not None or attrs.get("input_layout", "NHWC") != "NHWC":
        return None
    if lowering is not None and lowering.is_reusable:
        return None
    window = (kernel_height, kernel_width), tuple(attrs["strides"]), tuple(attrs["dilations"])
    taps = kernel_height * kernel_width
    if channels == 1:
        kernel = _core.depthwise_f32_kernel(*window, columns // groups, ctx.allowed)
        add, pack = _core.add_depthwise, _core.pack_depthwise_f32
        weight_elems = taps * _core.packed_depthwise_f32_shape(columns, taps)[1]
    elif channels == columns // groups:
        kernel = _core.grouped_f32_kernel(channels, ctx.allowed)
        if kernel is None:
            return None
        add, pack = _core.add_grouped, _core.pack_grouped_f32
        weight_elems = _core.packed_grouped_f32_elems(columns, channels, window[0])
    else:
        return None
    weights = ctx.constant(node.inputs[1])

    def fill(memory: _core.Memory, offset: int) -> None:
        pack(np.ascontiguousarray(weights, np.float32), memory, offset)
        ctx.release(weights)

    bias = np.zeros(-(-columns // BIAS_MULTIPLE) * BIAS_MULTIPLE, np.float32)
    if len(node.inputs) > 2 and node.inputs[2]:
        bias[:columns] = ctx.constant(node.inputs[2])
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    residual = ctx.optional_view(node, 3)
    top, left, bottom, right = frame_of(ctx.graph, node)
    images, height, width, depth = source.shape
    add(
        ctx.program,
        kernel=kernel,
        input=source.moved(-(top * source.strides[1] + left * source.strides[2])),
        weights=ctx.reserve_weights(weight_elems * FLOAT_BYTES, fill, (node.inputs[1], kernel.operation)),
        bias=ctx.add_weights(bias),
        output=output.ref,
        residual=residual.ref if residual else NO_BUFFER,
        input_shape=(images, height + top + bottom, width + left + right, depth),
        input_strides=source.strides[:3],
        output_shape=output.shape,
        output_strides=output.strides[:3],
        residual_strides=residual.strides[:3] if residual else (0, 0, 0),
        kernel_shape=window[0],
        strides=window[1],
        dilations=window[2],
        activation=activation_triple(activation),
        threads=ctx.threads,
    )
    macs = int(np.prod(output.shape)) * taps * channels
    return StepInfo(kernel=kernel.name, lowering="in place", macs=macs, weight_bytes=weight_elems * FLOAT_BYTES)
