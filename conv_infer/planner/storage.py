"""Decides where every tensor lives: which share memory, which images carry a frame of padding.

Reshapes and slices are views of what they read, the pieces of a concatenation are views of the whole, an elementwise
step or a residual convolution writes over an operand that nobody needs any more, and an image that a convolution reads
with padding is written by its producer into the middle of a frame. What is left gets memory of its own.
"""

from __future__ import annotations

import numpy as np

from ..emit.context import ARENA_SLOT, View, row_major
from ..graph import INTERNAL, Graph, Node
from .arena import Interval

Pads = tuple[int, int, int, int]  # top, left, bottom, right
NO_PADS: Pads = (0, 0, 0, 0)
IN_PLACE = {"Activation", "Affine", "Binary", "QBinary", "QLookup"}
CONVOLUTIONS = {"Conv", "QConv"}


class Placement:
    """A tensor's relation to the one it is a view of: either a reshape, or a window (start and step per axis)."""

    __slots__ = ("parent", "starts", "steps")

    def __init__(self, parent: str, starts: tuple[int, ...] | None = None, steps: tuple[int, ...] | None = None):
        self.parent = parent
        self.starts = starts  # None: a reshape
        self.steps = steps


class Buffer:
    """Memory of its own: one tensor and all views of it."""

    __slots__ = ("fill", "first", "interval", "is_planar", "last", "members", "nbytes", "pads", "root", "slot")

    def __init__(self, root: str):
        self.root = root
        self.members: list[str] = []
        self.pads = NO_PADS
        self.fill = 0  # what the frame holds
        self.slot = ARENA_SLOT
        self.first = self.last = 0
        self.nbytes = 0
        self.interval: Interval | None = None
        self.is_planar = False  # NCHW: the frame is around the last two axes


class Storage:
    """The buffers of a graph and the relation of every tensor to its buffer.

    `external` maps graph inputs and outputs to their slots. `measure()` completes what the constructor began, once
    every convolution that needs padding reads a tensor that can be framed.
    """

    def __init__(self, graph: Graph, external: dict[str, int]):
        self.graph = graph
        self.external = external
        self.placements: dict[str, Placement] = {}
        self.groups: dict[str, Buffer] = {}  # by root
        self.root_of: dict[str, str] = {}
        self.last_use: dict[str, int] = {}
        self.produced: dict[str, int] = {}
        self._fills: dict[str, int] = {}  # by root: what its frame is to hold, once it is to have one
        self._wanted: dict[str, int] = {}  # by tensor: the padding that the first convolution to read it wants
        for node in reversed(graph.nodes):
            if frame_of(graph, node) != NO_PADS:
                self._wanted[node.inputs[0]] = fill_of(node)
        self._outputs = set(graph.outputs)
        self._outside = {name for node in graph.nodes if node.domain != INTERNAL for name in node.outputs}
        self._relate()

    # ---- which tensors share memory

    def _relate(self) -> None:
        graph = self.graph
        for index, node in enumerate(graph.nodes):
            for name in node.inputs:
                self.last_use[name] = index
            for name in node.outputs:
                self.produced[name] = index
        for name in graph.inputs:
            if is_stored(graph, name):
                self._new_group(name)
        concat_of = self._concatenations()
        for index, node in enumerate(graph.nodes):
            for name in node.outputs:
                if name and is_stored(graph, name):
                    self._relate_output(index, node, name, concat_of)

    def _concatenations(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """For each tensor that may be written straight into a concatenation: its place there."""
        found: dict[str, tuple[str, tuple[int, ...]]] = {}
        seen_twice: set[str] = set()
        for node in self.graph.nodes:
            if node.op != "Concat" or node.domain != INTERNAL:
                continue
            axis = node.attrs["axis"]
            start = 0
            for name in node.inputs:
                shape = self.graph.shape(name)
                if name in found:
                    seen_twice.add(name)
                starts = tuple(start if position == axis else 0 for position in range(len(shape)))
                found[name] = (node.outputs[0], starts)
                start += shape[axis]
        for name in seen_twice:
            del found[name]
        return {name: place for name, place in found.items() if name not in self._outputs}

    def _new_group(self, name: str) -> None:
        buffer = self.groups[name] = Buffer(name)
        buffer.members.append(name)
        self.root_of[name] = name

    def _join(self, name: str, placement: Placement) -> None:
        root = self.root_of[placement.parent]
        self.placements[name] = placement
        self.root_of[name] = root
        self.groups[root].members.append(name)

    def _relate_output(
        self, index: int, node: Node, name: str, concat_of: dict[str, tuple[str, tuple[int, ...]]]
    ) -> None:
        if name in self.root_of:  # a concatenation that its first piece has announced
            return
        source = node.inputs[0] if node.inputs else ""
        if node.domain == INTERNAL and source in self.root_of:
            if node.op == "Reshape" and name not in concat_of and self._can_reshape(name, source):
                self._join(name, Placement(source))
                return
            if node.op == "Slice" and name not in concat_of and name not in self._outputs:
                self._join(name, Placement(source, tuple(node.attrs["starts"]), tuple(node.attrs["steps"])))
                return
        if name in concat_of and self._announce(name, concat_of):
            return
        over = self._overwritten(index, node, name)
        if over:
            self._join(name, Placement(over, (0,) * len(self.graph.shape(name)), None))
            return
        self._new_group(name)

    def _can_reshape(self, name: str, source: str) -> bool:
        """True where the source fills its buffer, and the buffer is not promised to two of the caller's arrays."""
        size = element_count(self.graph.shape(source))
        if size != element_count(self.graph.shape(self.root_of[source])):
            return False
        members = self.groups[self.root_of[source]].members
        return name not in self.external or not any(member in self.external for member in members)

    def _announce(self, name: str, concat_of: dict[str, tuple[str, tuple[int, ...]]]) -> bool:
        """Makes a piece a view of the whole, creating the whole's group where this is its first piece."""
        whole, starts = concat_of[name]
        if whole not in self.root_of:
            if whole in concat_of:
                self._announce(whole, concat_of)
            else:
                self._new_group(whole)
        self._join(name, Placement(whole, starts, None))
        return True

    def _overwritten(self, index: int, node: Node, name: str) -> str:
        """An operand that the node may write its result over, or ""."""
        if node.domain != INTERNAL or name in self._outputs:
            return ""
        if node.op in IN_PLACE:
            candidates = [source for source in node.inputs[:2] if source]
        elif node.op in CONVOLUTIONS and len(node.inputs) > 3 and node.inputs[3]:
            candidates = [node.inputs[3]]
        else:
            return ""
        for candidate in candidates:
            root = self.root_of.get(candidate)
            if root is None or self.graph.types[candidate] != self.graph.types[name]:
                continue
            others = [source for source in node.inputs if source and source != candidate]
            if any(self.root_of.get(other) == root for other in others):
                continue
            if self._is_dead_after(root, index) and self._agree_on_padding(root, name):
                return candidate
        return ""

    def _agree_on_padding(self, root: str, name: str) -> bool:
        """True unless convolutions want different padding around a tensor and around what its buffer holds already."""
        wanted = self._wanted.get(name)
        return wanted is None or all(self._wanted.get(member, wanted) == wanted for member in self.groups[root].members)

    def _is_dead_after(self, root: str, index: int) -> bool:
        for member in self.groups[root].members:
            if member in self.external or member in self._outputs or self.last_use.get(member, -1) > index:
                return False
        return True

    # ---- which buffers carry a frame of padding

    def is_external(self, name: str) -> bool:
        """True where the tensor lies in one of the caller's arrays, or among the weights."""
        root = self.root_of.get(name)
        return root is None or any(member in self.external for member in self.groups[root].members)

    def can_be_framed(self, name: str, fill: int) -> bool:
        """True where the tensor's buffer may carry padding of `fill`: an image in the arena, and views of its channels
        only. The first to ask decides what the padding is."""
        root = self.root_of.get(name)
        if root is None or len(self.graph.shape(name)) != 4 or self.is_external(name):
            return False
        members = self.groups[root].members
        if any(member in self._outside for member in members) or self._fills.get(root, fill) != fill:
            return False
        image = self.graph.shape(root)[:3]
        for member in members:
            placement = self.placements.get(member)
            if placement is not None and placement.starts is None:
                return False
            shape = self.graph.shape(member)
            if len(shape) != 4 or shape[:3] != image:
                return False
        self._fills[root] = fill
        return True

    def _frame(self) -> None:
        for node in self.graph.nodes:
            pads = frame_of(self.graph, node)
            if pads != NO_PADS:
                buffer = self.groups[self.root_of[node.inputs[0]]]
                buffer.pads = tuple(map(max, buffer.pads, pads))  # type: ignore[assignment]
                buffer.fill = fill_of(node)
                buffer.is_planar = node.attrs.get("input_layout") == "NCHW"

    # ---- sizes and lifetimes

    def measure(self) -> None:
        """Decides the frames, and with them the size and lifetime of every buffer."""
        self._frame()
        for buffer in self.groups.values():
            produced = [self.produced.get(member, 0) for member in buffer.members]
            buffer.first = min(produced)
            buffer.last = max([self.last_use.get(member, 0) for member in buffer.members] + produced)
            external = [self.external[member] for member in buffer.members if member in self.external]
            if external:
                buffer.slot = external[0]
            itemsize = self.graph.dtype(buffer.root).itemsize
            buffer.nbytes = element_count(framed_shape(buffer, self.graph.shape(buffer.root))) * itemsize
            if buffer.slot == ARENA_SLOT:
                buffer.interval = Interval(buffer.nbytes, buffer.first, buffer.last)

    def framed_first_at(self) -> dict[int, list[Buffer]]:
        """The framed buffers whose frame has to be written before each node."""
        found: dict[int, list[Buffer]] = {}
        for buffer in self.groups.values():
            if buffer.pads != NO_PADS:
                found.setdefault(buffer.first, []).append(buffer)
        return found

    def intervals(self) -> list[Interval]:
        return [buffer.interval for buffer in self.groups.values() if buffer.interval is not None]

    def views(self) -> dict[str, View]:
        """The view of every tensor, once the arena has been laid out."""
        views: dict[str, View] = {}
        for name in self.root_of:
            self._view(name, views)
        return views

    def _view(self, name: str, views: dict[str, View]) -> View:
        if name in views:
            return views[name]
        shape, dtype = self.graph.shape(name), self.graph.dtype(name)
        placement = self.placements.get(name)
        if placement is None:
            view = self._root_view(self.groups[name], shape, dtype)
        else:
            parent = self._view(placement.parent, views)
            if placement.starts is None:
                view = View(parent.ref, shape, row_major(shape), dtype)
            else:
                steps = placement.steps or (1,) * len(shape)
                offset = sum(start * stride for start, stride in zip(placement.starts, parent.strides, strict=True))
                strides = tuple(step * stride for step, stride in zip(steps, parent.strides, strict=True))
                view = View(parent.moved(offset), shape, strides, dtype)
        views[name] = view
        return view

    def _root_view(self, buffer: Buffer, shape: tuple[int, ...], dtype: np.dtype) -> View:
        offset = buffer.interval.offset if buffer.interval is not None else 0
        if buffer.pads == NO_PADS:
            return View((buffer.slot, offset), shape, row_major(shape), dtype)
        strides = row_major(framed_shape(buffer, shape))
        top, left = buffer.pads[:2]
        inside = top * strides[2] + left * strides[3] if buffer.is_planar else top * strides[1] + left * strides[2]
        return View((buffer.slot, offset + inside * dtype.itemsize), shape, strides, dtype)


def is_stored(graph: Graph, name: str) -> bool:
    """True where a tensor has a place in memory: a known shape, and elements that are numbers."""
    tensor_type = graph.types[name]
    return tensor_type.is_static and tensor_type.dtype is not None and tensor_type.dtype.kind in "fiub"


def element_count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def framed_shape(buffer: Buffer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with the buffer's frame around it."""
    top, left, bottom, right = buffer.pads
    if buffer.pads == NO_PADS:
        return shape
    if buffer.is_planar:
        return shape[0], shape[1], shape[2] + top + bottom, shape[3] + left + right
    return shape[0], shape[1] + top + bottom, shape[2] + left + right, shape[3]


def window_reader(node: Node) -> Node | None:
    """The convolution that slides its window over a node's first input: the node itself, the one that is pooled, or the
    first of a bottleneck that expands nothing."""
    if node.domain != INTERNAL:
        return None
    if node.op == "PooledConv":
        return node.attrs["conv"]
    if node.op == "Bottleneck" and node.attrs["expand"] is None:
        return node.attrs["depthwise"]
    return node if node.op in CONVOLUTIONS else None


def frame_of(graph: Graph, node: Node) -> Pads:
    """The padding that a convolution's windows really reach, beyond the image it reads; none where the lowering chosen
    for it (attribute `lowering`) writes the padding itself."""
    chosen = node.attrs.get("lowering")
    reader = window_reader(node)
    if reader is None or (chosen is not None and chosen.writes_padding):
        return NO_PADS
    node = reader
    attrs = node.attrs
    _, height, width = image_size(graph, node)
    weights = graph.shape(node.inputs[1])
    _, out_height, out_width, _ = graph.shape(node.outputs[0])
    top, left = attrs["pads"][:2]
    reach_y = (out_height - 1) * attrs["strides"][0] + (weights[1] - 1) * attrs["dilations"][0] + 1
    reach_x = (out_width - 1) * attrs["strides"][1] + (weights[2] - 1) * attrs["dilations"][1] + 1
    return top, left, max(0, reach_y - top - height), max(0, reach_x - left - width)


def fill_of(node: Node) -> int:
    """What a convolution's padding holds: zeros of its input's type."""
    return int(node.attrs["x_zero_point"]) if node.op == "QConv" else 0


def image_size(graph: Graph, node: Node) -> tuple[int, int, int]:
    """(channels, height, width) of what a convolution reads."""
    shape = graph.shape(node.inputs[0])
    if node.attrs.get("input_layout", "NHWC") == "NCHW":
        return shape[1], shape[2], shape[3]
    return shape[3], shape[1], shape[2]
