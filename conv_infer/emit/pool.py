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
    source = ctx.view(node.inputs[0])
    where = {"input": source.ref, "input_shape": source.shape, "input_strides": source.strides[:3]}
    _core.add_pool(ctx.program, **where, **pool_arguments(ctx, node, kernel, count_include_pad))
    return StepInfo(kernel=kernel.name)


def pool_arguments(ctx: EmitContext, node: Node, kernel: _core.Kernel, count_include_pad: bool) -> dict[str, object]:
    """What `_core.Pool` takes, but for where the input lies."""
    output = ctx.view(node.outputs[0])
    return {
        "kernel": kernel,
        "output": output.ref,
        "output_shape": output.shape,
        "output_strides": output.strides[:3],
        "kernel_shape": node.attrs["kernel"],
        "strides": node.attrs["strides"],
        "dilations": node.attrs.get("dilations", (1, 1)),
        "pads": node.attrs["pads"],
        "count_include_pad": count_include_pad,
        "threads": ctx.threads,
    }
