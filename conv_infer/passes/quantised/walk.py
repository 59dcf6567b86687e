"""The walk of `fuse_quantised` over a graph, and what its handlers ask of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ...graph import INTERNAL, MICROSOFT, NOTE, ONNX, Graph, Node
from ...operators.checks import unsupported
from ...operators.quantisation import evaluate_dequantise
from ..planned import compose
from .levels import QUANTISED, Levels, Quantisation, Weights, every_level, table_of_clip
from .tables import activation

# Operators of one tensor that move its elements, whatever they are
MOVEMENTS = frozenset(
    (
        "DepthToSpace",
        "Dropout",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    )
)

# Operators that may as well follow a QuantizeLinear as precede it
_ROUNDING_LATER = MOVEMENTS | {"MaxPool"}

Handler = Callable[["Walk", Node], "str | None"]  # why the node cannot run on integers; None where it does


class Target:
    """What becomes of an operator's result: clamped to lo .. hi, then quantised; `output` is the clamped tensor."""

    __slots__ = ("bounds", "output", "quantisation")

    def __init__(self, output: str, quantisation: Quantisation, clamp: tuple[str, float, float] | None):
        self.output = output
        self.quantisation = quantisation
        low, high = (clamp[1], clamp[2]) if clamp else (-math.inf, math.inf)
        self.bounds = (
            quantisation.lowest if low == -math.inf else quantisation.level(low),
            quantisation.highest if high == math.inf else quantisation.level(high),
        )


class Walk:
    """One walk over a graph; each operator has a handler."""

    def __init__(self, graph: Graph, handlers: Mapping[str, Handler], integer_handlers: Mapping[str, Handler]):
        self.handlers = handlers  # of operators on float32 tensors
        self.integer_handlers = integer_handlers  # of operators on quantised tensors
        self.source = graph
        self.graph = graph.with_nodes([])
        self.nodes = self.graph.nodes
        self.constants = self.graph.constants
        self.readers = graph.consumers()
        self.values: dict[str, Levels | Weights] = {}
        self.origins: dict[str, Node] = {}  # the node that would compute a tensor of `values` in float32
        self.written: set[str] = set()  # tensors of `values` that are computed nevertheless
        self.renamed: dict[str, str] = {}  # quantised tensors, and the ones that hold the same levels
        self.settled: dict[str, str] = {}  # tensors of levels, and the float32 tensors that they stand for
        self.lookups: dict[str, tuple[str, np.ndarray]] = {}  # what a QLookup writes: its source and its table
        self.made: dict[tuple, str] = {}
        self.absorbed: set[str] = set()  # outputs of nodes that other nodes have taken over

    def run(self) -> Graph:
        for node in self.source.nodes:
            if node.outputs[0] not in self.absorbed:
                self.visit(node)
        for name in dict.fromkeys(self.source.outputs):
            if name in self.values:
                self.compute(name, "")
            elif name in self.renamed:
                self.nodes.append(Node("Identity", [self.renamed[name]], [name], name=name, version=13))
        return self.graph

    def visit(self, node: Node) -> None:
        if any(name in self.renamed for name in node.inputs):
            node = node.replace(inputs=[self.renamed.get(name, name) for name in node.inputs])
        table = {}
        if node.op in self.integer_handlers and node.domain in (ONNX, MICROSOFT):
            table = self.integer_handlers
        elif not any(name in self.values for name in node.inputs):
            self.append(node)
            return
        elif node.domain in (ONNX, INTERNAL):
            table = self.handlers
        handler = table.get(node.op)
        if handler is None:
            reason = "there is no integer form of it"
        elif not self.is_static(node):
            reason = "a size depends on data"
        else:
            reason = handler(self, node)
        if reason is not None:
            self.keep(node, reason)

    def keep(self, node: Node, reason: str) -> None:
        """Leaves a node as the graph has it, on float32 inputs; raises where nothing can run it so."""
        if node.domain == MICROSOFT and node.op in self.integer_handlers:
            raise unsupported(node, f"{reason}: so it has no native form, and onnx.reference does not know it")
        for name in node.inputs:
            self.compute(name, f"{node.op} '{node.label}' runs in float32: {reason}")
        if node.op in ("QuantizeLinear", "DequantizeLinear"):
            # it means the same since version 10, but onnx.reference knows it from version 19 on only
            node = node.replace(version=max(node.version, 19))
        if node.op in self.integer_handlers:
            node = node.replace(attrs={**node.attrs, NOTE: reason})
        self.append(node)

    def is_static(self, node: Node) -> bool:
        """Whether all sizes are known, and none of them is 0 but of constants."""
        names = [name for name in (*node.inputs, *node.outputs) if name and name not in self.constants]
        return all(self.graph.types[name].is_static and 0 not in self.shape(name) for name in names)

    # Tensors

    def shape(self, name: str) -> tuple[int, ...]:
        return self.graph.types[name].shape  # type: ignore[return-value]

    def dtype(self, name: str) -> np.dtype:
        return self.graph.types[name].dtype

    def append(self, node: Node) -> None:
        self.nodes.append(node)

    def emit(self, node: Node, op: str, inputs: list[str], output: str, attrs: dict) -> None:
        """Appends a planned operator, still in the layout of the ONNX graph."""
        self.append(Node(op, inputs, [output], attrs, name=node.name, domain=INTERNAL, version=node.version))

    def tensor(self, base: str, dtype: np.dtype, shape: tuple[int, ...] | None = None) -> str:
        """A new tensor of levels for the float32 tensor `base`."""
        return self.graph.add_tensor(f"{base}:levels", dtype, self.shape(base) if shape is None else shape)

    def pure(self, name: str) -> tuple[str, Quantisation] | None:
        """The quantised tensor and its quantisation, where `name` is just that, dequantised."""
        value = self.values.get(name)
        if isinstance(value, Levels) and value.quantisation is not None:
            return value.source, value.quantisation
        return None

    def compute(self, name: str, note: str) -> None:
        """Makes sure that a float32 tensor is computed: dequantised, or by the nodes that the graph has for it."""
        value = self.values.get(name)
        if value is None or name in self.written:
            return
        self.written.add(name)
        if isinstance(value, Weights):
            self.constants[name] = value.reals()
        elif value.quantisation is not None:
            quantisation = value.quantisation
            attrs = {"scale": quantisation.scale, "zero_point": quantisation.zero_point, "axis": None, "note": note}
            self.append(Node("Dequantize", [value.source], [name], attrs, name=name, domain=INTERNAL))
        else:
            origin = self.origins[name]
            self.written.update(origin.outputs)
            for other in origin.inputs:
                self.compute(other, note)
            self.append(origin)

    def define(self, node: Node, output: str, value: Levels) -> None:
        """Remembers an output of the node as levels."""
        self.values[output] = value
        self.origins[output] = node

    # Parameters

    def parameters(self, scale: str, zero_point: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Constant scales (float32) and zero points (int64; 0 where left out) as vectors; None if they are computed."""
        scales = self.constants.get(scale)
        zeros = self.constants.get(zero_point) if zero_point else np.zeros(1, np.int64)
        if scales is None or zeros is None or scales.dtype != np.float32:
            return None
        return scales.reshape(-1), zeros.reshape(-1).astype(np.int64)

    def quantisation(self, scale: str, zero_point: str, dtype: np.dtype) -> Quantisation | None:
        """One scale and one zero point, both constant, of an 8-bit type; else None."""
        found = self.parameters(scale, zero_point)
        if found is None or found[0].size != 1 or found[1].size != 1 or dtype not in QUANTISED:
            return None
        return Quantisation(found[0][0], found[1][0], dtype)

    def quantisation_by(self, node: Node) -> Quantisation | None:
        """What a QuantizeLinear quantises to; None for one per channel, of other types, with computed parameters."""
        if node.op != "QuantizeLinear" or node.attrs.get("block_size"):
            return None
        zero_point = node.inputs[2] if len(node.inputs) > 2 else ""
        return self.quantisation(node.inputs[1], zero_point, self.dtype(node.outputs[0]))

    def target(self, name: str) -> Target | None:
        """Where the only use of a float32 tensor is to be clamped (or not), moved (or not) and quantised: to what."""
        clamp = None
        output = name
        moving = False
        while True:
            reader = self._only_reader(name)
            if reader is None:
                return None
            quantisation = self.quantisation_by(reader)
            if quantisation is not None:
                return Target(output, quantisation, clamp)
            if reader.inputs[0] != name or len(reader.outputs) != 1:
                return None
            name = reader.outputs[0]
            found = activation(self.graph, reader)
            if found is not None and found[0] == "clamp" and not moving:
                clamp = compose(clamp, found)
                output = name
            elif reader.domain == ONNX and reader.op in _ROUNDING_LATER and self.is_static(reader):
                moving = True
            else:
                return None

    def _only_reader(self, name: str) -> Node | None:
        """The node that reads a tensor, if it is one, or several QuantizeLinear that do the same."""
        if name in self.source.outputs:
            return None
        readers = self.readers.get(name, [])
        if not readers:
            return None
        first = readers[0]
        if len(readers) > 1:
            wanted = self.quantisation_by(first)
            if wanted is None or any(self.quantisation_by(reader) != wanted for reader in readers[1:]):
                return None
        return first

    def settle(self, node: Node, target: Target) -> str:
        """The tensor that an integer operator writes for a node and the clamps behind it, which it takes over."""
        levels = self.tensor(target.output, target.quantisation.dtype)
        name = node.outputs[0]
        while name != target.output:
            name = self.readers[name][0].outputs[0]
            self.absorbed.add(name)
        self.values[target.output] = Levels(levels, target.quantisation)
        self.settled[levels] = target.output
        return levels

    # Lookups

    def root(self, source: str) -> tuple[str, np.ndarray]:
        """The quantised tensor that `source` is a function of, and the table of that function."""
        found = self.lookups.get(source)
        return found if found is not None else (source, every_level(self.dtype(source)))

    def look_up(self, node: Node, source: str, table: np.ndarray, output: str) -> None:
        """Makes `output` the table's entries for the levels of `source`."""
        source, first = self.root(source)
        table = table[first.view(np.uint8)]
        dtype = self.dtype(source)
        key = ("QLookup", source, table.dtype, table.tobytes())
        if table.dtype == dtype and (table == every_level(dtype)).all():
            self._rename(output, source)
        elif key in self.made:
            self._rename(output, self.made[key])
        else:
            self.made[key] = output
            self.emit(node, "QLookup", [source], output, {"table": table})
            if table_of_clip(table, dtype) is None:  # a clamp may become part of what makes `source`
                self.lookups[output] = (source, table)

    def _rename(self, output: str, same: str) -> None:
        """Says that another tensor holds the levels of `output`, which is not written then."""
        self.renamed[output] = same
        if output in self.settled:
            name = self.settled[output]
            self.values[name] = Levels(same, self.values[name].quantisation)

    # QuantizeLinear and DequantizeLinear themselves

    def quantise(self, node: Node) -> str | None:
        x, output = node.inputs[0], node.outputs[0]
        quantisation = self.quantisation_by(node)
        value = self.values.get(x)
        if quantisation is not None and isinstance(value, Levels):
            if value.quantisation == quantisation:
                self.renamed[output] = value.source
            else:
                self.look_up(node, value.source, quantisation.levels(value.reals), output)
            return None
        self.compute(x, f"QuantizeLinear '{node.label}' quantises it again, by parameters that no table can hold")
        found = self._any_quantisation(node, output)
        if found is None or self.dtype(x) != np.float32:
            return self._what_is_missing(node, output, x)
        scale, zero_point, axis = found
        key = ("Quantize", x, scale.tobytes(), zero_point.tobytes(), axis, self.dtype(output))
        if key in self.made:
            self.renamed[output] = self.made[key]
            return None
        self.made[key] = output
        attrs = {"scale": _plain(scale, axis), "zero_point": _plain(zero_point.astype(np.int32), axis), "axis": axis}
        self.emit(node, "Quantize", [x], output, attrs)
        return None

    def dequantise(self, node: Node) -> str | None:
        x, output = node.inputs[0], node.outputs[0]
        found = self._any_quantisation(node, x)
        if found is None and all(name in self.constants for name in node.inputs if name):
            arrays = [self.constants[name] if name else None for name in node.inputs]
            self.constants[output] = evaluate_dequantise(node, arrays)[0]
            return None
        if found is None or self.dtype(output) != np.float32:
            return self._what_is_missing(node, x, output)
        scale, zero_point, axis = found
        if x in self.constants:
            self.values[output] = Weights(self.constants[x], scale, zero_point, axis)
        elif axis is None and self.dtype(x) in QUANTISED:
            self.values[output] = Levels(x, Quantisation(scale[0], zero_point[0], self.dtype(x)))
        else:
            attrs = {"scale": _plain(scale, axis), "zero_point": _plain(zero_point.astype(np.int32), axis)}
            note = "" if axis is None else f"DequantizeLinear '{node.label}' has a scale per channel"
            self.emit(node, "Dequantize", [x], output, {**attrs, "axis": axis, "note": note})
        return None

    def _what_is_missing(self, node: Node, levels: str, reals: str) -> str:
        """Why a QuantizeLinear or DequantizeLinear has no integer form."""
        if node.attrs.get("block_size"):
            return "its scales belong to blocks of elements"
        if any(name not in self.constants for name in node.inputs[1:] if name):
            return "its parameters are computed"
        return f"{self.dtype(levels)} of {self.dtype(reals)} has no integer form"

    def _any_quantisation(self, node: Node, levels: str) -> tuple[np.ndarray, np.ndarray, int | None] | None:
        """Scales, zero points and axis (None: one for all) of a QuantizeLinear or DequantizeLinear."""
        found = self.parameters(node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else "")
        dtype = self.dtype(levels)
        if found is None or node.attrs.get("block_size"):
            return None
        if dtype not in (*QUANTISED, np.int32) and (levels not in self.constants or dtype.kind not in "iu"):
            return None
        scale, zero_point = found
        if scale.size == zero_point.size == 1:
            return scale, zero_point, None
        axis = node.attrs.get("axis", 1)
        axis += len(self.shape(levels)) if axis < 0 else 0
        size = self.shape(levels)[axis]
        return np.broadcast_to(scale, (size,)), np.broadcast_to(zero_point, (size,)), axis


def _plain(values: np.ndarray, axis: int | None):
    """One value as a scalar, several as their vector."""
    if axis is not None:
        return np.ascontiguousarray(values)
    return values[0] if values.dtype == np.float32 else int(values[0])
