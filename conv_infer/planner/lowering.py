"""Which lowering a convolution gets: predicted times for each form that is open to it, and the least of them.

The predictions are coarse on purpose: bytes over a bandwidth, multiply-adds over a rate. They have to put the forms in
order, and `conv-infer inspect` shows them.
"""

from __future__ import annotations

from .. import _core
from ..graph import Graph, Node
from .regions import cut_into_regions
from .tiling import FLOAT_BYTES

COPY_BYTES_PER_NS = {"L1": 16.0, "L2": 10.0, "memory": 5.0}  # read and written once
WEIGHT_BYTES_PER_NS = {"L1": 60.0, "L2": 30.0, "memory": 10.0}
# Of a copy of neighbouring elements beside its bytes, for short ones are many; more where each begins in another row of
# a large image.
RUN_NS = 3.0
ROW_RUN_NS = {"L1": 3.0, "L2": 8.0, "memory": 14.0}
CALL_NS = 60.0  # a kernel call and its row tables
ROW_MULTIPLE = 6  # about a tile of the kernels: rows beyond a multiple are partly wasted
BAND_PART_OF_L2 = 16  # a copied band takes one part in so many
STRIP_ROWS = 48  # rows that one GEMM should have for its panels to be read seldom enough

NARROW_GROUP = 8  # channels of the widest group that has a kernel of its own

IN_PLACE = "in place"
FRAME_COPY = "in place, after a copy into a frame"
REUSABLE = "reusable buffer, columns"
REUSABLE_ROWS = "reusable buffer, rows"
BANDS = "in place, in copied bands"
REGIONS = "in place, in regions"


class Lowering:
    """A form, the outputs of a strip (reusable forms), and what it is predicted to cost beyond the products."""

    __slots__ = ("buffer_elems", "copied_elems", "form", "predicted_ns", "strip")

    def __init__(self, form: str, strip: int, buffer_elems: int, copied_elems: int, predicted_ns: float):
        self.form = form
        self.strip = strip
        self.buffer_elems = buffer_elems
        self.copied_elems = copied_elems
        self.predicted_ns = predicted_ns

    @property
    def is_reusable(self) -> bool:
        return self.form in (REUSABLE, REUSABLE_ROWS)

    @property
    def writes_padding(self) -> bool:
        """The step brings padding into its scratch, or reads none: its input needs no frame."""
        return self.is_reusable or self.form in (BANDS, REGIONS)

    def __str__(self) -> str:
        strip = f" of {self.strip}" if self.strip else ""
        copied = f", {self.copied_elems:,} elements copied" if self.copied_elems else ""
        return f"{self.form}{strip}{copied}"


def choose_lowering(
    graph: Graph, node: Node, can_be_framed: bool, spare_memory: bool, is_shared: bool = False
) -> Lowering:
    """The cheapest form for a convolution that reads padding. Where much of what it reads is padding, its output is cut
    into regions. In place costs nothing where the producer can write into a frame; otherwise a framed copy and both
    orientations of the reusable buffer compete (`spare_memory`: the buffer in any case). A planar graph input is copied
    in bands, but where several convolutions would share the framed copy (`is_shared`) or only a kernel that reads in
    place fits."""
    weights = graph.shape(node.inputs[1])
    is_gemm = node.op != "QConv" and not is_direct(node, weights)
    planar = node.attrs.get("input_layout", "NHWC") == "NCHW"
    if is_gemm and not planar and cut_into_regions(graph, node):
        return Lowering(REGIONS, 0, 0, 0, 0.0)
    if can_be_framed:
        return Lowering(IN_PLACE, 0, 0, 0, 0.0)
    images, out_height, out_width, columns = graph.shape(node.outputs[0])
    shape = graph.shape(node.inputs[0])
    channels, height, width = (shape[1], shape[2], shape[3]) if planar else (shape[3], shape[1], shape[2])
    top, left, bottom, right = node.attrs["pads"]
    framed = images * (height + top + bottom) * (width + left + right) * channels
    depth = weights[1] * weights[2] * weights[3]
    options = [Lowering(FRAME_COPY, 0, framed, framed, copy_ns(framed) + runs_ns(images * height))]
    if not is_gemm:
        return options[0]
    if planar:
        may_copy_rows = node.inputs[0] in graph.inputs and not is_shared  # whose rows lie on end
        return in_bands(graph, node, (channels, out_height)) if may_copy_rows else options[0]
    if spare_memory:
        options = []
    for rows in (False, True):
        across = out_width if rows else out_height
        strip = strip_of(out_height if rows else out_width, across)
        layout = _core.ReusableBuffer(
            (height, width, channels),
            weights[1:3],
            node.attrs["strides"],
            node.attrs["dilations"],
            node.attrs["pads"],
            rows,
            strip,
        )
        buffer = layout.buffer_elems(layout.strips)
        copied = images * layout.copied_elems(layout.strips)
        products = images * products_ns(layout.strips, across * strip, depth, columns)
        strides, dilations = node.attrs["strides"], node.attrs["dilations"]
        reaches = reach((out_height, out_width), weights[1:3], strides, dilations)
        runs = images * reusable_runs(rows, layout.strips, reaches, min(strides[0], weights[1]))
        copies = copy_ns(copied, buffer) + runs_ns(runs, 0 if rows else height * width * channels)
        predicted = copies + products
        options.append(Lowering(REUSABLE_ROWS if rows else REUSABLE, strip, buffer, copied, predicted))
    return min(options, key=lambda option: option.predicted_ns)


def in_bands(graph: Graph, node: Node, size: tuple[int, int]) -> Lowering:
    """Bands that take a sixteenth of the second-level cache: measured, the rows that bands share weigh more in smaller
    ones. `size`: input channels and output height."""
    channels, height = size
    images = graph.shape(node.outputs[0])[0]
    window, line = band_geometry(graph, node)
    stride = node.attrs["strides"][0]
    fitting = (_core.cache_sizes()[1] // BAND_PART_OF_L2 // (line * channels * FLOAT_BYTES) - window) // stride + 1
    strip = max(1, min(height, fitting))
    bands = -(-height // strip)
    band = ((strip - 1) * stride + window) * line * channels
    copied = images * (bands * window + (height - bands) * stride) * line * channels
    return Lowering(BANDS, strip, band, copied, copy_ns(copied, band) + images * bands * CALL_NS)


def band_geometry(graph: Graph, node: Node) -> tuple[int, int]:
    """The padded input's rows under one window, and the pixels of a row that windows touch."""
    (_, kernel_height, kernel_width, _), (_, stride) = graph.shape(node.inputs[1]), node.attrs["strides"]
    dilation_y, dilation_x = node.attrs["dilations"]
    reach = (graph.shape(node.outputs[0])[2] - 1) * stride + (kernel_width - 1) * dilation_x + 1
    return (kernel_height - 1) * dilation_y + 1, max(reach, node.attrs["pads"][1] + 1)


def is_direct(node: Node, weights: tuple[int, ...]) -> bool:
    """Depthwise and narrow groups, whose kernels read in place only. `weights`: OHWI shape."""
    groups = node.attrs["groups"]
    return groups > 1 and (weights[3] == 1 or (weights[3] == weights[0] // groups and weights[3] <= NARROW_GROUP))


def strip_of(along: int, across: int) -> int:
    """How many of the outputs along are lowered at once, where each comes with so many across."""
    return max(1, min(along, -(-STRIP_ROWS // across)))


def products_ns(gemms: int, rows: int, depth: int, columns: int) -> float:
    """What so many products of one image take beyond the multiply-adds that are needed: calls, weights read again, rows
    of tiles that are not there."""
    wasted = (-rows % ROW_MULTIPLE) / ROW_MULTIPLE * depth * columns / 40.0
    return weight_ns(columns * depth * FLOAT_BYTES, gemms) + gemms * (CALL_NS + wasted)


def copy_ns(elements: int, working_set: int | None = None) -> float:
    return elements * FLOAT_BYTES / COPY_BYTES_PER_NS[cache_level((working_set or elements) * FLOAT_BYTES)]


def reach(
    outputs: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[int, ...]:
    """Rows and columns of the padded input that windows touch; every argument (y, x)."""
    return tuple((outputs[at] - 1) * strides[at] + (kernel[at] - 1) * dilations[at] + 1 for at in (0, 1))


def reusable_runs(rows: bool, strips: int, reaches: tuple[int, ...], new_rows: int) -> int:
    """How many copies of neighbouring elements bring an image into the reusable buffer: one for each row that a strip
    of columns touches; pixel by pixel for each new row of a strip of `rows`."""
    return strips * (new_rows * reaches[1] if rows else reaches[0])


def runs_ns(runs: int, image_elements: int = 0) -> float:
    """Beginning so many copies, each in another row of an image of so many elements, where that is given."""
    return runs * (ROW_RUN_NS[cache_level(image_elements * FLOAT_BYTES)] if image_elements else RUN_NS)


def weight_ns(weight_bytes: int, passes: int) -> float:
    """Reading the packed weights so many times, beyond the first."""
    return (passes - 1) * weight_bytes / WEIGHT_BYTES_PER_NS[cache_level(weight_bytes)]


def cache_level(nbytes: int) -> str:
    l1_bytes, l2_bytes = _core.cache_sizes()
    return "L1" if nbytes <= l1_bytes // 2 else "L2" if nbytes <= l2_bytes // 2 else "memory"
