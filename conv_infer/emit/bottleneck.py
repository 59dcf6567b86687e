"""Emits bottlenecks: expansion, depthwise convolution and projection in one step, band by band."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..graph import Node
from ..planner.storage import frame_of
from ..planner.tiling import FLOAT_BYTES, plan_bands
from .context import NO_BUFFER, EmitContext, StepInfo, View, row_major
from .convolution import GemmPanels
from .direct_convolution import direct_arguments, pack_direct, padded_input
from .windows import Geometry, in_the_image

NO_STRIDES = (0, 0, 0)


def emit_bottleneck(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Bottleneck: NHWC float32; the attributes `expand` (or None), `depthwise` and `project` are the
    conv_infer.Conv nodes that it stands for."""
    depthwise, project = node.attrs["depthwise"], node.attrs["project"]
    shape = ctx.graph.shape
    wide, narrow = shape(depthwise.inputs[0]), shape(depthwise.outputs[0])
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    residual = ctx.optional_view(project, 3)
    pads = frame_of(ctx.graph, depthwise)
    packed = pack_direct(ctx, depthwise)
    infos = []
    if node.attrs["expand"] is not None:
        expand, info = gemm_in_scratch(ctx, node.attrs["expand"], source)
        infos.append(info)
        images, height, width, channels = wide
        top, left, bottom, right = pads
        where = {
            "input": NO_BUFFER,
            "input_shape": (images, top + height + bottom, left + width + right, channels),
            "input_strides": NO_STRIDES,
            "pads": pads,
        }
    else:
        expand = None
        where = padded_input(source, pads)
    direct = _core.DirectConv(
        output=NO_BUFFER,
        residual=NO_BUFFER,
        output_shape=narrow,
        output_strides=NO_STRIDES,
        residual_strides=NO_STRIDES,
        **where,
        **direct_arguments(ctx, depthwise, packed),
    )
    macs = int(np.prod(narrow)) * packed.macs_per_output
    infos.append(StepInfo(kernel=packed.kernel.name, macs=macs, weight_bytes=packed.weight_bytes))
    geometry = Geometry(ctx.constant(project.inputs[1]), project.attrs["groups"], output.shape)
    gemm = GemmPanels(ctx, project, geometry, (*row_major(narrow)[:3], 1))
    infos.append(StepInfo(kernel=gemm.kernels, macs=geometry.macs, weight_bytes=gemm.weight_bytes))
    bands = plan_bands(
        output.shape[:2],
        depthwise.attrs["strides"][0],
        (shape(depthwise.inputs[1])[1] - 1) * depthwise.attrs["dilations"][0] + 1,
        where["input_shape"][2] * wide[3] * FLOAT_BYTES,
        narrow[2] * narrow[3] * FLOAT_BYTES,
        ctx.threads,
        _core.cache_sizes()[1],
    )
    _core.add_bottleneck(
        ctx.program,
        expand=expand,
        depthwise=direct,
        project=_core.GemmConv(
            input=NO_BUFFER,
            output=output.ref,
            residual=residual.ref if residual else NO_BUFFER,
            output_shape=output.shape[:3],
            input_strides=NO_STRIDES,
            output_strides=output.strides[:3],
            residual_strides=residual.strides[:3] if residual else NO_STRIDES,
            **gemm.arguments,
        ),
        band=bands.band,
        rows_per_task=bands.rows_per_task,
    )
    return StepInfo(
        kernel=" ".join(dict.fromkeys(" ".join(info.kernel for info in infos).split())),
        lowering=f"bands of {bands.band} {'row' if bands.band == 1 else 'rows'}",
        macs=sum(info.macs for info in infos),
        weight_bytes=sum(info.weight_bytes for info in infos),
    )


def gemm_in_scratch(ctx: EmitContext, node: Node, source: View) -> tuple[_core.GemmConv, StepInfo]:
    """A convolution that reads an image and whose output the step keeps in scratch."""
    shape = ctx.graph.shape(node.outputs[0])
    geometry = Geometry(ctx.constant(node.inputs[1]), node.attrs["groups"], shape)
    windows = in_the_image(ctx, node, source, geometry)
    packed = GemmPanels(ctx, node, geometry, windows.tap_strides)
    gemm = _core.GemmConv(
        input=windows.first,
        output=NO_BUFFER,
        residual=NO_BUFFER,
        output_shape=shape[:3],
        input_strides=windows.strides,
        output_strides=NO_STRIDES,
        residual_strides=NO_STRIDES,
        **packed.arguments,
    )
    return gemm, StepInfo(kernel=packed.kernels, macs=geometry.macs, weight_bytes=packed.weight_bytes)
