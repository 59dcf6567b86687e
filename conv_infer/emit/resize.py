"""Emits resizing: which source rows and columns each output row and column is made of is settled here."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..errors import UnsupportedError
from ..graph import Node
from .context import EmitContext, StepInfo
from .elementwise import kernel_name


def source_positions(mode: str, count: int, size: int, scale: float) -> np.ndarray:
    """Where each of `count` outputs lies on an input axis of `size`: float32 [count], as onnxruntime rounds it.

    `mode` is ONNX Resize's coordinate_transformation_mode, operator sets 10 to 19.
    """
    one, half, factor = np.float32(1), np.float32(0.5), np.float32(scale)
    index = np.arange(count, dtype=np.float32)
    if scale == 1.0 and count == size:
        return index
    if mode == "asymmetric":
        return index / factor
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and count > 1):
        return (index + half) / factor - half
    if mode == "pytorch_half_pixel" or (mode == "align_corners" and count == 1):
        return np.zeros(count, np.float32)
    if mode == "align_corners":
        return index * np.float32(size - 1) / np.float32(count - 1)
    if mode == "tf_half_pixel_for_nn":
        return (index + half) / factor
    if mode == "half_pixel_symmetric":
        adjustment = np.float32(count) / (factor * np.float32(size))
        offset = np.float32(size) / np.float32(2) * (one - adjustment)
        # onnxruntime rounds this sum once, from float64.
        return (float(offset) + (index + half) / np.float64(factor) - 0.5).astype(np.float32)
    raise UnsupportedError(f"Resize: coordinate_transformation_mode '{mode}' is not supported")


def nearest_table(positions: np.ndarray, rounding: str, size: int) -> np.ndarray:
    """The nearest source index of each position: int32; `rounding` is ONNX Resize's nearest_mode."""
    if rounding == "round_prefer_floor":
        chosen = np.ceil(positions - np.float32(0.5))
    elif rounding == "round_prefer_ceil":
        # a position one rounding short of a half goes up, as it does in onnxruntime
        chosen = np.floor(np.nextafter(positions, np.float32(np.inf)) + np.float32(0.5))
    elif rounding == "floor":
        chosen = np.floor(positions)
    elif rounding == "ceil":
        chosen = np.ceil(positions)
    else:
        raise UnsupportedError(f"Resize: nearest_mode '{rounding}' is not supported")
    return np.clip(chosen, 0, size - 1).astype(np.int32)


def linear_table(positions: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The two source indices around each position, and their weights; halves where both are the last one."""
    inside = np.clip(positions, np.float32(0), np.float32(size - 1))
    first = inside.astype(np.int32)
    second = np.minimum(first + 1, size - 1).astype(np.int32)
    half = np.where(first == second, np.float32(0.5), np.float32(0))
    before = np.where(half, half, second.astype(np.float32) - inside)
    return first, second, before, np.where(half, half, inside - first.astype(np.float32))


def emit_resize(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Resize: NHWC, nearest (any element of 1, 2, 4 or 8 bytes) or linear (float32); ONNX Resize 10 to 19,
    Upsample."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    mode = node.attrs["mode"]
    if mode not in ("nearest", "linear") or (mode == "linear" and source.dtype != np.float32):
        raise UnsupportedError(f"node '{node.label}' (Resize): mode '{mode}' of {source.dtype} is not supported")
    if 0 in output.shape:
        return StepInfo()
    tables = []
    for axis in (1, 2):
        size, count = source.shape[axis], output.shape[axis]
        positions = source_positions(
            node.attrs["coordinate_transformation_mode"], count, size, node.attrs["scales"][axis - 1]
        )
        if mode == "linear":
            tables.append(linear_table(positions, size))
        else:
            table = nearest_table(positions, node.attrs["nearest_mode"], size)
            weights = np.zeros(count, np.float32)
            tables.append((table, table, weights, weights))
    _core.add_resize(
        ctx.program,
        linear=mode == "linear",
        element_bytes=source.dtype.itemsize,
        y=(output.ref, output.shape, output.strides[:3]),
        x=(source.ref, source.shape, source.strides[:3]),
        rows=tables[0],
        columns=tables[1],
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel=kernel_name("bilinear_f32", ctx.allowed) if mode == "linear" else "copy", note=mode)
