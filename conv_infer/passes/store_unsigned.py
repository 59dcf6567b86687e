"""Stores int8 tensors as unsigned bytes, x + 128, so that signed and unsigned networks run the same kernels.

Zero points, bounds and tables move with the levels; nothing else changes. Graph inputs and outputs, constants and what
nodes beyond the planned operators read or write stay int8: a QLookup stands between. Where an operator computes with
the levels themselves in floating point, its attribute `origins` says how far each of them is from what is stored (128
or 0), so that it rounds as it would have.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..graph import INTERNAL, Graph, Node, TensorType
from .quantised.levels import INT8, UINT8, every_level

OFFSET = 128
# Operators that move or compare levels, without looking at them
_ALIKE = frozenset(("ChannelGather", "Concat", "Expand", "MaxPool", "Reshape", "Resize", "Slice", "Tile", "Transpose"))


def store_unsigned(graph: Graph) -> Graph:
    if not any(tensor_type.dtype == INT8 for tensor_type in graph.types.values()):
        return graph
    return _Walk(graph).run()


class _Walk:
    def __init__(self, graph: Graph):
        self.source = graph
        self.graph = graph.with_nodes([])
        self.nodes = self.graph.nodes
        self.stored: dict[str, str] = {}  # int8 tensors, and their unsigned forms
        self.plain = {*graph.inputs, *graph.constants}  # int8 tensors that exist as such
        self.wanted = set(graph.outputs)  # and those that must

    def run(self) -> Graph:
        changes = [_CHANGES.get(node.op) if node.domain == INTERNAL else None for node in self.source.nodes]
        for node, change in zip(self.source.nodes, changes, strict=True):
            if change is None:
                self.wanted.update(node.inputs)
        for node, change in zip(self.source.nodes, changes, strict=True):
            if change is not None and any(self.is_signed(name) for name in (*node.inputs, *node.outputs) if name):
                self.convert(node, change)
                continue
            if change is None:
                for name in node.inputs:
                    self.as_signed(name)
                self.plain.update(node.outputs)
            self.nodes.append(node)
        for name in self.source.outputs:
            self.as_signed(name)
        return self.graph

    def is_signed(self, name: str) -> bool:
        return self.source.types[name].dtype == INT8

    def convert(self, node: Node, change: Callable[[_Walk, Node], dict]) -> None:
        attrs = change(self, node)
        inputs = list(node.inputs)
        for index, name in enumerate(inputs):
            if name and self.is_signed(name) and not (node.op == "QConv" and index == 1):
                inputs[index] = self.as_unsigned(name)
        output = node.outputs[0]
        if self.is_signed(output):
            output = self.add(output)
        self.nodes.append(node.replace(inputs=inputs, outputs=[output], attrs=attrs))

    def add(self, name: str) -> str:
        """Declares the unsigned form of a tensor."""
        if name in self.wanted:
            stored = self.graph.add_tensor(f"{name}:unsigned", UINT8, self.source.shape(name))
        else:
            stored = name
            self.graph.types[name] = TensorType(UINT8, self.source.types[name].shape)
        self.stored[name] = stored
        return stored

    def as_unsigned(self, name: str) -> str:
        stored = self.stored.get(name)
        if stored is not None:
            return stored
        array = self.source.constants.get(name)
        if array is not None:
            stored = self.graph.add_constant(f"{name}:unsigned", _flipped(array))
        else:
            stored = self.graph.add_tensor(f"{name}:unsigned", UINT8, self.source.shape(name))
            table = _flipped(every_level(INT8))
            self.nodes.append(Node("QLookup", [name], [stored], {"table": table}, name=name, domain=INTERNAL))
        self.stored[name] = stored
        return stored

    def as_signed(self, name: str) -> None:
        """Makes sure that an int8 tensor exists as such."""
        stored = self.stored.get(name)
        if stored is None or name in self.plain:
            return
        self.plain.add(name)
        table = _flipped(every_level(UINT8))
        self.nodes.append(Node("QLookup", [stored], [name], {"table": table}, name=name, domain=INTERNAL))

    def offset(self, name: str) -> int:
        """What is added to the tensor's levels."""
        return OFFSET if self.is_signed(name) else 0


def _flipped(levels: np.ndarray) -> np.ndarray:
    """int8 as uint8 and the other way: the same order, 128 further."""
    return (levels.view(np.uint8) ^ OFFSET).view(INT8 if levels.dtype == UINT8 else UINT8)


def _moved(attrs: dict, names: tuple[str, ...], offset: int) -> dict:
    return {**attrs, **{name: attrs[name] + offset for name in names}}


def _same(walk: _Walk, node: Node) -> dict:
    return node.attrs


def _pad(walk: _Walk, node: Node) -> dict:
    return (
        _moved(node.attrs, ("value",), walk.offset(node.inputs[0])) if node.attrs["mode"] == "constant" else node.attrs
    )


def _conv(walk: _Walk, node: Node) -> dict:
    attrs = _moved(node.attrs, ("x_zero_point",), walk.offset(node.inputs[0]))
    if attrs["raw"]:
        return attrs
    offset = walk.offset(node.outputs[0])  # of the sum, too, where there is one
    attrs = _moved(attrs, ("y_zero_point", "lo", "hi"), offset)
    if attrs["add"] is not None:
        other = walk.offset(node.inputs[3])
        y_scale, other_scale, other_zero, sum_scale, sum_zero, low, high = attrs["add"]
        attrs["add"] = (
            *(y_scale, other_scale, other_zero + other),
            *(sum_scale, sum_zero + offset, low + offset, high + offset),
        )
        attrs["origins"] = (offset, other, offset)
    return attrs


def _quantize(walk: _Walk, node: Node) -> dict:
    return _moved(node.attrs, ("zero_point",), walk.offset(node.outputs[0]))


def _dequantize(walk: _Walk, node: Node) -> dict:
    return _moved(node.attrs, ("zero_point",), walk.offset(node.inputs[0]))


def _binary(walk: _Walk, node: Node) -> dict:
    offsets = [walk.offset(name) for name in (*node.inputs, node.outputs[0])]
    attrs = _moved(node.attrs, ("a_zero_point",), offsets[0])
    attrs = _moved(attrs, ("b_zero_point",), offsets[1])
    return {**_moved(attrs, ("y_zero_point", "lo", "hi"), offsets[2]), "origins": tuple(offsets)}


def _lookup(walk: _Walk, node: Node) -> dict:
    table = node.attrs["table"]
    if walk.is_signed(node.inputs[0]):
        table = np.roll(table, OFFSET)
    return {"table": _flipped(table) if walk.is_signed(node.outputs[0]) else table}


def _unary(walk: _Walk, node: Node) -> dict:
    offsets = walk.offset(node.inputs[0]), walk.offset(node.outputs[0])
    attrs = _moved(node.attrs, ("x_zero_point",), offsets[0])
    return {**_moved(attrs, ("y_zero_point",), offsets[1]), "origins": offsets}


_CHANGES: dict[str, Callable[[_Walk, Node], dict]] = {
    **dict.fromkeys(_ALIKE, _same),
    "Pad": _pad,
    "QConv": _conv,
    "Quantize": _quantize,
    "Dequantize": _dequantize,
    "QBinary": _binary,
    "QLookup": _lookup,
    **dict.fromkeys(("QMean", "QAveragePool", "QSoftmax"), _unary),
}
