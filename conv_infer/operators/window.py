"""The geometry of sliding windows: what convolution and pooling share."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Node
from .checks import choice, dims, integers, model_error, unsupported

MOST_PADDED = 1 << 28  # elements of an axis, padding included

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


class Window:
    """A sliding window with everything resolved, one number per spatial axis.

    `begin` and `end` are the paddings before and after, `output` the number of window positions. Where `ceil_mode`
    lets the last window of a pooling run past the padded input, `output` counts it and `end` does not.
    """

    __slots__ = ("begin", "dilations", "end", "kernel", "output", "strides")

    def __init__(
        self,
        kernel: Sequence[int],
        strides: Sequence[int],
        begin: Sequence[int],
        end: Sequence[int],
        dilations: Sequence[int],
        output: Sequence[int],
    ):
        self.kernel = tuple(kernel)
        self.strides = tuple(strides)
        self.begin = tuple(begin)
        self.end = tuple(end)
        self.dilations = tuple(dilations)
        self.output = tuple(output)

    @property
    def pads(self) -> tuple[int, ...]:
        """The paddings as ONNX writes them: all beginnings, then all ends."""
        return self.begin + self.end

    def __repr__(self) -> str:
        return (
            f"Window(kernel={dims(self.kernel)}, strides={self.strides}, pads={self.pads}, "
            f"dilations={self.dilations}, output={dims(self.output)})"
        )


def per_axis(node: Node, name: str, rank: int, default: int, least: int) -> list[int]:
    """An attribute with one integer per spatial axis, each at least `least`."""
    values = node.attrs.get(name)
    if values is None:
        return [default] * rank
    values = integers(node, name)
    if len(values) != rank:
        raise model_error(node, f"attribute '{name}' is {values}; {rank} values are expected, one per spatial axis")
    for value in values:
        if value < least:
            raise model_error(node, f"attribute '{name}' is {values}; values of at least {least} are expected")
    return values


def explicit_pads(node: Node, rank: int) -> list[int]:
    """The `pads` attribute (zeros where absent): beginnings, then ends, none negative."""
    values = integers(node, "pads")
    if not values:
        return [0] * (2 * rank)
    if len(values) != 2 * rank:
        raise model_error(node, f"attribute 'pads' is {values}; {2 * rank} values are expected, two per spatial axis")
    if min(values) < 0:
        raise model_error(node, f"attribute 'pads' is {values}; values of at least 0 are expected")
    return values


def resolve_window(node: Node, spatial: Sequence[int], kernel: Sequence[int], *, ceil_mode: bool = False) -> Window:
    """The window of a convolution or pooling node over an input of the given spatial size.

    `auto_pad` is turned into paddings (Conv-1 to -22, MaxPool-1 to -22 and their like): SAME gives ceil(size / stride)
    positions and puts the odd element at the end (SAME_UPPER) or beginning (SAME_LOWER). With `ceil_mode` the number of
    positions is rounded up, unless the last window would start in the end padding.
    """
    rank = len(spatial)
    strides = per_axis(node, "strides", rank, 1, 1)
    dilations = per_axis(node, "dilations", rank, 1, 1)
    auto_pad = "NOTSET"
    if "auto_pad" in node.attrs:
        auto_pad = choice(node, "auto_pad", "NOTSET", AUTO_PADS)
    pads = explicit_pads(node, rank) if auto_pad == "NOTSET" else [0] * (2 * rank)
    begin, end, output = pads[:rank], pads[rank:], []
    for axis, size in enumerate(spatial):
        stride = strides[axis]
        extent = dilations[axis] * (kernel[axis] - 1) + 1
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            count = -(-size // stride)
            total = max((count - 1) * stride + extent - size, 0)
            begin[axis] = (total if auto_pad == "SAME_UPPER" else total + 1) // 2
            end[axis] = total - begin[axis]
        padded = size + begin[axis] + end[axis]
        if padded > MOST_PADDED:
            raise unsupported(
                node, f"spatial axis {axis} has {padded} elements with its padding; at most {MOST_PADDED} are supported"
            )
        room = padded - extent
        if room < 0:
            raise model_error(
                node,
                f"the kernel {dims(kernel)} (dilation {dilations[axis]}) spans {extent} elements of axis {axis}; "
                f"the padded input '{node.inputs[0]}' has {padded}",
            )
        count = room // stride + 1
        if ceil_mode and room % stride and count * stride < size + begin[axis]:
            count += 1
        output.append(count)
        # what has no effect may be any number in the model
        strides[axis] = stride if count > 1 else 1
        dilations[axis] = dilations[axis] if kernel[axis] > 1 else 1
    return Window(kernel, strides, begin, end, dilations, output)
