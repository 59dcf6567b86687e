"""Moves Reshape behind elementwise operators, next to what they can be fused with; merges Reshapes that meet."""

from __future__ import annotations

from ..graph import INTERNAL, Graph, Node
from .fold_affine import read_affine
from .planned import Editor


def sink_reshapes(graph: Graph) -> Graph:
    if not any(node.op == "Reshape" and node.domain == INTERNAL for node in graph.nodes):
        return graph
    editor = Editor(graph)
    for node in graph.nodes:
        if node.domain == INTERNAL and not _sink(editor, node):
            if node.op == "Reshape":
                before = editor.producer(node.inputs[0], "Reshape")
                if before is not None:
                    editor.drop(before)
                    node = node.replace(inputs=before.inputs)
            editor.append(node)
        elif node.domain != INTERNAL:
            editor.append(node)
    return editor.finish()


def _sink(editor: Editor, node: Node) -> bool:
    """op(Reshape(x)) -> Reshape(op(x)) where that means the same."""
    graph = editor.graph
    if node.op not in ("Activation", "Affine", "Binary"):
        return False
    for index, name in enumerate(node.inputs):
        reshape = editor.producer(name, "Reshape")
        if reshape is None:
            continue
        x = reshape.inputs[0]
        before, after = graph.shape(x), graph.shape(name)
        inputs = list(node.inputs)
        inputs[index] = x
        if node.op != "Activation":
            affine = read_affine(graph, node)
            if affine is not None:
                if not before or (not affine.is_scalar and before[-1] != after[-1]):
                    continue
                if node.op == "Binary":
                    other = 1 - index
                    array = graph.constants[inputs[other]].reshape(-1)
                    inputs[other] = graph.add_constant(inputs[other], array)
            elif not _is_residual(editor, node, x):
                continue
            else:
                other = 1 - index
                moved = graph.add_tensor(f"{inputs[other]}:Reshape", graph.dtype(x), before)
                editor.append(Node("Reshape", [inputs[other]], [moved], name=node.name, domain=INTERNAL))
                editor.uses[moved] = 1
                inputs[other] = moved
        result = graph.add_tensor(f"{node.outputs[0]}:{node.op}", graph.dtype(node.outputs[0]), before)
        editor.uses[result] = 1
        editor.drop(reshape)
        editor.append(node.replace(inputs=inputs, outputs=[result]))
        editor.append(reshape.replace(inputs=[result], outputs=node.outputs))
        return True
    return False


def _is_residual(editor: Editor, node: Node, x: str) -> bool:
    """Whether the node adds a tensor of the same shape to what a convolution made."""
    graph = editor.graph
    if node.op != "Binary" or node.attrs["kind"] != "add" or editor.producer(x, "Conv", "Affine", "Binary") is None:
        return False
    shape = graph.shape(node.outputs[0])
    return all(name not in graph.constants and graph.shape(name) == shape for name in node.inputs)
