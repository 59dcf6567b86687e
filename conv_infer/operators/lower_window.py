"""Windows over images as planned operators take them: pairs (y, x); a signal becomes an image of one row."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Node
from ..layout import Lowering, channels_last
from .window import Window


def pair(values: Sequence[int], row: int) -> tuple[int, int]:
    """The values of the two spatial axes; `row` stands for the one that a signal lacks."""
    return (row, values[0]) if len(values) == 1 else (values[0], values[1])


def window_attrs(window: Window) -> dict:
    """Attributes strides, pads (top, left, bottom, right) and dilations."""
    return {
        "strides": pair(window.strides, 1),
        "pads": (*pair(window.begin, 0), *pair(window.end, 0)),
        "dilations": pair(window.dilations, 1),
    }


def emit_on_image(lowering: Lowering, node: Node, op: str, others: list[str], attrs: dict) -> None:
    """Appends an image operator on the node's first input, an image or a signal."""
    x = node.inputs[0]
    order = channels_last(lowering.rank(x))
    physical = lowering.use(x, order)
    if len(order) == 4:
        lowering.emit(node, op, [physical, *others], order, attrs)
        return
    batch, channels, length = lowering.shape(x)
    image = lowering.reshaped(node, physical, (batch, 1, length, channels))
    batch, channels, length = lowering.shape(node.outputs[0])
    dtype = lowering.dtype(node.outputs[0])
    image = lowering.step(node, op, [image, *others], (batch, 1, length, channels), attrs, dtype)
    lowering.emit(node, "Reshape", [image], order)
