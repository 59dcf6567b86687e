"""Emits activations, binary operators, and scale and shift per channel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import _core
from ..graph import Node
from .activations import activation_triple
from .context import EmitContext, StepInfo, View

BINARY_KINDS = ("add", "sub", "mul", "div", "min", "max", "pow", "prelu", "mod")  # in the order of ci_binary_kind


def broadcast_strides(view: View, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides with which a view is read as an array of a wider shape (NumPy's rules)."""
    missing = len(shape) - len(view.shape)
    return (0,) * missing + tuple(
        0 if size == 1 else stride for size, stride in zip(view.shape, view.strides, strict=True)
    )


def broadcast(view: View, shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, ...]]:
    """(ref, strides) of a view read as an array of a wider shape: what the steps of _core take."""
    return view.ref, broadcast_strides(view, shape)


def emit_activation(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Activation: float32 of any shape."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    activation = (node.attrs["kind"], node.attrs.get("alpha", 0.0), node.attrs.get("beta", 0.0))
    return add_activation(ctx, source, output, activation)


def add_activation(ctx: EmitContext, source: View, output: View, activation: tuple[str, float, float]) -> StepInfo:
    _core.add_activation(
        ctx.program,
        shape=output.shape,
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        activation=activation_triple(activation),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("activation_f32", ctx.allowed), note=activation[0])


def emit_binary(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Binary: float32, NumPy broadcasting."""
    a, b = ctx.view(node.inputs[0]), ctx.view(node.inputs[1])
    output = ctx.view(node.outputs[0])
    kind = node.attrs["kind"]
    if kind == "pow" and ctx.graph.constants.get(node.inputs[1], np.zeros(0)).size == 1:
        exponent = float(ctx.constant(node.inputs[1]).reshape(()))
        if exponent == 2.0:
            kind, b = "mul", a
    _core.add_binary(
        ctx.program,
        kind=BINARY_KINDS.index(kind),
        shape=output.shape,
        y=(output.ref, output.strides),
        a=broadcast(a, output.shape),
        b=broadcast(b, output.shape),
        activation=activation_triple(node.attrs.get("activation")),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("binary_f32", ctx.allowed), note=kind)


def emit_affine(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Affine: y = x * scale + shift, float32, scale and shift [C] along the last axis."""
    source, scale, shift = (ctx.view(name) for name in node.inputs)
    output = ctx.view(node.outputs[0])
    _core.add_affine(
        ctx.program,
        shape=output.shape,
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        scale=broadcast(scale, output.shape),
        shift=broadcast(shift, output.shape),
        activation=activation_triple(node.attrs.get("activation")),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("affine_f32", ctx.allowed))


@lru_cache(maxsize=256)
def kernel_name(operation: str, allowed: int, variant: str = "any") -> str:
    """The kernel that a step chooses: the best one of the operation that `allowed` admits."""
    order = _core.isa_names()
    return max(
        (
            kernel
            for kernel in _core.kernels()
            if kernel.operation == operation and kernel.variant == variant and allowed >> order.index(kernel.isa) & 1
        ),
        key=lambda kernel: order.index(kernel.isa),
    ).name
