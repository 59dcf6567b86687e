"""Folds a Pad of height and width into the window of the convolution or pooling that reads it."""

from __future__ import annotations

import math

import numpy as np

from ..graph import INTERNAL, Graph, Node
from .planned import Editor
from .ranges import Ranges

_WINDOWED = frozenset(("Conv", "AveragePool", "MaxPool", "QConv", "QAveragePool"))


def fold_padding(graph: Graph) -> Graph:
    pads = {
        node.outputs[0]: node
        for node in graph.nodes
        if node.op == "Pad" and node.domain == INTERNAL and _is_spatial(node)
    }
    if not pads:
        return graph
    editor = Editor(graph)
    ranges = Ranges(editor.graph)
    for node in graph.nodes:
        if node.op in _WINDOWED and node.domain == INTERNAL and node.inputs[0] in pads:
            node = _folded(editor.graph, ranges, node, pads[node.inputs[0]])
        editor.append(node)
        ranges.note(node)
    return editor.finish()


def _is_spatial(pad: Node) -> bool:
    pads = pad.attrs["pads"]
    return len(pads) == 8 and pad.attrs["mode"] == "constant" and pads[0] == pads[3] == pads[4] == pads[7] == 0


def _folded(graph: Graph, ranges: Ranges, node: Node, pad: Node) -> Node:
    _, top, left, _, _, bottom, right, _ = pad.attrs["pads"]
    value, own = pad.attrs["value"], node.attrs["pads"]
    attrs = {**node.attrs, "pads": tuple(a + b for a, b in zip(own, (top, left, bottom, right), strict=True))}
    if node.op == "Conv":
        if value != 0 or node.attrs["input_layout"] != "NHWC":
            return node
    elif node.op == "QConv":
        if value != node.attrs["x_zero_point"]:
            return node
    elif node.op in ("AveragePool", "QAveragePool"):
        # what Pad wrote counts in the mean; what the pool pads itself would then count too, or lie beyond the end
        if value != node.attrs.get("x_zero_point", 0) or any(own) or not _fits(graph, node):
            return node
        attrs["count_include_pad"] = True
    else:
        # the pool's own padding never wins, so the value must not win either
        ignored = value == _lowest(graph.dtype(pad.inputs[0])) or (value <= 0 and ranges.of(pad.inputs[0])[0] >= value)
        kernel = node.attrs["kernel"]
        if (
            any(own)
            or not ignored
            or not _fits(graph, node)
            or max(top, bottom) >= kernel[0]
            or max(left, right) >= kernel[1]
        ):
            return node
    return node.replace(inputs=[pad.inputs[0], *node.inputs[1:]], attrs=attrs)


def _lowest(dtype: np.dtype) -> float:
    return -math.inf if dtype.kind == "f" else float(np.iinfo(dtype).min)


def _fits(graph: Graph, node: Node) -> bool:
    """Whether no window runs past the padded input (as ceil_mode allows)."""
    before, after = graph.shape(node.inputs[0]), graph.shape(node.outputs[0])
    dilations = node.attrs.get("dilations", (1, 1))
    for axis in range(2):
        extent = (node.attrs["kernel"][axis] - 1) * dilations[axis] + 1
        if (after[1 + axis] - 1) * node.attrs["strides"][axis] + extent > before[1 + axis]:
            return False
    return True
