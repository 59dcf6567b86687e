"""The sizes of a convolution, and where its windows are read."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..graph import Node
from ..planner.lowering import REUSABLE_ROWS
from ..planner.tiling import FLOAT_BYTES, TASKS_PER_THREAD
from .context import EmitContext, View


class Geometry:
    """The sizes of one convolution. Strides of the input are in elements: one output pixel on, one tap on."""

    __slots__ = (
        "channels_per_group",
        "columns_per_group",
        "depth",
        "groups",
        "height",
        "images",
        "kernel",
        "width",
    )

    def __init__(self, weights: np.ndarray, groups: int, output_shape: tuple[int, ...]):
        columns, kernel_height, kernel_width, channels = weights.shape
        self.groups = groups
        self.columns_per_group = columns // groups
        self.channels_per_group = channels
        self.kernel = (kernel_height, kernel_width)
        self.depth = kernel_height * kernel_width * channels
        self.images, self.height, self.width = output_shape[:3]

    @property
    def rows(self) -> int:
        return self.images * self.height * self.width

    def row_bytes(self, strides: tuple[int, int]) -> int:
        """Bytes of the input that a further output pixel brings into play."""
        fresh = min(strides[0] * strides[1], self.kernel[0] * self.kernel[1])
        return self.groups * self.channels_per_group * fresh * FLOAT_BYTES

    @property
    def macs(self) -> int:
        return self.rows * self.groups * self.columns_per_group * self.depth


class Windows:
    """Where a convolution's windows are read: the ref of the first, the strides (image, row, pixel) from one to the
    next, and those of the taps within one (image, row, pixel, channel). In elements."""

    __slots__ = ("buffer", "first", "strides", "strips_per_task", "tap_strides")

    def __init__(
        self, first: tuple[int, int], strides: tuple[int, int, int], tap_strides: tuple[int, int, int, int]
    ) -> None:
        self.first = first
        self.strides = strides
        self.tap_strides = tap_strides
        self.buffer: _core.ReusableBuffer | None = None
        self.strips_per_task = 1


def in_the_image(ctx: EmitContext, node: Node, source: View, geometry: Geometry) -> Windows:
    """Windows read in place, the padding around the image included."""
    tap_strides = input_strides(source, node.attrs.get("input_layout", "NHWC"))
    image, row, pixel, _ = tap_strides
    step_y, step_x = node.attrs["strides"]
    top, left = node.attrs["pads"][:2]
    return Windows(source.moved(-(top * row + left * pixel)), (image, step_y * row, step_x * pixel), tap_strides)


def in_reusable_buffer(ctx: EmitContext, node: Node, source: View, geometry: Geometry) -> Windows:
    """Windows read from strips of the padded image in the reusable buffer."""
    lowering, attrs = node.attrs["lowering"], node.attrs
    rows = lowering.form == REUSABLE_ROWS
    buffer = _core.ReusableBuffer(
        source.shape[1:], geometry.kernel, attrs["strides"], attrs["dilations"], attrs["pads"], rows, lowering.strip
    )
    along, across = buffer.along_stride, buffer.across_stride
    tap_strides = (0, along, across, 1) if rows else (0, across, along, 1)
    windows = Windows(source.ref, source.strides[:3], tap_strides)
    windows.buffer = buffer
    tasks = 1 if ctx.threads == 1 else min(buffer.strips, -(-ctx.threads * TASKS_PER_THREAD // geometry.images))
    windows.strips_per_task = -(-buffer.strips // tasks)
    return windows


def input_strides(source: View, layout: str) -> tuple[int, int, int, int]:
    """(image, row, pixel, channel) in elements."""
    if layout == "NCHW":
        image, channel, row, pixel = source.strides
        return image, row, pixel, channel
    return source.strides  # type: ignore[return-value]
