"""How windows move, with `auto_pad` resolved, as pairs (y, x); signals are images of one row."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Node


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return (1, values[0]) if len(values) == 1 else (values[0], values[1])


def _quad(begins: Sequence[int], ends: Sequence[int]) -> tuple[int, int, int, int]:
    if len(begins) == 1:
        return (0, begins[0], 0, ends[0])
    return (begins[0], begins[1], ends[0], ends[1])


def conv_window(node: Node, size: Sequence[int], kernel: Sequence[int]) -> dict:
    """Attributes strides, pads (top, left, bottom, right) and dilations of a convolution or pooling."""
    rank = len(size)
    strides = list(node.attrs.get("strides") or [1] * rank)
    dilations = list(node.attrs.get("dilations") or [1] * rank)
    pads = list(node.attrs.get("pads") or [0] * (2 * rank))
    begins, ends = pads[:rank], pads[rank:]
    auto = node.attrs.get("auto_pad") or "NOTSET"
    if auto == "VALID":
        begins, ends = [0] * rank, [0] * rank
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        for axis in range(rank):
            extent = (kernel[axis] - 1) * dilations[axis] + 1
            outputs = -(-size[axis] // strides[axis])
            total = max(0, (outputs - 1) * strides[axis] + extent - size[axis])
            begins[axis] = total // 2 if auto == "SAME_UPPER" else total - total // 2
            ends[axis] = total - begins[axis]
    return {"strides": _pair(strides), "pads": _quad(begins, ends), "dilations": _pair(dilations)}


def transposed_window(node: Node, size: Sequence[int], kernel: Sequence[int], output: Sequence[int]) -> dict:
    """The same for a transposed convolution, with `output_padding`."""
    rank = len(size)
    strides = list(node.attrs.get("strides") or [1] * rank)
    dilations = list(node.attrs.get("dilations") or [1] * rank)
    padding = list(node.attrs.get("output_padding") or [0] * rank)
    pads = list(node.attrs.get("pads") or [0] * (2 * rank))
    begins, ends = pads[:rank], pads[rank:]
    auto = node.attrs.get("auto_pad") or "NOTSET"
    if auto == "VALID":
        begins, ends = [0] * rank, [0] * rank
    elif auto != "NOTSET" or node.attrs.get("output_shape"):
        for axis in range(rank):
            full = (size[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 + padding[axis]
            total = max(0, full - output[axis])
            begins[axis] = total - total // 2 if auto == "SAME_LOWER" else total // 2
            ends[axis] = total - begins[axis]
    return {
        "strides": _pair(strides),
        "pads": _quad(begins, ends),
        "dilations": _pair(dilations),
        "output_padding": (0, padding[0]) if rank == 1 else tuple(padding),
    }


def kernel_pair(kernel: Sequence[int]) -> tuple[int, int]:
    return _pair(kernel)
