"""Transpose and the operators that only change a tensor's shape: they rename axes, and copy only where they must."""

from __future__ import annotations

from math import prod

from ..graph import Node
from ..layout import NHWC, Lowering, Order, is_plain, plain_order
from .shapes import is_plain_dropout


def lower_identity(lowering: Lowering, node: Node) -> bool:
    mask = node.outputs[1] if len(node.outputs) > 1 else ""
    if mask and (mask in lowering.readers or mask in lowering.source.outputs):
        return False
    lowering.alias(node.outputs[0], node.inputs[0])
    return True


def lower_dropout(lowering: Lowering, node: Node) -> bool:
    return is_plain_dropout(node, lowering.constants_of(node)) and lower_identity(lowering, node)


def lower_cast(lowering: Lowering, node: Node) -> bool:
    x, y = node.inputs[0], node.outputs[0]
    source, target = lowering.dtype(x), lowering.dtype(y)
    if source == target:
        lowering.alias(y, x)
        return True
    if source.kind not in "fiub" or target.kind not in "fiub":
        return False
    physical, order = lowering.use_home(x)
    lowering.emit(node, "Cast", [physical], order)
    return True


def lower_transpose(lowering: Lowering, node: Node) -> bool:
    x = node.inputs[0]
    perm = node.attrs.get("perm") or tuple(reversed(range(lowering.rank(x))))
    lowering.alias(node.outputs[0], x, perm)
    return True


def lower_reshape(lowering: Lowering, node: Node) -> bool:
    """Reshape, Flatten, Squeeze, Unsqueeze: all that counts is the shape of the output."""
    reshape_logical(lowering, node, node.inputs[0], node.outputs[0])
    return True


def reshape_logical(lowering: Lowering, node: Node, x: str, y: str) -> None:
    """Makes the logical tensor `y` from `x`, whose elements in plain order it holds under another shape."""
    before, after = lowering.shape(x), lowering.shape(y)
    if before == after:
        lowering.alias(y, x)
        return
    physical, order = lowering.use_home(x)
    target = reshaped_order(before, after, order)
    if target is None:
        physical, target = lowering.use_plain(x), plain_order(len(after))
    if physical in lowering.constants and is_plain(target):
        lowering.bind(y, lowering.reshaped(node, physical, after), target)
    else:
        lowering.emit(node, "Reshape", [physical], target, output=y)


def reshaped_order(before: tuple[int, ...], after: tuple[int, ...], order: Order) -> Order | None:
    """The order of the result's axes where an array in `order` holds the reshaped tensor too; None where a copy is due.

    Both shapes are cut into the shortest runs of axes of equal size: N,C,H,W -> N,C,H*W has the runs N, C and H,W.
    No copy is due where the axes of each run lie side by side in memory, in their own order.
    """
    if is_plain(order):
        return plain_order(len(after))
    if 0 in before:
        return None
    position = {axis: index for index, axis in enumerate(order)}
    result: list[tuple[int, list[int]]] = []  # where each run lies in memory, and the axes of the result it becomes
    i = j = 0
    while i < len(before) or j < len(after):
        # a run: at least one axis of `before` that is not 1, and the axes of `after` with the same product
        left, right = 1, 1
        old: list[int] = []
        new: list[int] = []
        while i < len(before) and before[i] == 1:
            i += 1
        while j < len(after) and after[j] == 1:
            new.append(j)
            j += 1
        if i == len(before):
            if j < len(after):
                return None
            result.append((len(order), new)) if new else None
            break
        old.append(i)
        left *= before[i]
        i += 1
        while left != right:
            if right < left:
                if j == len(after):
                    return None
                new.append(j)
                right *= after[j]
                j += 1
            else:
                if i == len(before):
                    return None
                if before[i] != 1:
                    old.append(i)
                left *= before[i]
                i += 1
        places = [position[axis] for axis in old]
        between = range(min(places), max(places) + 1)
        if places != sorted(places) or any(before[order[place]] != 1 and place not in places for place in between):
            return None
        result.append((places[0], new))
    result.sort(key=lambda item: item[0])
    return tuple([axis for _, axes in result for axis in axes])


def lower_depth_to_space(lowering: Lowering, node: Node) -> bool:
    x = node.inputs[0]
    block = node.attrs["blocksize"]
    batch, channels, height, width = lowering.shape(x)
    rest = channels // (block * block)
    physical = lowering.use(x, NHWC)
    if node.attrs.get("mode", "DCR") == "DCR":
        split, perm = (batch, height, width, block, block, rest), (0, 1, 3, 2, 4, 5)
    else:
        split, perm = (batch, height, width, rest, block, block), (0, 1, 4, 2, 5, 3)
    physical = lowering.reshaped(node, physical, split)
    physical = lowering.transposed(node, physical, perm)
    lowering.emit(node, "Reshape", [physical], NHWC)
    return True


def lower_space_to_depth(lowering: Lowering, node: Node) -> bool:
    x = node.inputs[0]
    block = node.attrs["blocksize"]
    batch, channels, height, width = lowering.shape(x)
    physical = lowering.use(x, NHWC)
    physical = lowering.reshaped(node, physical, (batch, height // block, block, width // block, block, channels))
    perm = (0, 1, 3, 2, 4, 5) if node.attrs.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    physical = lowering.transposed(node, physical, perm)
    lowering.emit(node, "Reshape", [physical], NHWC)
    return True


def lower_expand(lowering: Lowering, node: Node) -> bool:
    x, y = node.inputs[0], node.outputs[0]
    shape = lowering.shape(x)
    if shape == lowering.shape(y):
        lowering.alias(y, x)
        return True
    missing = lowering.rank(y) - len(shape)
    if missing:
        physical, order = lowering.reshaped(node, lowering.use_plain(x), (1,) * missing + shape), None
    else:
        physical, order = lowering.use_home(x)
    lowering.emit(node, "Expand", [physical], order)
    return True


def lower_tile(lowering: Lowering, node: Node) -> bool:
    x, y = node.inputs[0], node.outputs[0]
    if lowering.shape(x) == lowering.shape(y):
        lowering.alias(y, x)
        return True
    if lowering.constant(node, 1) is None or prod(lowering.shape(x)) == 0:
        return False
    physical, order = lowering.use_home(x)
    lowering.emit(node, "Tile", [physical], order)
    return True
