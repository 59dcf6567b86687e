"""Lets a convolution add the tensor that would be added to its result, before its activation; levels likewise."""

from __future__ import annotations

from ..graph import INTERNAL, Graph, Node
from .planned import Editor

# Each addition, and the convolution that can do it
_ADDITIONS = {"Binary": "Conv", "QBinary": "QConv"}


def fuse_residuals(graph: Graph) -> Graph:
    editor = Editor(graph)
    for node in graph.nodes:
        if node.domain == INTERNAL and node.op in _ADDITIONS and node.attrs["kind"] == "add" and _fuse(editor, node):
            continue
        editor.append(node)
    return editor.finish()


def _fuse(editor: Editor, node: Node) -> bool:
    shape = editor.graph.shape(node.outputs[0])
    if any(editor.graph.shape(name) != shape for name in node.inputs):
        return False
    best: tuple[tuple[bool, int], Node, str] | None = None
    for name, other in (node.inputs, node.inputs[::-1]):
        conv = editor.producer(name, _ADDITIONS[node.op])
        if conv is None or conv.inputs[3] or name == other or not _can_add(editor, conv, node):
            continue
        # of two candidates rather the one that is not depthwise, and that is executed later
        rank = (editor.graph.shape(conv.inputs[1])[-1] > 1, editor.positions[name])
        if best is None or rank > best[0]:
            best = (rank, conv, other)
    if best is None:
        return False
    (_, position), conv, residual = best
    attrs = {**conv.attrs, **_attrs(node, conv)}
    fused = conv.replace(inputs=[*conv.inputs[:3], residual], outputs=node.outputs, attrs=attrs)
    if editor.positions.get(residual, -1) < position:
        editor.replace(conv, fused)
    else:
        editor.drop(conv)
        editor.append(fused)
    return True


def _can_add(editor: Editor, conv: Node, node: Node) -> bool:
    if conv.op == "Conv":
        return conv.attrs["activation"] is None
    # the depthwise kernels on levels add nothing; the rounded result and the sum are of one type
    if conv.attrs["raw"] or conv.attrs["add"] is not None or _is_depthwise(editor.graph, conv):
        return False
    return editor.graph.dtype(conv.outputs[0]) == editor.graph.dtype(node.outputs[0])


def _is_depthwise(graph: Graph, conv: Node) -> bool:
    return graph.shape(conv.inputs[1])[-1] == 1 and conv.attrs["groups"] > 1


def _attrs(node: Node, conv: Node) -> dict:
    """What the convolution must know of the addition."""
    if conv.op == "Conv":
        return {"activation": node.attrs["activation"]}
    names = ("a", "b") if node.inputs[0] == conv.outputs[0] else ("b", "a")
    own, other = ((node.attrs[f"{name}_scale"], node.attrs[f"{name}_zero_point"]) for name in names)
    result = (node.attrs["y_scale"], node.attrs["y_zero_point"], node.attrs["lo"], node.attrs["hi"])
    return {"add": (own[0], *other, *result), "is_second_operand": names[0] == "b"}
