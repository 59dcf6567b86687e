"""Emits a convolution of a planar image and the pooling behind it as one step, band by band."""

from __future__ import annotations

from .. import _core
from ..graph import Node
from ..planner.fuse_pools import held_row_bytes
from ..planner.tiling import even, pieces_of_image, pooled_rows_at_once
from .context import NO_BUFFER, EmitContext, StepInfo
from .convolution import banded_input
from .pool import pool_arguments
from .windows import Geometry


def emit_pooled_conv(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.PooledConv: x [N,C,H,W] float32; the attributes `conv` and `pool` are the conv_infer.Conv and
    conv_infer.MaxPool nodes that it stands for."""
    conv, pool = node.attrs["conv"], node.attrs["pool"]
    between = ctx.graph.shape(conv.outputs[0])
    geometry = Geometry(ctx.constant(conv.inputs[1]), conv.attrs["groups"], between)
    images, height = ctx.graph.shape(pool.outputs[0])[:2]
    task_rows = -(-height // pieces_of_image(images, height, ctx.threads))
    stride = pool.attrs["strides"][0]
    largest = pooled_rows_at_once(stride, held_row_bytes(ctx.graph, conv), _core.cache_sizes()[1])
    rows = even(task_rows, largest, 1)
    bands, packed = banded_input(ctx, conv, geometry, min(geometry.height, rows * stride))
    kernel = _core.max_pool_kernel("f", ctx.allowed)
    _core.add_conv_bands(
        ctx.program,
        task_rows=task_rows,
        output=NO_BUFFER,
        residual=NO_BUFFER,
        output_strides=(0, 0, 0),
        residual_strides=(0, 0, 0),
        pool=_core.Pool(
            input=NO_BUFFER,
            input_shape=between,
            input_strides=(0, 0, 0),
            **pool_arguments(ctx, pool, kernel, count_include_pad=False),
        ),
        pooled_rows=rows,
        **bands,
        **packed.arguments,
    )
    lowering = f"bands of {rows} pooled {'row' if rows == 1 else 'rows'}"
    return StepInfo(f"{packed.kernels} {kernel.name}", lowering, geometry.macs, packed.weight_bytes)
