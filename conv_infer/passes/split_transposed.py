"""Turns transposed convolutions into plain ones: a convolution for every phase of the stride, then depth to space.

With stride s, output row q*s + p receives input row q - j through kernel row p + j*s, for j = 0, 1, ... (Shi et al.,
"Is the deconvolution layer the same as a convolutional layer?", 2016): for each phase p that is a convolution of stride
1 over the input, its kernel turned round. The phases of both axes are the channels of one convolution, whose kernel has
ceil(k / s) rows; where s does not divide k, it holds zeros. With stride 1 nothing remains but that convolution.
"""

from __future__ import annotations

import numpy as np

from ..graph import INTERNAL, Graph, Node


def split_transposed(graph: Graph) -> Graph:
    if not any(node.op == "ConvTranspose" and node.domain == INTERNAL for node in graph.nodes):
        return graph
    result = graph.with_nodes([])
    for node in graph.nodes:
        if node.op == "ConvTranspose" and node.domain == INTERNAL:
            _split(result, node)
        else:
            result.nodes.append(node)
    return result


class _Axis:
    """One spatial axis: the convolution's kernel, dilation and pads, the phases that it makes, and how many elements of
    theirs come before the output."""

    __slots__ = ("before", "dilation", "pads", "phases", "size", "taps")

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dilation: int, pad: int):
        reach = (kernel - 1) * dilation + 1
        self.phases = stride
        # Without phases a dilated kernel can stay one; with them its gaps become zeros.
        self.dilation = dilation if stride == 1 else 1
        self.taps = kernel if stride == 1 else -(-reach // stride)
        extent = (self.taps - 1) * self.dilation + 1
        first, last = pad // stride, (pad + outputs - 1) // stride  # rows of phases that the output needs
        first = min(first, extent - 1)
        self.pads = extent - 1 - first, max(0, last - (inputs - 1))
        self.size = inputs + sum(self.pads) - extent + 1
        self.before = pad - first * stride


def _split(graph: Graph, node: Node) -> None:
    x, w, bias = node.inputs
    images, *inputs, _ = graph.shape(x)
    _, *outputs, columns = graph.shape(node.outputs[0])
    attrs = node.attrs
    weights = graph.constants[w]
    groups, strides = attrs["groups"], attrs["strides"]
    axes = [
        _Axis(inputs[i], outputs[i], weights.shape[1 + i], strides[i], attrs["dilations"][i], attrs["pads"][i])
        for i in range(2)
    ]
    (height, width), phases = (axis.size for axis in axes), axes[0].phases * axes[1].phases
    stem = node.outputs[0]
    operands = [x, graph.add_constant(f"{w}:phases", phase_weights(weights, axes, groups, attrs["dilations"]))]
    operands.append(bias and graph.add_constant(f"{bias}:phases", phase_bias(graph.constants[bias], phases, groups)))
    window = {
        "strides": (1, 1),
        "dilations": tuple(axis.dilation for axis in axes),
        "pads": (axes[0].pads[0], axes[1].pads[0], axes[0].pads[1], axes[1].pads[1]),
        "groups": groups,
        "activation": attrs["activation"],
        "input_channels": None,
        "input_layout": "NHWC",
    }

    def append(op: str, operands: list[str], shape: tuple[int, ...], attrs: dict | None = None) -> str:
        target = graph.add_tensor(f"{stem}:{op}", graph.dtype(stem), shape)
        graph.nodes.append(Node(op, operands, [target], attrs, name=node.name, domain=INTERNAL))
        return target

    y = append("Conv", [*operands, ""], (images, height, width, phases * columns), window)
    if phases > 1:
        high, wide = (axis.phases for axis in axes)
        if groups == 1:  # few axes, long runs
            y = append("Reshape", [y], (images * height, width, high, wide * columns))
            y = append("Transpose", [y], (images * height, high, width, wide * columns), {"perm": (0, 2, 1, 3)})
        else:
            share = columns // groups
            y = append("Reshape", [y], (images * height, width, groups, high, wide, share))
            shape = (images * height, high, width, wide, groups, share)
            y = append("Transpose", [y], shape, {"perm": (0, 3, 1, 4, 2, 5)})
        height, width = height * high, width * wide
        y = append("Reshape", [y], (images, height, width, columns))
    if [height, width] != outputs:
        starts = (0, axes[0].before, axes[1].before, 0)
        y = append("Slice", [y], (images, *outputs, columns), {"starts": starts, "steps": (1, 1, 1, 1)})
    last = graph.nodes.pop()
    graph.nodes.append(last.replace(outputs=node.outputs))


def phase_weights(weights: np.ndarray, axes: list[_Axis], groups: int, dilations: tuple[int, int]) -> np.ndarray:
    """[C, kh, kw, O/g] as OHWI with outputs ordered group, phase y, phase x, output of the group."""
    channels, *kernel, share = weights.shape
    padded = np.zeros((channels, *(axis.taps * axis.phases for axis in axes), share), weights.dtype)
    steps = [1 if axis.phases == 1 else dilation for axis, dilation in zip(axes, dilations, strict=True)]
    covered = [slice(0, (size - 1) * step + 1, step) for size, step in zip(kernel, steps, strict=True)]
    padded[:, covered[0], covered[1]] = weights
    apart = padded.reshape(
        groups, channels // groups, axes[0].taps, axes[0].phases, axes[1].taps, axes[1].phases, share
    )
    turned = apart[:, :, ::-1, :, ::-1]
    ordered = turned.transpose(0, 3, 5, 6, 2, 4, 1)
    return np.ascontiguousarray(ordered).reshape(-1, axes[0].taps, axes[1].taps, channels // groups)


def phase_bias(bias: np.ndarray, phases: int, groups: int) -> np.ndarray:
    """[O] repeated for every phase, in the order of `phase_weights`."""
    return np.repeat(bias.reshape(groups, 1, -1), phases, axis=1).reshape(-1)
