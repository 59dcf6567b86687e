"""Turns a planned graph into a program: every decision is taken here, run time takes none."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from .. import _core
from ..emit import EMITTERS
from ..emit.context import EmitContext, StepInfo, View, Weights
from ..errors import MemoryLimitError
from ..graph import INTERNAL, NOTE, Graph, Node
from .arena import live_peak, place
from .fuse_bottlenecks import fuse_bottlenecks
from .fuse_pools import fuse_pools
from .lowering import FRAME_COPY, choose_lowering
from .storage import (
    NO_PADS,
    Buffer,
    Storage,
    element_count,
    fill_of,
    frame_of,
    framed_shape,
    is_stored,
    window_reader,
)

FIRST_EXTERNAL_SLOT = 2
READ_SLACK = 64  # int8 kernels read up to so many bytes behind what they need, and ignore them


class PlanStep:
    """One line of the plan: a node, what computes it and what it costs.

    `steps` is the range of program steps that belong to it (none for a node that costs nothing), in segment `segment`.
    """

    __slots__ = (
        "arena_bytes",
        "input_shapes",
        "kernel",
        "lowering",
        "macs",
        "name",
        "note",
        "operator",
        "output_shape",
        "segment",
        "steps",
        "weight_bytes",
    )

    def __init__(self, graph: Graph, node: Node, info: StepInfo, segment: int, steps: range):
        self.operator = node.op
        self.name = node.label
        self.input_shapes = [graph.types[name].shape for name in node.inputs if name and name not in graph.constants]
        output = next(filter(None, node.outputs))  # leading ones may be left out
        self.output_shape = graph.types[output].shape
        self.kernel = info.kernel
        self.lowering = info.lowering
        self.macs = info.macs
        self.weight_bytes = info.weight_bytes
        self.note = info.note
        self.segment = segment
        self.steps = steps
        self.arena_bytes = 0
        if is_stored(graph, output):
            self.arena_bytes = element_count(graph.shape(output)) * graph.dtype(output).itemsize

    @property
    def is_reference(self) -> bool:
        return self.kernel == "reference"


class Plan:
    """A compiled graph: segments to run in order, each a program or a node for the reference implementation."""

    __slots__ = (
        "arena_bytes",
        "external_sizes",
        "graph",
        "live_bytes",
        "scratch_bytes",
        "segments",
        "slots",
        "steps",
        "threads",
        "views",
        "weights",
        "weights_bytes",
    )

    def __init__(self, graph: Graph, threads: int):
        self.graph = graph
        self.threads = threads
        self.segments: list[_core.Program | Node] = []
        self.steps: list[PlanStep] = []
        self.slots: dict[str, int] = {}
        self.external_sizes: list[int] = []
        self.views: dict[str, View] = {}
        self.weights: _core.Memory | None = None
        self.weights_bytes = self.arena_bytes = self.scratch_bytes = self.live_bytes = 0


def build_plan(
    graph: Graph, *, allowed: int, threads: int, max_memory: int | None, release: Callable[[np.ndarray], None]
) -> Plan:
    """Plans and packs. `allowed`: instruction sets as bits. `release` is told of every array of the model that has been
    packed. Raises `MemoryLimitError` where weights, arena and scratch exceed `max_memory` bytes."""
    graph = fuse_pools(fuse_bottlenecks(graph, threads))
    plan = Plan(graph, threads)
    plan.slots = external_slots(graph)
    for spare_memory in (False, True):
        plan.graph, storage = settle_storage(graph, plan.slots, spare_memory)
        intervals = storage.intervals()
        plan.arena_bytes = place(intervals)
        if any(node.op == "QConv" for node in plan.graph.nodes):
            plan.arena_bytes += READ_SLACK
        if max_memory is None or plan.arena_bytes <= max_memory:
            break
    graph = plan.graph
    plan.live_bytes = live_peak(intervals)
    check_memory(plan.arena_bytes, max_memory, "the arena")
    plan.views = storage.views()
    plan.external_sizes = [
        element_count(graph.shape(name)) * graph.dtype(name).itemsize
        for name, _ in sorted(plan.slots.items(), key=lambda item: item[1])
    ]
    weights = Weights()
    context = EmitContext(graph, plan.views, weights, allowed, threads, release, max_memory is not None)
    emit_nodes(plan, storage, context)
    plan.weights_bytes = weights.nbytes
    programs = [segment for segment in plan.segments if isinstance(segment, _core.Program)]
    plan.scratch_bytes = threads * max((program.scratch_bytes for program in programs), default=0)
    check_memory(plan.arena_bytes + plan.weights_bytes + plan.scratch_bytes, max_memory, "weights, arena and scratch")
    plan.weights = weights.fill()
    return plan


def external_slots(graph: Graph) -> dict[str, int]:
    """A slot for each graph input, and for each graph output that a node computes."""
    computed = {name for node in graph.nodes for name in node.outputs}
    names = [name for name in graph.inputs if is_stored(graph, name)]
    names += [name for name in graph.outputs if name in computed and is_stored(graph, name)]
    return {name: FIRST_EXTERNAL_SLOT + index for index, name in enumerate(dict.fromkeys(names))}


def settle_storage(graph: Graph, external: dict[str, int], spare_memory: bool) -> tuple[Graph, Storage]:
    """The storage of the graph, once every convolution that reads padding has been given a lowering: its input framed
    by the producer, copied into a frame before it, or copied piece by piece into scratch."""
    storage = Storage(graph, external)
    nodes: list[Node] = []
    copies: dict[tuple[str, int], str] = {}
    changed = graph.with_nodes(nodes)
    padded = [node.inputs[0] for node in graph.nodes if frame_of(graph, node) != NO_PADS]

    def copied(node: Node) -> Node:
        """The node reading a copy of its first input, which is made where there is none with such padding yet."""
        source = node.inputs[0]
        key = source, fill_of(node)
        if key not in copies:
            copies[key] = changed.add_tensor(f"{source}.framed", graph.dtype(source), graph.shape(source))
            nodes.append(Node("Copy", [source], [copies[key]], domain=INTERNAL, name=copies[key]))
        return node.replace(inputs=[copies[key], *node.inputs[1:]])

    for node in graph.nodes:
        if frame_of(graph, node) != NO_PADS:
            can_be_framed = storage.can_be_framed(node.inputs[0], fill_of(node))
            is_shared = padded.count(node.inputs[0]) > 1
            lowering = choose_lowering(graph, window_reader(node), can_be_framed, spare_memory, is_shared)
            node = node.replace(attrs={**node.attrs, "lowering": lowering})
            if lowering.form == FRAME_COPY:
                node = copied(node)
        elif node.op == "QConv" and node.domain == INTERNAL and storage.is_external(node.inputs[0]):
            node = copied(node)  # into the arena, where it may be read beyond its end
        nodes.append(node)
    if copies:
        storage = Storage(changed, external)
    else:
        storage.graph = changed
    storage.measure()
    return changed, storage


def emit_nodes(plan: Plan, storage: Storage, context: EmitContext) -> None:
    """Appends the steps of every node to the plan's segments."""
    graph = plan.graph
    frames = storage.framed_first_at()
    slot_bytes = [plan.arena_bytes, 0, *plan.external_sizes]
    for index, node in enumerate(graph.nodes):
        if node.domain != INTERNAL:
            plan.segments.append(node)
            context.program = None
            reason = node.attrs.get(NOTE)
            note = "no native implementation" + (f": {reason}" if reason else "")
            info = StepInfo(kernel="reference", note=note)
            plan.steps.append(PlanStep(graph, node, info, len(plan.segments) - 1, range(0)))
            continue
        if context.program is None:
            context.program = _core.Program(slot_bytes)
            context.program.grow_slot(1, context.weights.nbytes)
            plan.segments.append(context.program)
        before = len(context.program)
        for buffer in frames.get(index, ()):
            emit_frame(context, buffer, graph.dtype(buffer.root))
        info = EMITTERS[node.op](context, node)
        steps = range(before, len(context.program))
        plan.steps.append(PlanStep(graph, node, info, len(plan.segments) - 1, steps))


def emit_frame(context: EmitContext, buffer: Buffer, dtype: np.dtype) -> None:
    """Writes the padding around the image in a framed buffer; what the producer of the image does may go on beside."""
    view = context.view(buffer.root)
    shape = framed_shape(buffer, view.shape)
    top, left = buffer.pads[:2]
    begin = (0, 0, top, left) if buffer.is_planar else (0, top, left, 0)
    inside = sum(place * stride for place, stride in zip(begin, view.strides, strict=True))
    _core.add_fill(
        context.program,
        value=np.array(buffer.fill, dtype).tobytes(),
        shape=shape,
        y=(view.moved(-inside), view.strides),
        inner_begin=begin,
        inner_end=tuple(place + size for place, size in zip(begin, view.shape, strict=True)),
        threads=context.threads,
    )
    context.program.no_barrier()


def check_memory(nbytes: int, max_memory: int | None, what: str) -> None:
    """Raises `MemoryLimitError` where so many bytes are over the caller's limit, or more than this machine has."""
    if max_memory is not None and nbytes > max_memory:
        raise MemoryLimitError(f"{what} take {nbytes:,} bytes, more than max_memory={max_memory:,} allows")
    installed = installed_memory()
    if nbytes > installed:
        raise MemoryLimitError(f"{what} take {nbytes:,} bytes, more than the {installed:,} of this machine")


def installed_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on this system
        return 1 << 40
