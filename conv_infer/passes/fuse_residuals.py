"""Lets a convolution add the tensor that would be added to its result, before its activation."""

from __future__ import annotations

from ..graph import INTERNAL, Graph, Node
from .planned import Editor


def fuse_residuals(graph: Graph) -> Graph:
    editor = Editor(graph)
    for node in graph.nodes:
        if node.op == "Binary" and node.domain == INTERNAL and node.attrs["kind"] == "add" and _fuse(editor, node):
            continue
        editor.append(node)
    return editor.finish()


def _fuse(editor: Editor, node: Node) -> bool:
    shape = editor.graph.shape(node.outputs[0])
    if any(editor.graph.shape(name) != shape for name in node.inputs):
        return False
    best: tuple[tuple[bool, int], Node, str] | None = None
    for name, other in (node.inputs, node.inputs[::-1]):
        conv = editor.producer(name, "Conv")
        if conv is None or conv.inputs[3] or conv.attrs["activation"] is not None:
            continue
        # of two candidates rather the one that is not depthwise, and that is executed later
        rank = (editor.graph.shape(conv.inputs[1])[-1] > 1, editor.positions[name])
        if best is None or rank > best[0]:
            best = (rank, conv, other)
    if best is None:
        return False
    (_, position), conv, residual = best
    fused = conv.replace(
        inputs=[*conv.inputs[:3], residual],
        outputs=node.outputs,
        attrs={**conv.attrs, "activation": node.attrs["activation"]},
    )
    if editor.positions.get(residual, -1) < position:
        editor.replace(conv, fused)
    else:
        editor.drop(conv)
        editor.append(fused)
    return True
