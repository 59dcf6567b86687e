"""Conv and ConvTranspose as planned operators: NHWC inputs, OHWI weights, signals as images of one row."""

from __future__ import annotations

from ..graph import Node
from ..layout import Lowering, channels_last
from .lower_window import conv_window, transposed_window

# A convolution reads a graph input in the caller's NCHW layout where it has at most this many channels (an image).
MAX_PLANAR_CHANNELS = 4


def lower_conv(lowering: Lowering, node: Node) -> bool:
    x, w = node.inputs[:2]
    weights = lowering.constant(node, 1)
    bias = node.inputs[2] if lowering.has_input(node, 2) else ""
    if weights is None or not lowering.is_float(x, w, bias) or lowering.rank(x) not in (3, 4):
        return False
    if bias and bias not in lowering.constants:
        return False
    attrs = conv_window(node, lowering.shape(x)[2:], weights.shape[2:])
    groups = node.attrs.get("group", 1)
    attrs.update(groups=groups, activation=None, input_channels=None, input_layout="NHWC")
    weights_name = _image_weights(lowering, node, 1)
    if _reads_planar(lowering, x, groups):
        attrs["input_layout"] = "NCHW"
        lowering.emit(node, "Conv", [lowering.use_plain(x), weights_name, bias, ""], channels_last(4), attrs)
    else:
        _emit_on_image(lowering, node, "Conv", [weights_name, bias, ""], attrs)
    return True


def _reads_planar(lowering: Lowering, x: str, groups: int) -> bool:
    """Whether a convolution takes a graph input as the caller wrote it, so that nobody copies it into another order."""
    if x not in lowering.source.inputs or lowering.rank(x) != 4 or groups != 1:
        return False
    if not 2 <= lowering.shape(x)[1] <= MAX_PLANAR_CHANNELS or x in lowering.source.outputs:
        return False
    return all(
        reader.op == "Conv" and reader.inputs[0] == x and reader.inputs[1] in lowering.constants
        for reader in lowering.readers[x]
    )


def lower_conv_transpose(lowering: Lowering, node: Node) -> bool:
    x, w = node.inputs[:2]
    weights = lowering.constant(node, 1)
    bias = node.inputs[2] if lowering.has_input(node, 2) else ""
    if weights is None or not lowering.is_float(x, w, bias) or lowering.rank(x) not in (3, 4):
        return False
    if bias and bias not in lowering.constants:
        return False
    output = lowering.shape(node.outputs[0])
    attrs = transposed_window(node, lowering.shape(x)[2:], weights.shape[2:], output[2:])
    attrs.update(groups=node.attrs.get("group", 1), activation=None)
    _emit_on_image(lowering, node, "ConvTranspose", [_image_weights(lowering, node, 1), bias], attrs)
    return True


def _image_weights(lowering: Lowering, node: Node, index: int) -> str:
    """Weights with the spatial axes before the last channel axis: OIHW -> OHWI; a view."""
    name = node.inputs[index]
    physical = lowering.use(name, channels_last(lowering.rank(name)))
    if lowering.rank(name) == 3:
        outputs, length, inputs = lowering.shape(physical)
        physical = lowering.reshaped(node, physical, (outputs, 1, length, inputs))
    return physical


def _emit_on_image(lowering: Lowering, node: Node, op: str, others: list[str], attrs: dict) -> None:
    emit_on_image(lowering, node, op, others, attrs)


def emit_on_image(lowering: Lowering, node: Node, op: str, others: list[str], attrs: dict) -> None:
    """Appends an image operator on the node's first input; a signal becomes an image of one row."""
    x = node.inputs[0]
    order = channels_last(lowering.rank(x))
    physical = lowering.use(x, order)
    if len(order) == 4:
        lowering.emit(node, op, [physical, *others], order, attrs)
        return
    batch, channels, length = lowering.shape(x)
    image = lowering.reshaped(node, physical, (batch, 1, length, channels))
    batch, channels, length = lowering.shape(node.outputs[0])
    image = lowering.step(node, op, [image, *others], (batch, 1, length, channels), attrs)
    lowering.emit(node, "Reshape", [image], order)
