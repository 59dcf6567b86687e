"""Emits softmax, local response, instance and layer normalisation."""

from __future__ import annotations

from .. import _core
from ..graph import Node
from .context import NO_BUFFER, EmitContext, StepInfo
from .elementwise import kernel_name


def emit_softmax(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Softmax: float32, along one axis; its logarithm where `log` is set."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    _core.add_softmax(
        ctx.program,
        shape=output.shape,
        axis=node.attrs["axis"] % len(output.shape),
        log=bool(node.attrs.get("log", False)),
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("softmax_f32", ctx.allowed))


def emit_lrn(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.LRN: NHWC float32, the window along the channels."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    channels = output.shape[-1]
    size = int(node.attrs["size"])
    # A window that covers every channel on both sides may be cut to that, as long as alpha / size stays.
    effective = min(size, 2 * channels + 1 - (1 - size % 2))
    _core.add_lrn(
        ctx.program,
        shape=output.shape,
        axis=len(output.shape) - 1,
        size=effective,
        alpha=node.attrs["alpha"] * effective / size,
        beta=node.attrs["beta"],
        bias=node.attrs["bias"],
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("lrn_f32", ctx.allowed))


def emit_instance_norm(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.InstanceNorm: [N, spatial..., C] float32, scale and shift [C]; over each of `groups` of channels."""
    source, scale, shift = (ctx.view(name) for name in node.inputs)
    output = ctx.view(node.outputs[0])
    _core.add_instance_norm(
        ctx.program,
        shape=output.shape,
        groups=node.attrs["groups"],
        epsilon=node.attrs["epsilon"],
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        scale=scale.ref,
        shift=shift.ref,
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("reduce_f32", ctx.allowed))


def emit_layer_norm(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.LayerNorm: float32, over the axes from `axis` on; scale and shift of their shape, or left out."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    scale, shift = ctx.optional_view(node, 1), ctx.optional_view(node, 2)
    rank = len(output.shape)
    _core.add_layer_norm(
        ctx.program,
        shape=output.shape,
        axes=tuple(range(node.attrs["axis"] % rank, rank)),
        epsilon=node.attrs["epsilon"],
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        scale=scale.ref if scale else NO_BUFFER,
        shift=shift.ref if shift else NO_BUFFER,
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("layer_norm_f32", ctx.allowed))
