"""Slice, Gather and Scatter, Pad: picking and placing elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Node
from .checks import (
    Constants,
    Shape,
    choice,
    dims,
    has_input,
    integer,
    integers,
    model_error,
    normalise_axes,
    normalise_axis,
    number,
    tensor,
    vector,
)

# Slice --------------------------------------------------------------------------------------------------------------


class Ranges:
    """What Slice takes of every dimension: `sizes[i]` elements from `starts[i]` in steps of `steps[i]`."""

    __slots__ = ("sizes", "starts", "steps")

    def __init__(self, starts: list[int], steps: list[int], sizes: list[int]):
        self.starts = tuple(starts)
        self.steps = tuple(steps)
        self.sizes = tuple(sizes)

    def index(self) -> tuple[slice, ...]:
        """The NumPy index that takes the same."""
        result = []
        for start, step, size in zip(self.starts, self.steps, self.sizes, strict=True):
            end = start + step * size
            result.append(slice(start, end if end >= 0 else None, step) if size else slice(0, 0))
        return tuple(result)


def resolve_slice(node: Node, shape: Shape, constants: Constants) -> Ranges | None:
    """The ranges of Slice-1 (attributes) and Slice-10/11/13 (inputs); None where the graph computes them."""
    if node.version < 10:
        starts, ends, axes, steps = integers(node, "starts"), integers(node, "ends"), integers(node, "axes"), None
        if starts is None or ends is None:
            raise model_error(node, "attributes 'starts' and 'ends' are required")
    else:
        lists: list[list[int] | None] = []
        for index in (1, 2, 3, 4):
            if has_input(node, index):
                values = vector(node, constants, index)
                if values is None:
                    return None
                lists.append(values)
            else:
                lists.append(None)
        starts, ends, axes, steps = lists
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise model_error(
            node, f"starts {starts}, ends {ends}, axes {axes} and steps {steps} must have the same length"
        )
    return ranges(node, shape, starts, ends, axes, steps)


def ranges(
    node: Node, shape: Shape, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]
) -> Ranges:
    """The ranges that starts, ends, axes and steps mean: negative ones count from the end, all are clamped."""
    result = Ranges([0] * len(shape), [1] * len(shape), list(shape))
    firsts, strides, sizes = list(result.starts), list(result.steps), list(result.sizes)
    for axis, start, end, step in zip(normalise_axes(node, axes, len(shape)), starts, ends, steps, strict=True):
        if step == 0:
            raise model_error(node, f"the step of dimension {axis} is 0")
        size = shape[axis]
        picked = range(size)[slice(start, end, step)] if step > 0 else _backwards(size, start, end, step)
        firsts[axis], strides[axis], sizes[axis] = (picked.start if picked else 0), step, len(picked)
    return Ranges(firsts, strides, sizes)


def _backwards(size: int, start: int, end: int, step: int) -> range:
    """Slice with a negative step.

    Unlike Python's, a start before the front is clamped to the first element, and the largest integer as the end
    means all the way, as onnxruntime has it.
    """
    if end in (2**63 - 1, 2**31 - 1):
        end = -1 - size
    start = min(max(start + size if start < 0 else start, 0), size - 1)
    end = max(end + size if end < 0 else end, -1)
    return range(start, end, step) if size else range(0)


def slice_(node: Node, shapes: list, constants: list) -> list:
    """Slice-1/10/11/13."""
    resolved = resolve_slice(node, shapes[0], constants)
    return [None if resolved is None else resolved.sizes]


def evaluate_slice(node: Node, arrays: list) -> list:
    """Slice."""
    return [arrays[0][resolve_slice(node, arrays[0].shape, arrays).index()]]


# Gather, Scatter ----------------------------------------------------------------------------------------------------


def gather(node: Node, shapes: list, constants: list) -> list:
    """Gather-1/11/13: indices from -size to size - 1."""
    data, indices = shapes
    axis = normalise_axis(node, integer(node, "axis", 0), len(data))
    if constants[1] is not None:
        check_indices(node, 1, constants[1], data[axis], axis)
    return [(*data[:axis], *indices, *data[axis + 1 :])]


def check_indices(node: Node, index: int, indices: np.ndarray, size: int, axis: int) -> None:
    """Raises unless constant indices lie within a dimension."""
    if indices.size and not (-size <= int(indices.min()) and int(indices.max()) < size):
        raise model_error(
            node,
            f"input '{node.inputs[index]}' asks for elements {int(indices.min())} to {int(indices.max())} "
            f"of dimension {axis}, which has {size}",
        )


def evaluate_gather(node: Node, arrays: list) -> list:
    """Gather."""
    return [np.asarray(arrays[0].take(arrays[1], axis=integer(node, "axis", 0)))]


def gather_elements(node: Node, shapes: list, constants: list) -> list:
    """GatherElements-11/13."""
    data, indices = shapes
    axis = normalise_axis(node, integer(node, "axis", 0), len(data))
    if len(indices) != len(data):
        raise model_error(node, f"{tensor(node, 0, data)} and {tensor(node, 1, indices)} must have the same rank")
    for other, (size, wanted) in enumerate(zip(data, indices, strict=True)):
        if other != axis and wanted > size:
            raise model_error(node, f"{tensor(node, 1, indices)} exceeds {tensor(node, 0, data)} in dimension {other}")
    if constants[1] is not None:
        check_indices(node, 1, constants[1], data[axis], axis)
    return [indices]


def gather_nd(node: Node, shapes: list, constants: list) -> list:
    """GatherND-11/12/13."""
    data, indices = shapes
    batch = integer(node, "batch_dims", 0)
    if not indices or not 0 <= batch < min(len(data), len(indices)) or data[:batch] != indices[:batch]:
        raise model_error(
            node, f"{tensor(node, 0, data)} and {tensor(node, 1, indices)} do not share {batch} batch dimensions"
        )
    depth = indices[-1]
    if not 1 <= depth <= len(data) - batch:
        raise model_error(node, f"{tensor(node, 1, indices)} gives {depth} indices into {len(data) - batch} dimensions")
    return [(*indices[:-1], *data[batch + depth :])]


def scatter_elements(node: Node, shapes: list, constants: list) -> list:
    """Scatter-9, ScatterElements-11/13/16/18."""
    data, indices, updates = shapes
    normalise_axis(node, integer(node, "axis", 0), len(data))
    if indices != updates or len(indices) != len(data):
        raise model_error(
            node, f"{tensor(node, 1, indices)} and {tensor(node, 2, updates)} must be equal, of {len(data)} dimensions"
        )
    return [data]


def scatter_nd(node: Node, shapes: list, constants: list) -> list:
    """ScatterND-11/13/16/18."""
    data, indices, updates = shapes
    if not indices or not 1 <= indices[-1] <= len(data):
        raise model_error(node, f"{tensor(node, 1, indices)} does not index {tensor(node, 0, data)}")
    expected = (*indices[:-1], *data[indices[-1] :])
    if updates != expected:
        raise model_error(node, f"{tensor(node, 2, updates)} must have the shape {dims(expected)}")
    return [data]


# Pad ----------------------------------------------------------------------------------------------------------------

PAD_MODES = ("constant", "reflect", "edge", "wrap")


def resolve_pad(node: Node, shape: Shape, constants: Constants) -> tuple[list[int], list[int]] | None:
    """What Pad-2 (attribute), -11/13/18/19 (inputs) adds before and after each dimension; None where computed.

    Negative paddings take elements away. `reflect` needs more elements than it adds, `edge` and `wrap` at least one.
    """
    rank = len(shape)
    if node.version < 11:
        pads, axes = integers(node, "pads"), None
        if pads is None:
            raise model_error(node, "attribute 'pads' is missing; the operator requires it")
    else:
        pads = vector(node, constants, 1)
        axes = vector(node, constants, 3) if has_input(node, 3) else None
        if pads is None or (axes is None and has_input(node, 3)):
            return None
    axes = list(range(rank)) if axes is None else normalise_axes(node, axes, rank)
    if len(pads) != 2 * len(axes):
        raise model_error(node, f"the pads are {pads}; {2 * len(axes)} values are expected, two per axis")
    begin, end = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        begin[axis], end[axis] = pads[position], pads[position + len(axes)]
    mode = choice(node, "mode", "constant", PAD_MODES)
    for axis, size in enumerate(shape):
        if size + min(begin[axis], 0) + min(end[axis], 0) < 0:
            raise model_error(node, f"the pads {pads} take more than dimension {axis} of {tensor(node, 0, shape)} has")
        most = max(begin[axis], end[axis])
        if most > 0 and ((mode == "reflect" and most >= size) or (mode != "constant" and not size)):
            raise model_error(
                node, f"the pads {pads} ask for more than mode '{mode}' finds in {tensor(node, 0, shape)}"
            )
    return begin, end


def resolve_pad_value(node: Node, constants: Constants):
    """The value that Pad writes; None where the graph computes it."""
    if node.version < 11:
        return number(node, "value", 0.0)
    if not has_input(node, 2):
        return 0
    array = constants[2]
    if array is None:
        return None
    if array.size != 1:
        raise model_error(node, f"input '{node.inputs[2]}' has shape {dims(array.shape)}; a scalar is expected")
    return array.reshape(()).item()


def pad(node: Node, shapes: list, constants: list) -> list:
    """Pad-2/11/13/18/19."""
    resolved = resolve_pad(node, shapes[0], constants)
    if resolved is None:
        return [None]
    return [tuple(size + a + b for size, a, b in zip(shapes[0], *resolved, strict=True))]


def center_crop_pad(node: Node, shapes: list, constants: list) -> list:
    """CenterCropPad-18: the sizes asked for, along `axes`."""
    target = vector(node, constants, 1)
    if target is None:
        return [None]
    rank = len(shapes[0])
    axes = normalise_axes(node, integers(node, "axes", range(rank)), rank)
    if len(target) != len(axes):
        raise model_error(node, f"input '{node.inputs[1]}' holds {len(target)} sizes for {len(axes)} axes")
    result = list(shapes[0])
    for axis, size in zip(axes, target, strict=True):
        result[axis] = size
    return [tuple(result)]


def evaluate_pad(node: Node, arrays: list) -> list:
    """Pad: first cut what negative paddings take, then add."""
    array = arrays[0]
    begin, end = resolve_pad(node, array.shape, arrays)
    cut = tuple(slice(max(-a, 0), size + min(b, 0)) for size, a, b in zip(array.shape, begin, end, strict=True))
    widths = [(max(a, 0), max(b, 0)) for a, b in zip(begin, end, strict=True)]
    mode = choice(node, "mode", "constant", PAD_MODES)
    if mode == "constant":
        return [np.pad(array[cut], widths, mode=mode, constant_values=resolve_pad_value(node, arrays))]
    return [np.pad(array[cut], widths, mode=mode)]
