"""Emits what is not convolution on quantised tensors: conversions, sums, products, tables, means, pools, softmax.

The formulas are those of the planned operators; tensors are stored as unsigned bytes (passes/store_unsigned.py).
"""

from __future__ import annotations

import numpy as np

from .. import _core
from ..errors import UnsupportedError
from ..graph import Node
from .context import EmitContext, StepInfo, View
from .elementwise import broadcast, kernel_name
from .requantise import addition_constants, require_unsigned


def emit_quantize(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Quantize: float32 to uint8, saturate(rint(x / scale) + zero_point); ONNX QuantizeLinear 10 to 25."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    require_unsigned(node, output)
    _core.add_quantise(
        ctx.program,
        shape=output.shape,
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        scale=along_axis(ctx, node, "scale", np.float32, output),
        zero_point=along_axis(ctx, node, "zero_point", np.int32, output),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("quantise_u8", ctx.allowed))


def emit_dequantize(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Dequantize: uint8 or int32 to float32; ONNX DequantizeLinear 10 to 25. y = float32(x - zero_point) *
    scale."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    is_bytes = source.dtype != np.int32
    if is_bytes:
        require_unsigned(node, source)
    elif np.any(node.attrs["zero_point"]):
        raise UnsupportedError(f"node '{node.label}' (Dequantize): int32 with a zero point; ONNX allows 0 only")
    _core.add_dequantise(
        ctx.program,
        is_bytes=is_bytes,
        shape=output.shape,
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        scale=along_axis(ctx, node, "scale", np.float32, output),
        zero_point=along_axis(ctx, node, "zero_point", np.int32, output),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    name = kernel_name("dequantise_u8" if is_bytes else "dequantise_s32", ctx.allowed)
    return StepInfo(kernel=name, note=node.attrs.get("note", ""))


def along_axis(
    ctx: EmitContext, node: Node, name: str, dtype: type, output: View
) -> tuple[tuple[int, int], tuple[int, ...]]:
    """(ref, strides) of an attribute that holds one value, or one for each index along the axis `axis`."""
    values = np.ascontiguousarray(node.attrs[name], dtype).reshape(-1)
    strides = [0] * len(output.shape)
    axis = node.attrs.get("axis")
    if axis is not None:
        values = np.ascontiguousarray(np.broadcast_to(values, output.shape[axis]))
        strides[axis] = 1
    return ctx.add_weights(values), tuple(strides)


def emit_qbinary(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.QBinary: sums as `addition_constants` folds them; products are rint(float32((a - za) * (b - zb)) *
    (a_scale * b_scale / y_scale) + zy). NumPy broadcasting; com.microsoft QLinearAdd and QLinearMul 1."""
    a, b = ctx.view(node.inputs[0]), ctx.view(node.inputs[1])
    output = ctx.view(node.outputs[0])
    require_unsigned(node, a, b, output)
    attrs = node.attrs
    origins = attrs.get("origins", (0, 0, 0))
    pairs = [(attrs[f"{name}_scale"], attrs[f"{name}_zero_point"]) for name in "aby"]
    multiplies = attrs["kind"] == "mul"
    if multiplies:
        ratio = np.float32(pairs[0][0]) * np.float32(pairs[1][0]) / np.float32(pairs[2][0])
        scales, constant = (ratio, 0.0), np.float32(pairs[2][1] - origins[2])
        origins = (pairs[0][1], pairs[1][1], origins[2])
    else:
        *scales, constant = addition_constants(
            *((scale, zero - origin) for (scale, zero), origin in zip(pairs, origins, strict=True))
        )
    _core.add_quantised_binary(
        ctx.program,
        multiplies=multiplies,
        shape=output.shape,
        y=(output.ref, output.strides),
        a=broadcast(a, output.shape),
        b=broadcast(b, output.shape),
        scales=tuple(scales),
        constant=constant,
        origins=origins,
        limits=(attrs["lo"], attrs["hi"]),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("mul_u8" if multiplies else "add_u8", ctx.allowed))


def emit_qlookup(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.QLookup: y = table[x] by unsigned byte patterns, int8 or uint8 on either side."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    _core.add_lookup(
        ctx.program,
        shape=output.shape,
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        table=ctx.add_weights(np.ascontiguousarray(node.attrs["table"])),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("lookup_u8", ctx.allowed))


def emit_qmean(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.QMean: saturate(rint(float32(sum of (x - x_zero_point)) * scale) + y_zero_point), scale = x_scale /
    (y_scale * float32(count)); the output keeps the reduced axes as 1. com.microsoft QLinearGlobalAveragePool 1."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    require_unsigned(node, source, output)
    attrs = node.attrs
    axes = tuple(int(axis) for axis in attrs["axes"])
    count = 1
    for axis in axes:
        count *= source.shape[axis]
    _core.add_quantised_mean(
        ctx.program,
        shape=source.shape,
        axes=axes,
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        scale=np.float32(attrs["x_scale"]) / (np.float32(attrs["y_scale"]) * np.float32(count)),
        x_zero_point=attrs["x_zero_point"],
        y_zero_point=attrs["y_zero_point"],
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("sum_u8", ctx.allowed))


def emit_qaverage_pool(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.QAveragePool: float32 means of the dequantised window, quantised; x [N,H,W,C]. com.microsoft
    QLinearAveragePool 1."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    require_unsigned(node, source, output)
    attrs = node.attrs
    _, y_origin = attrs.get("origins", (0, 0))
    _core.add_quantised_pool(
        ctx.program,
        input=source.ref,
        output=output.ref,
        input_shape=source.shape,
        input_strides=source.strides[:3],
        output_shape=output.shape,
        output_strides=output.strides[:3],
        kernel_shape=attrs["kernel"],
        strides=attrs["strides"],
        pads=attrs["pads"],
        count_include_pad=bool(attrs["count_include_pad"]),
        scales=(attrs["x_scale"], attrs["y_scale"]),
        zero_points=(attrs["x_zero_point"], attrs["y_zero_point"] - y_origin),
        y_origin=y_origin,
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("average_u8", ctx.allowed))


def emit_qsoftmax(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.QSoftmax: saturate(rint(e * factor / sum of e) + y_zero_point), e = table[255 - (maximum - x)].
    com.microsoft QLinearSoftmax 1."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    require_unsigned(node, source, output)
    attrs = node.attrs
    _core.add_quantised_softmax(
        ctx.program,
        shape=output.shape,
        axis=attrs["axis"],
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        table=ctx.add_weights(np.ascontiguousarray(attrs["table"], np.float32)),
        factor=attrs["factor"],
        y_zero_point=attrs["y_zero_point"],
        threads=ctx.threads,
    )
    return StepInfo(kernel="softmax_u8")
