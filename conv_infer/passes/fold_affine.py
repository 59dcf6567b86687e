"""Folds scales and shifts per channel into the weights and bias of neighbouring convolutions, and into normalisations.

Batch normalisations have become Affine before; Add, Sub, Mul and Div with constants that differ along the last axis
only count as the same. What no convolution takes is merged into as few Affine operators as possible.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..graph import INTERNAL, Graph, Node
from .planned import Editor

_FOLDABLE = ("Conv", "ConvTranspose")


class _Affine:
    """y = x * scale + shift along the last axis, or the whole tensor where both have one element; float64."""

    __slots__ = ("scale", "shift", "x")

    def __init__(self, x: str, scale: np.ndarray, shift: np.ndarray):
        self.x = x
        self.scale = scale
        self.shift = shift

    @property
    def is_scalar(self) -> bool:
        return self.scale.size == self.shift.size == 1


def fold_affine(graph: Graph) -> Graph:
    editor = Editor(graph)
    for node in graph.nodes:
        affine = read_affine(graph, node)
        if affine is None:
            if node.op == "Conv" and node.domain == INTERNAL:
                node = _fold_before(editor, node)
            editor.append(node)
        elif not _fold_after(editor, node, affine) and not _fold_into_norm(editor, node, affine):
            editor.append(_merge(editor, node, affine))
    return editor.finish()


def read_affine(graph: Graph, node: Node) -> _Affine | None:
    """The scale and shift that a node amounts to; None where it does something else."""
    if node.domain != INTERNAL or node.op not in ("Affine", "Binary"):
        return None
    if node.op == "Affine":
        scale, shift = (graph.constants.get(name) for name in node.inputs[1:])
        if scale is None or shift is None:
            return None
        return _Affine(node.inputs[0], scale.astype(np.float64), shift.astype(np.float64))
    kind = node.attrs["kind"]
    if kind not in ("add", "sub", "mul", "div"):
        return None
    a, b = node.inputs
    first, second = graph.constants.get(a), graph.constants.get(b)
    if (first is None) == (second is None) or (kind == "div" and second is None):
        return None
    x, array = (a, second) if second is not None else (b, first)
    shape = graph.shape(x)
    if prod(array.shape[:-1]) != 1 or not shape or shape != graph.shape(node.outputs[0]):  # type: ignore[union-attr]
        return None
    values = array.reshape(-1).astype(np.float64)  # type: ignore[union-attr]
    one, zero = np.ones(1), np.zeros(1)
    if kind == "add":
        return _Affine(x, one, values)
    if kind == "sub":
        return _Affine(x, one, -values) if second is not None else _Affine(x, -one, values)
    if kind == "div" and not values.all():
        return None
    return _Affine(x, values if kind == "mul" else 1.0 / values, zero)


def _fold_after(editor: Editor, node: Node, affine: _Affine) -> bool:
    """Folds into the convolution that made x."""
    conv = editor.producer(affine.x, *_FOLDABLE)
    if conv is None or conv.attrs["activation"] is not None or not np.isfinite(affine.scale).all():
        return False
    if conv.op == "Conv" and conv.inputs[3]:
        return False
    graph = editor.graph
    weights = graph.constants[conv.inputs[1]]
    channels = graph.shape(conv.outputs[0])[-1]
    inputs = list(conv.inputs)
    if (affine.scale != 1.0).any():
        scale = np.broadcast_to(affine.scale, (channels,)).astype(np.float32)
        inputs[1] = graph.add_constant(conv.inputs[1], _scaled(weights, scale, conv))
    bias = graph.constants[inputs[2]].astype(np.float64) if inputs[2] else np.zeros(channels)
    bias = np.broadcast_to(bias * affine.scale + affine.shift, (channels,)).astype(np.float32)
    inputs[2] = graph.add_constant(f"{conv.inputs[1]}:bias", bias)
    attrs = {**conv.attrs, "activation": node.attrs["activation"]}
    editor.replace(conv, conv.replace(inputs=inputs, outputs=node.outputs, attrs=attrs))
    return True


def _fold_into_norm(editor: Editor, node: Node, affine: _Affine) -> bool:
    """Folds into the scale and shift of a normalisation over, or of, the last axis."""
    norm = editor.producer(affine.x, "LayerNorm", "InstanceNorm")
    if norm is None or node.attrs["activation"] is not None or not np.isfinite(affine.scale).all():
        return False
    graph = editor.graph
    shape = graph.shape(affine.x)
    if norm.op == "LayerNorm" and norm.attrs["axis"] != len(shape) - 1:
        return False
    channels = shape[-1]
    values = [np.ones(channels), np.zeros(channels)]
    for index, name in enumerate(norm.inputs[1:]):
        if name:
            if name not in graph.constants:
                return False
            values[index] = graph.constants[name].astype(np.float64).reshape(channels)
    scale, shift = values[0] * affine.scale, values[1] * affine.scale + affine.shift
    constants = [
        graph.add_constant(f"{node.outputs[0]}:{role}", array.astype(np.float32))
        for role, array in (("scale", scale), ("shift", shift))
    ]
    editor.replace(norm, norm.replace(inputs=[norm.inputs[0], *constants], outputs=node.outputs))
    return True


def _scaled(weights: np.ndarray, scale: np.ndarray, conv: Node) -> np.ndarray:
    """Weights times a factor per output channel: OHWI of Conv, [C, kh, kw, O/g] of ConvTranspose."""
    if conv.op == "Conv":
        return weights * scale[:, None, None, None]
    groups = conv.attrs["groups"]
    split = weights.reshape(groups, -1, *weights.shape[1:])
    return (split * scale.reshape(groups, 1, 1, 1, -1)).reshape(weights.shape)


def _fold_before(editor: Editor, conv: Node) -> Node:
    """Folds a scale (and shift, where no padding would need it) of the input into the weights."""
    x, w, bias, residual = conv.inputs
    if conv.attrs["input_layout"] != "NHWC" or conv.attrs["input_channels"] is not None:
        return conv
    node = editor.producer(x, "Affine", "Binary")
    affine = None if node is None else read_affine(editor.graph, node)
    if affine is None or node.attrs["activation"] is not None or not np.isfinite(affine.scale).all():  # type: ignore[union-attr]
        return conv
    if affine.shift.any() and any(conv.attrs["pads"]):
        return conv
    graph = editor.graph
    weights = graph.constants[w]
    outputs, _, _, depth = weights.shape
    groups = conv.attrs["groups"]
    scale, shift = (
        np.repeat(np.broadcast_to(values, (groups * depth,)).reshape(groups, 1, 1, depth), outputs // groups, axis=0)
        for values in (affine.scale, affine.shift)
    )
    if affine.shift.any():
        extra = (weights * shift).sum((1, 2, 3))
        extra += graph.constants[bias] if bias else 0.0
        bias = graph.add_constant(f"{w}:bias", extra.astype(np.float32))
    w = graph.add_constant(w, weights * scale.astype(np.float32))
    editor.drop(node)  # type: ignore[arg-type]
    return conv.replace(inputs=[affine.x, w, bias, residual])


def _merge(editor: Editor, node: Node, affine: _Affine) -> Node:
    """One Affine for this node and, where it is one without activation, the one before it."""
    graph = editor.graph
    before = editor.producer(affine.x, "Affine", "Binary")
    earlier = None if before is None or before.attrs["activation"] is not None else read_affine(graph, before)
    if earlier is not None:
        editor.drop(before)  # type: ignore[arg-type]
        shift = earlier.shift * affine.scale + affine.shift
        affine = _Affine(earlier.x, earlier.scale * affine.scale, shift)
    elif node.op == "Affine" or affine.is_scalar:
        return node
    channels = graph.shape(affine.x)[-1]
    constants = [
        graph.add_constant(f"{node.outputs[0]}:{role}", np.broadcast_to(values, (channels,)).astype(np.float32))
        for role, values in (("scale", affine.scale), ("shift", affine.shift))
    ]
    attrs = {"activation": node.attrs["activation"]}
    return Node("Affine", [affine.x, *constants], node.outputs, attrs, name=node.name, domain=INTERNAL)
