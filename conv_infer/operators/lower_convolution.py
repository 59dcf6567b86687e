"""Conv and ConvTranspose as planned operators: NHWC inputs, weights with the channels last."""

from __future__ import annotations

from ..graph import Node
from ..layout import Lowering, channels_last, is_plain
from .convolution import resolve_convolution, resolve_transposed_convolution
from .lower_window import emit_on_image, pair, window_attrs
from .window import Window

# A convolution reads NCHW directly where there are at most this many channels: an image as the caller gives it.
MAX_PLANAR_CHANNELS = 4
MOST_ZEROS = 64  # for each weight of a transposed convolution: more is slower than the reference


def lower_conv(lowering: Lowering, node: Node) -> bool:
    x, w = node.inputs[:2]
    if not _is_image_operator(lowering, node):
        return False
    window, groups = resolve_convolution(node, lowering.shape(x), lowering.shape(w))
    attrs = window_attrs(window)
    attrs.update(groups=groups, activation=None, input_channels=None, input_layout="NHWC")
    others = [image_weights(lowering, node), _bias(lowering, node), ""]
    if _reads_planar(lowering, x, groups):
        attrs["input_layout"] = "NCHW"
        lowering.emit(node, "Conv", [lowering.use_plain(x), *others], channels_last(4), attrs)
    else:
        emit_on_image(lowering, node, "Conv", others, attrs)
    return True


def lower_conv_transpose(lowering: Lowering, node: Node) -> bool:
    x, w = node.inputs[:2]
    if not _is_image_operator(lowering, node):
        return False
    window, groups, surplus = resolve_transposed_convolution(node, lowering.shape(x), lowering.shape(w))
    if _zeros_for_each_weight(window) > MOST_ZEROS:
        return False
    attrs = window_attrs(window)
    attrs.update(groups=groups, activation=None, output_padding=pair(surplus, 0))
    emit_on_image(lowering, node, "ConvTranspose", [image_weights(lowering, node), _bias(lowering, node)], attrs)
    return True


def _zeros_for_each_weight(window: Window) -> int:
    """How many times as large the kernel of a transposed convolution becomes where its stride has phases: the gaps of
    its dilation are zeros then (passes/split_transposed.py)."""
    times = 1
    for size, stride, dilation in zip(window.kernel, window.strides, window.dilations, strict=True):
        if stride > 1:
            times *= -(-((size - 1) * dilation + 1) // stride) // -(-size // stride)
    return times


def _is_image_operator(lowering: Lowering, node: Node) -> bool:
    """Whether it is a float32 convolution of images or signals with constant weights."""
    return (
        lowering.is_float(*node.inputs)
        and lowering.rank(node.inputs[0]) in (3, 4)
        and all(not name or name in lowering.constants for name in node.inputs[1:])
    )


def _reads_planar(lowering: Lowering, x: str, groups: int) -> bool:
    """Whether a convolution takes an image as the caller wrote it, NCHW, so that nobody transposes it."""
    if lowering.rank(x) != 4 or groups != 1 or not is_plain(lowering.home(x)) or x in lowering.constants:
        return False
    if not 2 <= lowering.shape(x)[1] <= MAX_PLANAR_CHANNELS:
        return False
    return all(
        reader.op == "Conv" and reader.inputs[0] == x and reader.inputs[1] in lowering.constants
        for reader in lowering.readers[x]
    )


def image_weights(lowering: Lowering, node: Node) -> str:
    """Weights with axis 1 moved to the end, OIHW -> OHWI; a view."""
    name = node.inputs[1]
    physical = lowering.use(name, channels_last(lowering.rank(name)))
    if lowering.rank(name) == 3:
        outputs, length, inputs = lowering.shape(physical)
        physical = lowering.reshaped(node, physical, (outputs, 1, length, inputs))
    return physical


def _bias(lowering: Lowering, node: Node) -> str:
    return node.inputs[2] if lowering.has_input(node, 2) else ""
