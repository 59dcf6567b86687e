"""Emits matrix products of two computed operands."""

from __future__ import annotations

import math

from .. import _core
from ..graph import Node
from .context import EmitContext, StepInfo, View
from .elementwise import broadcast_strides


def emit_batch_matmul(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.BatchMatMul: a [..., M, K] times b [..., K, N], float32, batch axes broadcast; times `alpha`."""
    a, b, output = (ctx.view(name) for name in (*node.inputs, node.outputs[0]))
    depth = a.shape[-1]
    if depth == 0:
        _core.add_fill(
            ctx.program, value=bytes(4), shape=output.shape, y=(output.ref, output.strides), threads=ctx.threads
        )
        return StepInfo(kernel="fill")
    batch = output.shape[:-2]
    _core.add_matmul(
        ctx.program,
        shape=output.shape,
        depth=depth,
        y=(output.ref, output.strides),
        a=(a.ref, matrix_strides(a, batch)),
        b=(b.ref, matrix_strides(b, batch)),
        alpha=node.attrs.get("alpha", 1.0),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel="gemm_f32", macs=math.prod(output.shape) * depth)


def matrix_strides(view: View, batch: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a stack of matrices, 0 along batch axes that are broadcast."""
    stack = View(view.ref, view.shape[:-2], view.strides[:-2], view.dtype)
    return (*broadcast_strides(stack, batch), *view.strides[-2:])
