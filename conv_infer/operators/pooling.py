"""Pooling: windows that keep the channels, and their global forms."""

from __future__ import annotations

from ..graph import Node
from .checks import Shape, dims, has_input, integer, integers, model_error, tensor, vector
from .window import Window, explicit_pads, per_axis, resolve_window


def resolve_pooling(node: Node, x: Shape) -> Window:
    """The window of MaxPool, AveragePool, LpPool and QLinearAveragePool over x [N,C,...]."""
    if len(x) < 3:
        raise model_error(node, f"{tensor(node, 0, x)} must have 3 or more dimensions")
    rank = len(x) - 2
    kernel = integers(node, "kernel_shape")
    if kernel is None or len(kernel) != rank or min(kernel) < 1:
        raise model_error(
            node,
            f"attribute 'kernel_shape' is {kernel}; {rank} values of at least 1 are expected, one per spatial axis",
        )
    window = resolve_window(node, x[2:], kernel, ceil_mode=bool(integer(node, "ceil_mode", 0)))
    for axis in range(rank):
        if max(window.begin[axis], window.end[axis]) >= kernel[axis] * window.dilations[axis]:
            raise model_error(
                node,
                f"the pads {list(window.pads)} reach the kernel's size {dims(kernel)}: windows would see padding only",
            )
    return window


def pooling(node: Node, shapes: list, constants: list) -> list:
    """Pools with a window: [N,C,...] -> [N,C,...] (and the indices of MaxPool, of the same shape)."""
    x = shapes[0]
    result = (*x[:2], *resolve_pooling(node, x).output)
    return [result] * len(node.outputs)


def max_unpool(node: Node, shapes: list, constants: list) -> list:
    """MaxUnpool-9/11/22: what a MaxPool's input was, or the shape asked for."""
    x = shapes[0]
    if shapes[1] != x or len(x) < 3:
        raise model_error(
            node, f"{tensor(node, 0, x)} and {tensor(node, 1, shapes[1])} must be equal, of 3 or more dimensions"
        )
    if has_input(node, 2):
        wanted = vector(node, constants, 2)
        return [None if wanted is None else tuple(wanted)]
    rank = len(x) - 2
    kernel = integers(node, "kernel_shape", [])
    strides, pads = per_axis(node, "strides", rank, 1, 1), explicit_pads(node, rank)
    if len(kernel) != rank:
        raise model_error(
            node, f"attribute 'kernel_shape' is {kernel}; {rank} values are expected, one per spatial axis"
        )
    spatial = ((x[i + 2] - 1) * strides[i] + kernel[i] - pads[i] - pads[i + rank] for i in range(rank))
    return [(*x[:2], *spatial)]


def global_pooling(node: Node, shapes: list, constants: list) -> list:
    """Global pools: [N,C,...] -> [N,C,1,...]."""
    x = shapes[0]
    if len(x) < 2:
        raise model_error(node, f"{tensor(node, 0, x)} must have 2 or more dimensions")
    return [(*x[:2], *(1 for _ in x[2:]))]


def qlinear_global_pooling(node: Node, shapes: list, constants: list) -> list:
    """com.microsoft.QLinearGlobalAveragePool: channels first, or last with `channels_last`."""
    x = shapes[0]
    if integer(node, "channels_last", 0):
        return [(x[0], *(1 for _ in x[1:-1]), x[-1])]
    return global_pooling(node, shapes, constants)


def qlinear_pooling(node: Node, shapes: list, constants: list) -> list:
    """com.microsoft.QLinearAveragePool: channels first, or last with `channels_last`."""
    x = shapes[0]
    if integer(node, "channels_last", 0) and len(x) >= 3:
        window = resolve_pooling(node, (x[0], x[-1], *x[1:-1]))
        return [(x[0], *window.output, x[-1])]
    return pooling(node, shapes, constants)
