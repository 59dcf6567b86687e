"""Cuts the output of an atrous convolution into regions whose windows read the same taps.

The windows of a widely dilated kernel lie in the padding for the greater part. Where all the windows of a region miss
the image with a tap, the products of that tap are left out, and no padding is read at all.
"""

from __future__ import annotations

from ..graph import Graph, Node

WORTH = 0.75  # of the products may be left, at most
MOST_REGIONS = 25
TILE_ROWS = 6  # about those of a tile of the kernels: regions are computed in whole ones


class Region:
    """Output rows and columns, and the taps along both axes that their windows read: ranges (first, end)."""

    __slots__ = ("columns", "rows", "taps_x", "taps_y")

    def __init__(self, along_y: tuple[int, int, int, int], along_x: tuple[int, int, int, int]):
        self.rows, self.taps_y = along_y[:2], along_y[2:]
        self.columns, self.taps_x = along_x[:2], along_x[2:]

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    @property
    def taps(self) -> int:
        return (self.taps_y[1] - self.taps_y[0]) * (self.taps_x[1] - self.taps_x[0])


def cut_into_regions(graph: Graph, node: Node) -> list[Region]:
    """The regions of a conv_infer.Conv of an NHWC image; none where too few products would be saved."""
    attrs = node.attrs
    images, *outputs, _ = graph.shape(node.outputs[0])
    sizes, kernel = graph.shape(node.inputs[0])[1:3], graph.shape(node.inputs[1])[1:3]
    if max(attrs["dilations"]) == 1:
        return []
    axes = [
        spans(outputs[axis], attrs["strides"][axis], attrs["pads"][axis], kernel[axis], attrs["dilations"][axis], size)
        for axis, size in enumerate(sizes)
    ]
    if not all(axes) or len(axes[0]) * len(axes[1]) > MOST_REGIONS:
        return []
    regions = [Region(along_y, along_x) for along_y in axes[0] for along_x in axes[1]]
    left = sum(rounded(images * region.shape[0] * region.shape[1]) * region.taps for region in regions)
    whole = rounded(images * outputs[0] * outputs[1]) * kernel[0] * kernel[1]
    return regions if left <= WORTH * whole else []


def spans(outputs: int, stride: int, pad: int, taps: int, dilation: int, size: int) -> list[tuple[int, int, int, int]]:
    """Runs of outputs along an axis that read the same taps: (first, end, first tap, end); none where a window lies in
    the padding altogether."""
    found: list[tuple[int, int, int, int]] = []
    for output in range(outputs):
        start = output * stride - pad
        first, end = max(0, -(start // dilation)), min(taps, (size - 1 - start) // dilation + 1)
        if end <= first:
            return []
        if found and found[-1][2:] == (first, end):
            found[-1] = (found[-1][0], output + 1, first, end)
        else:
            found.append((output, output + 1, first, end))
    return found


def rounded(rows: int) -> int:
    return -(-rows // TILE_ROWS) * TILE_ROWS
