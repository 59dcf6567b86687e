"""Emits reductions and conversions between element types."""

from __future__ import annotations

from .. import _core
from ..errors import UnsupportedError
from ..graph import Node
from .context import EmitContext, StepInfo
from .elementwise import kernel_name

REDUCTIONS = (
    "sum",
    "mean",
    "max",
    "min",
    "prod",
    "l1",
    "l2",
    "sum_square",
    "log_sum",
    "log_sum_exp",
)  # in the order of ci_reduction
TYPES = (
    "float16",
    "float32",
    "float64",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "int64",
    "bool",
)  # in the order of ci_type


def emit_reduce(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Reduce: float32; the output keeps the reduced axes with size 1."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    _core.add_reduce(
        ctx.program,
        kind=REDUCTIONS.index(node.attrs["kind"]),
        shape=source.shape,
        axes=tuple(int(axis) for axis in node.attrs["axes"]),
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("reduce_f32", ctx.allowed), note=node.attrs["kind"])


def emit_cast(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Cast: among float16, float32, float64, int8, uint8, int16, uint16, int32, int64 and bool."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    for view in (source, output):
        if view.dtype.name not in TYPES:
            raise UnsupportedError(
                f"node '{node.label}' (Cast): type {view.dtype.name} is not supported; these are: {', '.join(TYPES)}"
            )
    _core.add_cast(
        ctx.program,
        y_type=TYPES.index(output.dtype.name),
        x_type=TYPES.index(source.dtype.name),
        shape=output.shape,
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        threads=ctx.threads,
    )
    return StepInfo(kernel="cast", note=node.attrs.get("note") or f"{source.dtype.name} to {output.dtype.name}")
