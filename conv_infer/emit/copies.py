"""Emits what only moves data: transposes, slices, concatenations, broadcasts, padding, reshapes, channel gathers.

All of them are copies between strided views; elements may be of any type of 1, 2, 4 or 8 bytes. Where the planner has
already put the output where the input lies, nothing is emitted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np

from .. import _core
from ..errors import UnsupportedError
from ..graph import Node
from .context import EmitContext, StepInfo, View, row_major
from .elementwise import broadcast_strides

ELIDED = "in place"  # the note of a step that the planner's choice of memory has made unnecessary


def moved_view(view: View, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> View:
    """The view that begins `offset` elements on, with another shape and strides."""
    return View(view.moved(offset), shape, strides, view.dtype)


def window(view: View, starts: Iterable[int], shape: tuple[int, ...], steps: Iterable[int]) -> View:
    """A part of a view: from `starts` on, by `steps` (which may be negative)."""
    offset = sum(start * stride for start, stride in zip(starts, view.strides, strict=True))
    strides = tuple(step * stride for step, stride in zip(steps, view.strides, strict=True))
    return moved_view(view, offset, shape, strides)


def is_same_memory(a: View, b: View) -> bool:
    """True where both views of one shape have their elements in the same places."""
    return a.ref == b.ref and all(
        size == 1 or first == second for size, first, second in zip(a.shape, a.strides, b.strides, strict=True)
    )


def add_copy(ctx: EmitContext, source: View, output: View) -> StepInfo:
    """Copies one view to another of the same shape (strides of the source may be 0)."""
    if is_same_memory(source, output):
        return StepInfo(note=ELIDED)
    _core.add_copy(
        ctx.program,
        element_bytes=output.dtype.itemsize,
        shape=output.shape,
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel="copy")


def add_copies(ctx: EmitContext, pairs: Iterable[tuple[View, View]]) -> StepInfo:
    """Copies pieces that do not depend on one another: no barrier between them."""
    count = 0
    for source, output in pairs:
        if 0 in output.shape or is_same_memory(source, output):
            continue
        if count:
            ctx.program.no_barrier()
        add_copy(ctx, source, output)
        count += 1
    return StepInfo(kernel="copy" if count else "", note="" if count else ELIDED)


def emit_copy(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Copy: the same tensor elsewhere; the planner puts it where a tensor is needed inside a frame."""
    return add_copy(ctx, ctx.view(node.inputs[0]), ctx.view(node.outputs[0]))


def emit_transpose(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Transpose: output axis i is input axis perm[i]."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    strides = tuple(source.strides[axis] for axis in node.attrs["perm"])
    return add_copy(ctx, View(source.ref, output.shape, strides, source.dtype), output)


def emit_slice(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Slice: starts and steps of every axis, sizes from the output."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    if 0 in output.shape:
        return StepInfo(note=ELIDED)
    return add_copy(ctx, window(source, node.attrs["starts"], output.shape, node.attrs["steps"]), output)


def emit_concat(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Concat: one copy for each input that does not lie in its place already."""
    output = ctx.view(node.outputs[0])
    axis = node.attrs["axis"]
    pairs, start = [], 0
    for name in node.inputs:
        source = ctx.view(name)
        place = moved_view(output, start * output.strides[axis], source.shape, output.strides)
        pairs.append((source, place))
        start += source.shape[axis]
    return add_copies(ctx, pairs)


def emit_expand(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Expand: NumPy's broadcasting to the output's shape."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    strides = broadcast_strides(source, output.shape)
    return add_copy(ctx, View(source.ref, output.shape, strides, source.dtype), output)


def emit_tile(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Tile: the input repeated along each axis, as often as the output's shape says."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    shape: list[int] = []
    reads: list[int] = []
    writes: list[int] = []
    for size, total, read, write in zip(source.shape, output.shape, source.strides, output.strides, strict=True):
        if size and total > size:  # (repeats, size): the first axis reads the same elements again
            shape.append(total // size)
            reads.append(0)
            writes.append(size * write)
        shape.append(min(size, total))
        reads.append(read)
        writes.append(write)
    return add_copy(
        ctx,
        View(source.ref, tuple(shape), tuple(reads), source.dtype),
        View(output.ref, tuple(shape), tuple(writes), output.dtype),
    )


def emit_reshape(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Reshape: the same elements in row-major order."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    if 0 in output.shape:
        return StepInfo(note=ELIDED)
    shape = common_shape(source.shape, output.shape)
    for candidate in (output.shape, source.shape, shape):
        reads, writes = reshaped_strides(source, candidate), reshaped_strides(output, candidate)
        if reads is not None and writes is not None:
            return add_copy(
                ctx,
                View(source.ref, candidate, reads, source.dtype),
                View(output.ref, candidate, writes, output.dtype),
            )
    raise UnsupportedError(
        f"node '{node.label}' (Reshape {source.shape} -> {output.shape}): neither tensor is contiguous, and "
        "no axes are common to both"
    )


def common_shape(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """The coarsest shape that both refine to, where there is one: cut wherever either ends an axis."""
    cuts = set()
    for shape in (first, second):
        total = 1
        for size in reversed(shape):
            total *= size
            cuts.add(total)
    ordered = sorted(cuts | {1})
    return tuple(larger // smaller for smaller, larger in itertools.pairwise(ordered))[::-1]


def reshaped_strides(view: View, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides with which a view is read as another shape in row-major order, or None where there are none."""
    if view.is_contiguous:
        return row_major(shape)
    pending = [(size, stride) for size, stride in zip(view.shape, view.strides, strict=True) if size != 1]
    strides: list[int] = []
    left, step = 1, 0  # of the axis being cut up: what is left of it, and the stride of its innermost part
    for size in reversed(shape):
        if size == 1:
            strides.append(0)
            continue
        if left == 1:
            left, step = pending.pop()
        while left < size and pending and pending[-1][1] == left * step:
            left *= pending.pop()[0]
        if left % size:
            return None
        strides.append(step)
        left, step = left // size, step * size
        while left > 1 and pending and pending[-1][1] == left * step:
            left *= pending.pop()[0]
    return tuple(reversed(strides))


def emit_pad(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.Pad: ONNX pads [begin..., end...] (negative ones crop), mode constant, reflect, edge or wrap."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    pads = [int(pad) for pad in node.attrs["pads"]]
    rank = len(source.shape)
    before, after = pads[:rank], pads[rank:]
    mode = node.attrs.get("mode", "constant")
    if 0 in output.shape:
        return StepInfo(note=ELIDED)
    if mode != "constant":
        return add_copies(ctx, mirrored_pieces(source, output, before, after, mode))
    starts = [max(0, -pad) for pad in before]
    inner = tuple(size - start - max(0, -pad) for size, start, pad in zip(source.shape, starts, after, strict=True))
    places = tuple(max(0, pad) for pad in before)
    if any(size <= 0 for size in inner):
        inner = (0,) * rank
    _core.add_fill(
        ctx.program,
        value=np.asarray(node.attrs.get("value", 0)).astype(output.dtype).tobytes(),
        shape=output.shape,
        y=(output.ref, output.strides),
        inner_begin=places,
        inner_end=tuple(place + size for place, size in zip(places, inner, strict=True)),
        threads=ctx.threads,
    )
    if 0 in inner:
        return StepInfo(kernel="fill")
    steps = (1,) * rank
    ctx.program.no_barrier()
    return add_copies(ctx, [(window(source, starts, inner, steps), window(output, places, inner, steps))])


def mirrored_pieces(
    source: View, output: View, before: list[int], after: list[int], mode: str
) -> Iterable[tuple[View, View]]:
    """The boxes of a padded tensor, each a copy with steps of 1, -1 or 0 along every axis."""
    axes = []
    for size, begin, end in zip(source.shape, before, after, strict=True):
        kept = np.arange(size)[max(0, -begin) : size - max(0, -end)]
        axes.append(runs(np.pad(kept, (max(0, begin), max(0, end)), mode)))
    for pieces in itertools.product(*axes):
        shape = tuple(length for _, _, length, _ in pieces)
        reads = window(source, [start for _, start, _, _ in pieces], shape, [step for *_, step in pieces])
        writes = window(output, [place for place, *_ in pieces], shape, (1,) * len(shape))
        yield reads, writes


def runs(table: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Cuts a table of indices into arithmetic progressions: (place, first value, length, step)."""
    found = []
    place = 0
    while place < len(table):
        end = place + 1
        step = int(table[end] - table[place]) if end < len(table) else 1
        while end < len(table) and table[end] - table[end - 1] == step:
            end += 1
        found.append((place, int(table[place]), end - place, step))
        place = end
    return found


def emit_channel_gather(ctx: EmitContext, node: Node) -> StepInfo:
    """conv_infer.ChannelGather: y[..., c] = x[..., channels[c]]."""
    source, output = ctx.view(node.inputs[0]), ctx.view(node.outputs[0])
    channels = np.ascontiguousarray(node.attrs["channels"], np.int32)
    if source.strides[-1] != 1 or output.strides[-1] != 1:
        pieces = [
            (
                window(source, (*(0,) * (len(source.shape) - 1), first), (*source.shape[:-1], length), steps),
                window(
                    output, (*(0,) * (len(output.shape) - 1), place), (*output.shape[:-1], length), (1,) * len(steps)
                ),
            )
            for place, first, length, step in runs(channels)
            for steps in [(*(1,) * (len(source.shape) - 1), step)]
        ]
        return add_copies(ctx, pieces)
    _core.add_gather(
        ctx.program,
        element_bytes=output.dtype.itemsize,
        shape=output.shape,
        y=(output.ref, output.strides),
        x=(source.ref, source.strides),
        x_channels=source.shape[-1],
        channels=channels,
        threads=ctx.threads,
        allowed=ctx.allowed,
    )
    return StepInfo(kernel="gather")
