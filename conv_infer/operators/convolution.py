"""Convolution and its transpose, in floating point and integers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..graph import Node
from .checks import Shape, choice, dims, integer, integers, model_error, tensor, unsupported
from .window import AUTO_PADS, MOST_PADDED, Window, explicit_pads, per_axis, resolve_window

MOST_SURPLUS = 1 << 12  # of output_padding, which ONNX wants below stride or dilation

# Where the operators keep their weights and biases.
_WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "DeformConv": 1, "QConv": 1, "QLinearConv": 3}
_BIAS = {"Conv": 2, "ConvTranspose": 2, "QLinearConv": 8}


def resolve_groups(node: Node, x: Shape, w: Shape) -> int:
    """The number of groups of Conv (and ConvInteger, QLinearConv), once the channels are known to fit it."""
    weights = _WEIGHTS[node.op]
    if len(x) < 3 or len(w) != len(x):
        raise model_error(
            node,
            f"{tensor(node, 0, x)} and {tensor(node, weights, w)} must have the same number of dimensions, 3 or more",
        )
    groups = integer(node, "group", 1)
    if groups < 1:
        raise model_error(node, f"attribute 'group' is {groups}; at least 1 is expected")
    if x[1] != w[1] * groups:
        raise model_error(
            node,
            f"{tensor(node, 0, x)} has {x[1]} channels; "
            f"{tensor(node, weights, w)} in {groups} groups expects {w[1] * groups}",
        )
    if w[0] % groups:
        raise model_error(
            node, f"{tensor(node, weights, w)} gives {w[0]} channels, which {groups} groups do not divide"
        )
    return groups


def resolve_kernel(node: Node, w: Shape) -> tuple[int, ...]:
    """The spatial size of the kernel: that of the weights, with which `kernel_shape` must agree."""
    kernel = tuple(w[2:])
    stated = integers(node, "kernel_shape")
    if stated and tuple(stated) != kernel:
        raise model_error(
            node,
            f"attribute 'kernel_shape' is {stated}; {tensor(node, _WEIGHTS[node.op], w)} has the kernel {dims(kernel)}",
        )
    if not all(kernel):
        raise model_error(node, f"{tensor(node, _WEIGHTS[node.op], w)} has an empty kernel")
    return kernel


def resolve_convolution(node: Node, x: Shape, w: Shape) -> tuple[Window, int]:
    """The window and the number of groups of Conv, ConvInteger and QLinearConv: x [N,C,...], w [O,C/g,...]."""
    groups = resolve_groups(node, x, w)
    return resolve_window(node, x[2:], resolve_kernel(node, w)), groups


def _check_bias(node: Node, shapes: Sequence[Shape | None], channels: int) -> None:
    index = _BIAS.get(node.op)
    if index is not None and index < len(shapes) and shapes[index] is not None and shapes[index] != (channels,):
        raise model_error(node, f"{tensor(node, index, shapes[index])} is the bias; the shape {channels} is expected")


def convolution(node: Node, shapes: list, constants: list) -> list:
    """Conv, ConvInteger, QLinearConv: [N,C,...] -> [N,O,...]."""
    x, w = shapes[0], shapes[_WEIGHTS[node.op]]
    window, _ = resolve_convolution(node, x, w)
    _check_bias(node, shapes, w[0])
    return [(x[0], w[0], *window.output)]


def resolve_transposed_convolution(node: Node, x: Shape, w: Shape) -> tuple[Window, int, tuple[int, ...]]:
    """The window, the number of groups and the output padding of ConvTranspose: x [N,C,...], w [C,O/g,...].

    `window.output` is the spatial size of the result. Where `output_shape` or `auto_pad` fix that size, the paddings
    follow from it: half of the surplus on either side, the odd element at the end for SAME_UPPER and, by the
    operator's definition, at the beginning otherwise.
    """
    if len(x) < 3 or len(w) != len(x):
        raise model_error(
            node, f"{tensor(node, 0, x)} and {tensor(node, 1, w)} must have the same number of dimensions, 3 or more"
        )
    groups = integer(node, "group", 1)
    if groups < 1 or x[1] % groups:
        raise model_error(
            node, f"attribute 'group' is {groups}, which does not divide the channels of {tensor(node, 0, x)}"
        )
    if x[1] != w[0]:
        raise model_error(node, f"{tensor(node, 0, x)} has {x[1]} channels; {tensor(node, 1, w)} expects {w[0]}")
    kernel = resolve_kernel(node, w)
    rank = len(kernel)
    strides = per_axis(node, "strides", rank, 1, 1)
    dilations = per_axis(node, "dilations", rank, 1, 1)
    surplus = per_axis(node, "output_padding", rank, 0, 0)
    auto_pad = choice(node, "auto_pad", "NOTSET", AUTO_PADS)
    pads = explicit_pads(node, rank)
    wanted = integers(node, "output_shape")
    if wanted and len(wanted) == rank + 2:
        wanted = wanted[2:]  # some exporters give the batch and the channels as well
    if wanted and len(wanted) != rank:
        raise model_error(
            node, f"attribute 'output_shape' is {wanted}; {rank} values are expected, one per spatial axis"
        )
    begin, end, output = pads[:rank], pads[rank:], []
    if max(surplus, default=0) > MOST_SURPLUS:
        raise unsupported(node, f"attribute 'output_padding' is {surplus}; at most {MOST_SURPLUS} is supported")
    for axis, size in enumerate(x[2:]):
        full = (size - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1 + surplus[axis]
        if full > MOST_PADDED:
            raise unsupported(
                node,
                f"spatial axis {axis} has {full} elements before it is cropped; at most {MOST_PADDED} are supported",
            )
        if wanted or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            # SAME never asks for more than the windows cover: so onnxruntime reads the definition.
            target = wanted[axis] if wanted else min(size * strides[axis], full)
            total = max(full - target, 0)
            begin[axis] = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            end[axis] = total - begin[axis]
            output.append(target)
        else:
            if auto_pad == "VALID":
                begin[axis] = end[axis] = 0
            output.append(full - begin[axis] - end[axis])
        # what has no effect may be any number in the model
        strides[axis] = strides[axis] if size > 1 else 1
        dilations[axis] = dilations[axis] if kernel[axis] > 1 else 1
    if min(output, default=1) < 1:
        raise model_error(node, f"the spatial size of the output would be {dims(output)}")
    return Window(kernel, strides, begin, end, dilations, output), groups, tuple(surplus)


def transposed_convolution(node: Node, shapes: list, constants: list) -> list:
    """ConvTranspose: [N,C,...] -> [N,O,...]."""
    x, w = shapes[0], shapes[1]
    window, groups, _ = resolve_transposed_convolution(node, x, w)
    _check_bias(node, shapes, w[1] * groups)
    return [(x[0], w[1] * groups, *window.output)]


def deformable_convolution(node: Node, shapes: list, constants: list) -> list:
    """DeformConv-19/22: as Conv; offsets are given per kernel element and output position."""
    x, w, offset = shapes[:3]
    window, _ = resolve_convolution(node, x, w)
    expected = 2 * integer(node, "offset_group", 1) * math.prod(window.kernel)
    if offset != (x[0], expected, *window.output):
        raise model_error(
            node, f"{tensor(node, 2, offset)} must have the shape {dims((x[0], expected, *window.output))}"
        )
    return [(x[0], w[0], *window.output)]
