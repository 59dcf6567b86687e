"""Cuts off the outer rows and columns of a convolution's kernel that read nothing but padding.

Such are most taps of a dilated kernel whose reach exceeds a small image: atrous pyramids are full of them, and of 3x3
kernels on an image of one pixel.
"""

from __future__ import annotations

from ..graph import INTERNAL, Graph, Node


def trim_windows(graph: Graph) -> Graph:
    edited = graph.with_nodes([])
    for node in graph.nodes:
        if node.domain == INTERNAL and node.op in ("Conv", "QConv") and any(node.attrs["pads"]):
            node = _trimmed(edited, node)
        edited.nodes.append(node)
    return edited


def _trimmed(graph: Graph, node: Node) -> Node:
    weights = graph.constants.get(node.inputs[1])
    if weights is None:
        return node
    first_axis = 2 if node.attrs.get("input_layout") == "NCHW" else 1
    pads = list(node.attrs["pads"])
    kept = []
    for axis in range(2):
        size = graph.shape(node.inputs[0])[first_axis + axis]
        reach = (graph.shape(node.outputs[0])[1 + axis] - 1) * node.attrs["strides"][axis]
        taps, dilation = weights.shape[1 + axis], node.attrs["dilations"][axis]
        first, end = _live_taps(taps, dilation, (pads[axis], pads[2 + axis]), reach, size)
        pads[axis] -= first * dilation
        pads[2 + axis] -= (taps - end) * dilation
        kept.append(slice(first, end))
    smaller = weights[:, kept[0], kept[1]]
    if smaller.shape == weights.shape:
        return node
    inputs = list(node.inputs)
    inputs[1] = graph.add_constant(inputs[1], smaller)
    return node.replace(inputs=inputs, attrs={**node.attrs, "pads": tuple(pads)})


def _live_taps(taps: int, dilation: int, pads: tuple[int, int], reach: int, size: int) -> tuple[int, int]:
    """The range of taps outside which all positions lie in the padding: tap i reads those from i * dilation - pad to
    `reach` beyond. Never empty, and padding does not become negative on either side."""
    before, after = pads
    first = 0
    while first + 1 < taps and first * dilation - before + reach < 0 and (first + 1) * dilation <= before:
        first += 1
    end = taps
    while end - 1 > first and (end - 1) * dilation - before >= size and (taps - end + 1) * dilation <= after:
        end -= 1
    return first, end
