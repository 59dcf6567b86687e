"""What every form of an int8 convolution is told alike: types, epilogue, scales, zero points, where weights lie."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..errors import UnsupportedError
from ..graph import Node
from .context import EmitContext, View


def require_unsigned(node: Node, *views: View | None) -> None:
    """Quantised tensors are stored as unsigned bytes: see passes/store_unsigned.py."""
    for view in views:
        if view is not None and view.dtype != np.uint8:
            raise UnsupportedError(f"node '{node.label}' ({node.op}): a tensor is {view.dtype}; only uint8 is planned")


def requantise_of(node: Node) -> _core.Requantise:
    """The epilogue's parameters but for the scales; of a residual, as onnxruntime's QLinearAdd folds them:
    rint(fma(q, ra, fma(other, rb, c))) with ra = y_scale / sum_scale, rb = other_scale / sum_scale and
    c = sum_zero_point - fma(ra, y_zero_point, rb * other_zero_point), in float32; a and b are exchanged in c where the
    convolution's result is the addition's second operand."""
    attrs = node.attrs
    if attrs["raw"]:
        return _core.Requantise()
    way = _core.Requantise(
        scale=np.zeros(1, np.float32), zero_point=attrs["y_zero_point"], minimum=attrs["lo"], maximum=attrs["hi"]
    )
    if attrs["add"] is not None:
        y_scale, other_scale, other_zero, sum_scale, sum_zero, minimum, maximum = attrs["add"]
        origin, other_origin, sum_origin = attrs.get("origins", (0, 0, 0))
        own, other = (y_scale, attrs["y_zero_point"] - origin), (other_scale, other_zero - other_origin)
        result = (sum_scale, sum_zero - sum_origin)
        if attrs.get("is_second_operand", False):
            data_scale, scale, constant = addition_constants(other, own, result)
        else:
            scale, data_scale, constant = addition_constants(own, other, result)
        way.add(
            None,
            None,
            scale=scale,
            data_scale=data_scale,
            constant=constant,
            origin=origin,
            data_origin=other_origin,
            out_origin=sum_origin,
            minimum=minimum,
            maximum=maximum,
        )
    elif "line" in attrs:  # what is added is the output as it is found, times 0
        slope, intercept, minimum, maximum = attrs["line"]
        way.add(
            None,
            None,
            scale=slope,
            data_scale=0.0,
            constant=intercept,
            origin=0,
            data_origin=0,
            out_origin=0,
            minimum=minimum,
            maximum=maximum,
        )
    return way


def added_view(ctx: EmitContext, node: Node) -> View | None:
    """What the epilogue adds; a `line` is the addition of the output itself, times 0."""
    return ctx.view(node.outputs[0]) if "line" in node.attrs else ctx.optional_view(node, 3)


def addition_constants(
    a: tuple[float, int], b: tuple[float, int], y: tuple[float, int]
) -> tuple[np.float32, np.float32, np.float32]:
    """(ra, rb, c) of an addition of quantised tensors, each given as (scale, zero point): see `requantise_of`."""
    ra, rb = np.float32(a[0]) / np.float32(y[0]), np.float32(b[0]) / np.float32(y[0])
    inner = _core.fused_multiply_add(ra, a[1], rb * np.float32(b[1]))
    return ra, rb, np.float32(y[1]) - np.float32(inner)


def zero_points_of(node: Node, columns: int) -> np.ndarray | None:
    """The weights' zero points, int32 [columns]; None where all are 0."""
    zeros = np.asarray(node.attrs["w_zero_point"], np.int32)
    return np.ascontiguousarray(np.broadcast_to(zeros, columns)) if zeros.any() else None


def bias_of(ctx: EmitContext, node: Node) -> np.ndarray | None:
    """int32 [columns], contiguous, or None; aligned, which a view of the file need not be."""
    return np.require(ctx.constant(node.inputs[2]), np.int32, "CA") if node.inputs[2] else None


def scales_of(node: Node, columns: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(node.attrs["scale"], np.float32), columns)


def element_offsets(weights: np.ndarray) -> np.ndarray:
    """Where the elements of one column of OHWI weights lie, in bytes from its first: int64 [depth], in row-major
    order."""
    offsets = np.zeros((1, 1, 1), np.int64)
    for axis, (size, stride) in enumerate(zip(weights.shape[1:], weights.strides[1:], strict=True)):
        shape = [1, 1, 1]
        shape[axis] = size
        offsets = offsets + np.arange(size).reshape(shape) * stride
    return offsets.reshape(-1)
