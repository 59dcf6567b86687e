"""Lets the operator that makes a tensor apply the activation that follows, through a Concat if need be."""

from __future__ import annotations

from ..graph import INTERNAL, Graph, Node
from .planned import ACTIVATING, Editor, activation_attr, compose
from .quantised.levels import table_of_clip
from .ranges import Ranges


def fuse_activations(graph: Graph) -> Graph:
    editor = Editor(graph)
    ranges = Ranges(editor.graph)
    for node in graph.nodes:
        if node.op == "Activation" and node.domain == INTERNAL:
            if _changes_nothing(ranges, node):
                node = node.replace(op="Reshape", attrs={})
            elif _fuse(editor, node) or _push_through_concat(editor, ranges, node):
                ranges.note(editor.nodes[editor.positions[node.outputs[0]]])  # type: ignore[arg-type]
                continue
        elif node.op == "QLookup" and node.domain == INTERNAL and _fuse_clip(editor, node):
            continue
        editor.append(node)
        ranges.note(node)
    return editor.finish()


def _fuse(editor: Editor, node: Node) -> bool:
    before = editor.producer(node.inputs[0], *ACTIVATING, "Activation")
    if before is None:
        return False
    if before.op == "Activation":
        both = compose(activation_attr(before), activation_attr(node))
        if both is None:
            return False
        attrs = dict(zip(("kind", "alpha", "beta"), both, strict=True))
    else:
        both = compose(before.attrs["activation"], activation_attr(node))
        if both is None:
            return False
        attrs = {**before.attrs, "activation": both}
    editor.replace(before, before.replace(attrs=attrs, outputs=node.outputs))
    return True


def _fuse_clip(editor: Editor, node: Node) -> bool:
    """A table that only limits levels to a range is part of the integer operator before it."""
    before = editor.producer(node.inputs[0], "QConv", "QBinary")
    bounds = None if before is None else table_of_clip(node.attrs["table"], editor.graph.dtype(node.inputs[0]))
    if bounds is None or before.attrs.get("raw"):  # type: ignore[union-attr]
        return False
    low, high = (min(max(before.attrs[name], bounds[0]), bounds[1]) for name in ("lo", "hi"))  # type: ignore[union-attr]
    attrs = {**before.attrs, "lo": low, "hi": high}  # type: ignore[union-attr]
    editor.replace(before, before.replace(attrs=attrs, outputs=node.outputs))  # type: ignore[arg-type,union-attr]
    return True


def _changes_nothing(ranges: Ranges, node: Node) -> bool:
    """Whether all that it clamps lies between its bounds already."""
    if node.attrs["kind"] != "clamp":
        return False
    low, high = ranges.of(node.inputs[0])
    return low >= node.attrs["alpha"] and high <= node.attrs["beta"]


def _push_through_concat(editor: Editor, ranges: Ranges, node: Node) -> bool:
    """An activation of a Concat becomes one of each of its inputs, if some operator can take it over."""
    concat = editor.producer(node.inputs[0], "Concat")
    if concat is None:
        return False
    if not any(_takes(editor, name) for name in concat.inputs) or len(set(concat.inputs)) != len(concat.inputs):
        return False
    editor.drop(concat)
    inputs = []
    graph = editor.graph
    for name in concat.inputs:
        part = graph.add_tensor(f"{name}:activated", graph.dtype(name), graph.shape(name))
        editor.uses[part] = 1
        piece = Node("Activation", [name], [part], node.attrs, name=node.name, domain=INTERNAL)
        if _changes_nothing(ranges, piece):
            inputs.append(name)
            continue
        if not _fuse(editor, piece):
            editor.append(piece)
        ranges.note(editor.nodes[editor.positions[part]])  # type: ignore[arg-type]
        inputs.append(part)
    editor.append(concat.replace(inputs=inputs, outputs=node.outputs))
    return True


def _takes(editor: Editor, name: str) -> bool:
    producer = editor.producer(name, *ACTIVATING)
    return producer is not None and producer.attrs["activation"] is None
