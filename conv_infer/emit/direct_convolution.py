"""Emits depthwise convolutions and those in narrow groups, which have kernels of their own and read in place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import _core
from ..graph import Node
from ..planner.storage import Pads, frame_of
from ..planner.tiling import FLOAT_BYTES, kernels_of
from .activations import fused_activation
from .context import NO_BUFFER, EmitContext, StepInfo, View

BIAS_MULTIPLE = 16  # the kernels read whole vectors of biases


class PackedDirect:
    """The kernel of a direct convolution and its weights and bias, their places reserved."""

    __slots__ = ("add", "bias", "kernel", "macs_per_output", "weight_bytes", "weights")

    def __init__(self, kernel: _core.Kernel, add: Callable[..., None]):
        self.kernel = kernel
        self.add = add


def pack_direct(ctx: EmitContext, node: Node) -> PackedDirect | None:
    """None, and nothing reserved, where no direct kernel fits the convolution."""
    attrs = node.attrs
    columns, kernel_height, kernel_width, channels = ctx.graph.shape(node.inputs[1])
    groups = attrs["groups"]
    lowering = attrs.get("lowering")
    if groups == 1 or attrs.get("input_channels") is not None or attrs.get("input_layout", "NHWC") != "NHWC":
        return None
    if lowering is not None and lowering.writes_padding:
        return None
    window = (kernel_height, kernel_width), tuple(attrs["strides"]), tuple(attrs["dilations"])
    taps = kernel_height * kernel_width
    if channels == 1:
        packed = PackedDirect(_core.depthwise_f32_kernel(*window, columns // groups, ctx.allowed), _core.add_depthwise)
        pack = _core.pack_depthwise_f32
        weight_elems = taps * _core.packed_depthwise_f32_shape(columns, taps)[1]
    elif channels == columns // groups:
        kernel = _core.grouped_f32_kernel(channels, ctx.allowed)
        if kernel is None or kernel.isa != kernels_of("gemm_f32", ctx.allowed)[0].isa:
            return None  # a product with better instructions is faster
        packed = PackedDirect(kernel, _core.add_grouped)
        pack = _core.pack_grouped_f32
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
    packed.weight_bytes = weight_elems * FLOAT_BYTES
    packed.weights = ctx.reserve_weights(packed.weight_bytes, fill, (node.inputs[1], packed.kernel.operation))
    packed.bias = ctx.add_weights(bias)
    packed.macs_per_output = taps * channels
    return packed


def direct_arguments(ctx: EmitContext, node: Node, packed: PackedDirect) -> dict[str, object]:
    """The arguments of `_core.DirectConv` that do not depend on where images lie."""
    return {
        "kernel": packed.kernel,
        "weights": packed.weights,
        "bias": packed.bias,
        "kernel_shape": ctx.graph.shape(node.inputs[1])[1:3],
        "strides": tuple(node.attrs["strides"]),
        "dilations": tuple(node.attrs["dilations"]),
        **fused_activation(node.attrs.get("activation"), ctx.allowed),
        "threads": ctx.threads,
    }


def padded_input(source: View, pads: Pads) -> dict[str, object]:
    """The arguments of `_core.DirectConv` for an input read in place, the padding around it included."""
    top, left, bottom, right = pads
    images, height, width, channels = source.shape
    return {
        "input": source.moved(-(top * source.strides[1] + left * source.strides[2])),
        "input_shape": (images, height + top + bottom, width + left + right, channels),
        "input_strides": source.strides[:3],
    }


def emit_direct_conv(ctx: EmitContext, node: Node) -> StepInfo | None:
    """Appends the step where a direct kernel fits the convolution; None, and nothing appended, where none does."""
    packed = pack_direct(ctx, node)
    if packed is None:
        return None
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    residual = ctx.optional_view(node, 3)
    packed.add(
        ctx.program,
        output=output.ref,
        residual=residual.ref if residual else NO_BUFFER,
        output_shape=output.shape,
        output_strides=output.strides[:3],
        residual_strides=residual.strides[:3] if residual else (0, 0, 0),
        **padded_input(source, frame_of(ctx.graph, node)),
        **direct_arguments(ctx, node, packed),
    )
    macs = int(np.prod(output.shape)) * packed.macs_per_output
    return StepInfo(kernel=packed.kernel.name, lowering="in place", macs=macs, weight_bytes=packed.weight_bytes)
