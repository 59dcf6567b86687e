"""Emits max and average pooling."""

from __future__ import annotations

from .. import _core
from ..graph import Node
from .context import EmitContext, StepInfo


def emit_max_pool(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.MaxPool: x [N,H,W,C] float32, int8 or uint8; attributes kernel, strides, pads, dilations."""
    kernel = _core.max_pool_kernel(ctx.view(node.inputs[0]).dtype.char, ctx.allowed)
    return add_pool(ctx, node, kernel, count_include_pad=False)


def emit_average_pool(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.AveragePool: x [N,H,W,C] float32; attributes kernel, strides, pads, count_include_pad."""
    kernel = _core.average_pool_kernel(ctx.allowed)
    return add_pool(ctx, node, kernel, count_include_pad=bool(node.attrs["count_include_pad"]))


def add_pool(ctx: EmitContext, node: Node, kernel: _core.Kernel, count_include_pad: bool) -> StepInfo:
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    _core.add_pool(
        ctx.program,
        kernel=kernel,
        input=source.ref,
        output=output.ref,
        input_shape=source.shape,
        input_strides=source.strides[:3],
        output_shape=output.shape,
        output_strides=output.strides[:3],
        kernel_shape=node.attrs["kernel"],
        strides=node.attrs["strides"],
        dilations=node.attrs.get("dilations", (1, 1)),
        pads=node.attrs["pads"],
        count_include_pad=count_include_pad,
        threads=ctx.threads,
    )
    return StepInfo(kernel=kernel.name)
