"""Lets an int8 convolution requantise its result once more: a table behind it that is a straight line, rounded.

Such are the tables before a Concat whose operands have parameters of their own. The convolution's first rounding is
kept: its attribute `line`, (slope, intercept, lo, hi), says that level q becomes clip(rint(fma(q, slope, intercept)),
lo, hi).
"""

from __future__ import annotations

import numpy as np

from ..graph import INTERNAL, Graph, Node
from .planned import Editor
from .quantised.levels import UINT8

# How far every level stays from the middle between two, twice: far more than float32 errs in between
_ROOM = 1e-3
_STEPS = 24  # of bisection: from there on slopes differ in no level


def fuse_requantisations(graph: Graph) -> Graph:
    editor = Editor(graph)
    for node in graph.nodes:
        if node.op != "QLookup" or node.domain != INTERNAL or not _fuse(editor, node):
            editor.append(node)
    return editor.finish()


def _fuse(editor: Editor, node: Node) -> bool:
    conv = editor.producer(node.inputs[0], "QConv")
    if conv is None or conv.attrs["raw"] or conv.attrs["add"] is not None or "line" in conv.attrs:
        return False
    types = editor.graph.types
    if types[conv.outputs[0]].dtype != UINT8 or types[node.outputs[0]].dtype != UINT8:
        return False
    if types[conv.inputs[1]].shape[-1] == 1 and conv.attrs["groups"] > 1:  # depthwise: those kernels scale only
        return False
    table = np.asarray(node.attrs["table"])
    line = line_through(table)
    if line is None:
        return False
    attrs = {**conv.attrs, "line": (*line, int(table[0]), int(table[-1]))}
    editor.drop(conv)
    editor.append(conv.replace(outputs=node.outputs, attrs=attrs))
    return True


def line_through(table: np.ndarray) -> tuple[np.float32, np.float32] | None:
    """(slope, intercept) of which every entry, uint8 [256], is the rounded value, the first and the last being bounds;
    None where there is none, or only one that leads too near to the middle between two levels."""
    levels = table.astype(np.float64)
    place = np.arange(256.0)
    below, above = levels < levels[-1], levels > levels[0]
    inner = np.flatnonzero(below & above)
    if inner.size < 2 or (np.diff(levels) < 0).any():
        return None
    ceiling_at, ceiling = place[below], levels[below] + 0.5
    floor_at, floor = place[above], levels[above] - 0.5
    rise, run = levels[inner[-1]] - levels[inner[0]], inner[-1] - inner[0]
    least, most = (rise - 1) / run, (rise + 1) / run
    for _ in range(_STEPS):
        slope = (least + most) / 2
        highest, lowest = ceiling - slope * ceiling_at, floor - slope * floor_at
        upper, lower = highest.argmin(), lowest.argmax()
        if highest[upper] - lowest[lower] >= _ROOM:
            return np.float32(slope), np.float32((highest[upper] + lowest[lower]) / 2)
        if floor_at[lower] > ceiling_at[upper]:
            least = slope
        else:
            most = slope
    return None
