"""Makes channel shuffles and channel splits cost nothing where a neighbour can absorb them.

One walk forward. A ChannelGather, or a Slice of channels, is not carried out: its result is remembered as a *view*,
a physical tensor and the channels of it that the result consists of. Operators that treat channels alike (pools,
activations, depthwise convolutions with reordered weights, ...) run on the physical tensor and hand the view on. Dense
and grouped convolutions absorb it into the order of their weights' input channels, and read some channels of a wider
tensor through `input_channels`. Everybody else gets the channels put in order by a ChannelGather.

Of a view that leaves channels out, those wanted are first selected in ascending order (runs of channels, cheap to
copy); only their permutation is handed on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..graph import INTERNAL, Graph, Node
from .channel_order import channel_orders

Channels = np.ndarray  # int64 [C]: where in the physical tensor each channel lies


def absorb_gathers(graph: Graph) -> Graph:
    if not any(node.op in ("ChannelGather", "Slice") and node.domain == INTERNAL for node in graph.nodes):
        return graph
    return _Walk(graph).run()


def _inverse(permutation: Channels) -> Channels:
    result = np.empty_like(permutation)
    result[permutation] = np.arange(permutation.size)
    return result


def _is_run(channels: Channels) -> bool:
    """Whether they are consecutive and ascending."""
    return channels[-1] - channels[0] == channels.size - 1 and bool((np.diff(channels) == 1).all())


class _Walk:
    def __init__(self, graph: Graph):
        self.source = graph
        self.graph = graph.with_nodes([])
        self.nodes = self.graph.nodes
        self.uses = graph.use_counts()
        self.views: dict[str, tuple[str, Channels]] = {}
        self.ordered: dict[str, str] = {}  # views that have been carried out
        self.selections: dict[tuple[str, bytes], str] = {}
        self.positions: dict[str, int] = {}  # which of the new nodes writes a tensor
        self.orders = channel_orders(graph)

    def run(self) -> Graph:
        for node in self.source.nodes:
            handler = _HANDLERS.get(node.op) if node.domain == INTERNAL else None
            if node.op in ("ChannelGather", "Slice") and handler is not None:
                handler(self, node)
            elif not any(name in self.views for name in node.inputs):
                self.append_reordered(node)
            elif handler is None or not handler(self, node):
                self.append(node.replace(inputs=[name and self.in_order(name) for name in node.inputs]))
        for name in self.source.outputs:
            self.in_order(name)
        return self.graph

    # Views

    def append(self, node: Node) -> None:
        for output in node.outputs:
            self.positions[output] = len(self.nodes)
        self.nodes.append(node)

    def append_reordered(self, node: Node) -> None:
        """Appends the node; a dense convolution writes its channels in the order that suits what follows."""
        order = self.orders.get(node.outputs[0])
        if order is None:
            self.append(node)
            return
        node = self.with_outputs(node, order)
        self.emit(node, list(node.inputs), _inverse(order))

    def width(self, name: str) -> int:
        return self.graph.types[name].shape[-1]  # type: ignore[index,return-value]

    def channels_of(self, name: str) -> tuple[str, Channels]:
        """The view; of a tensor that is none, itself."""
        view = self.views.get(name)
        return view if view is not None else (name, np.arange(self.width(name)))

    def in_order(self, name: str) -> str:
        """The tensor itself, carried out if it is a view so far."""
        if name not in self.views or name in self.ordered:
            return name
        physical, channels = self.views[name]
        self.take(physical, channels, name)
        self.ordered[name] = name
        return name

    def take(self, physical: str, channels: Channels, output: str) -> None:
        """Appends the copy of some channels, in the order given."""
        rank = len(self.graph.shape(physical))
        step = int(channels[1] - channels[0]) if channels.size > 1 else 1
        if channels.size == self.width(physical) and _is_run(channels):
            self.append(Node("Reshape", [physical], [output], name=output, domain=INTERNAL))
        elif (np.diff(channels) == step).all():
            attrs = {"starts": (0,) * (rank - 1) + (int(channels[0]),), "steps": (1,) * (rank - 1) + (step,)}
            self.append(Node("Slice", [physical], [output], attrs, name=output, domain=INTERNAL))
        else:
            attrs = {"channels": channels.astype(np.int32)}
            self.append(Node("ChannelGather", [physical], [output], attrs, name=output, domain=INTERNAL))

    def settle(self, name: str) -> tuple[str, Channels | None]:
        """A physical tensor of just the view's channels, and where in it each lies (None: in order)."""
        view = self.views.get(name)
        if view is None:
            return name, None
        if name in self.ordered:
            return name, None
        physical, channels = view
        width = self.width(physical)
        if channels.size == width:
            return physical, None if _is_run(channels) else channels
        ascending = np.sort(channels)
        physical = self.select(physical, ascending)
        order = np.searchsorted(ascending, channels)
        return physical, None if _is_run(order) else order

    def select(self, physical: str, ascending: Channels) -> str:
        """The channels given, in ascending order; each selection is made once."""
        if ascending.size == self.width(physical):
            return physical
        key = (physical, ascending.tobytes())
        found = self.selections.get(key)
        if found is None:
            shape = self.graph.shape(physical)
            found = self.graph.add_tensor(
                f"{physical}:selected", self.graph.dtype(physical), (*shape[:-1], ascending.size)
            )
            self.take(physical, ascending, found)
            self.selections[key] = found
        return found

    def emit(self, node: Node, inputs: list[str], order: Channels | None, **attrs) -> None:
        """Appends the node on physical inputs; its output is a view with the given order."""
        output = node.outputs[0]
        if attrs:
            node = node.replace(attrs={**node.attrs, **attrs})
        if order is None:
            self.append(node.replace(inputs=inputs))
            return
        physical = self.graph.add_tensor(f"{output}:permuted", self.graph.dtype(output), self.graph.shape(output))
        self.views[output] = (physical, order)
        self.append(node.replace(inputs=inputs, outputs=[physical]))

    def reordered(self, name: str, order: Channels, axis: int = -1) -> str:
        """A constant with its elements along one axis picked in the order given."""
        return self.graph.add_constant(name, np.take(self.graph.constants[name], order, axis))

    def with_outputs(self, node: Node, order: Channels) -> Node:
        """A convolution or Affine that writes its channels in another order: all it has per channel is reordered."""
        inputs = list(node.inputs)
        for index in (1, 2):
            if index < len(inputs) and inputs[index]:
                inputs[index] = self.reordered(inputs[index], order, 0)
        if node.op != "QConv":
            return node.replace(inputs=inputs)
        attrs = dict(node.attrs)
        for name in ("scale", "w_zero_point"):
            if isinstance(attrs[name], np.ndarray):
                attrs[name] = attrs[name][order]
        return node.replace(inputs=inputs, attrs=attrs)

    # Operators that make views

    def gather(self, node: Node) -> None:
        physical, channels = self.channels_of(node.inputs[0])
        picked = channels[node.attrs["channels"]]
        whole = picked.size == self.width(physical)
        if len(set(picked.tolist())) != picked.size:
            self.append(node.replace(inputs=[physical], attrs={"channels": picked.astype(np.int32)}))
        elif not (whole and node.inputs[0] == physical and self._permute_producer(physical, picked, node.outputs[0])):
            self.views[node.outputs[0]] = (physical, picked)

    def slice(self, node: Node) -> None:
        starts, steps = node.attrs["starts"], node.attrs["steps"]
        x, output = node.inputs[0], node.outputs[0]
        before, after = self.graph.shape(x), self.graph.shape(output)
        last = steps[-1] == 1 and after[-1] == before[-1]
        if not last and all(step == 1 for step in steps[:-1]) and before[:-1] == after[:-1]:
            physical, channels = self.channels_of(x)
            self.views[output] = (physical, channels[starts[-1] + steps[-1] * np.arange(after[-1])])
        elif last and x in self.views:
            self.unary(node)
        else:
            self.append(node.replace(inputs=[self.in_order(x)]))

    def _permute_producer(self, name: str, channels: Channels, output: str) -> bool:
        """Lets the dense convolution that makes a tensor write its channels in another order."""
        chain = []
        current = name
        while True:
            position = self.positions.get(current)
            if position is None or self.uses.get(current) != 1:
                return False
            node = self.nodes[position]
            chain.append(position)
            if node.domain != INTERNAL or node.op not in ("Conv", "QConv", "Affine", "Activation", "QLookup"):
                return False
            if node.op in ("Conv", "QConv"):
                if node.attrs["groups"] != 1 or node.inputs[3]:
                    return False
                break
            current = node.inputs[0]
        for position in chain:
            self.nodes[position] = self.with_outputs(self.nodes[position], channels)
        last = self.nodes[chain[0]]
        self.nodes[chain[0]] = last.replace(outputs=[output])
        self.positions[output] = chain[0]
        return True

    # Operators that hand views on

    def unary(self, node: Node) -> bool:
        physical, order = self.settle(node.inputs[0])
        self.emit(node, [physical], order)
        return True

    def quantise(self, node: Node) -> bool:
        return node.attrs["axis"] is None and self.unary(node)

    def reduce(self, node: Node) -> bool:
        return len(self.graph.shape(node.inputs[0])) - 1 not in node.attrs["axes"] and self.unary(node)

    def softmax(self, node: Node) -> bool:
        return len(self.graph.shape(node.inputs[0])) - 1 != node.attrs["axis"] and self.unary(node)

    def pad(self, node: Node) -> bool:
        pads = node.attrs["pads"]
        return pads[len(pads) // 2 - 1] == pads[-1] == 0 and self.unary(node)

    def same_width(self, node: Node) -> bool:
        """Reshape, Expand: channels stay channels where the last axis keeps its size."""
        before, after = self.graph.shape(node.inputs[0]), self.graph.shape(node.outputs[0])
        return bool(before and after) and before[-1] == after[-1] and self.unary(node)

    def per_channel(self, node: Node) -> bool:
        """Affine, InstanceNorm (of single channels or all): constants with one number per channel."""
        if any(name not in self.graph.constants for name in node.inputs[1:]):
            return False
        if node.attrs.get("groups", 1) not in (1, self.width(node.inputs[0])):
            return False
        physical, order = self.settle(node.inputs[0])
        others = list(node.inputs[1:])
        if order is not None:
            others = [self.reordered(name, _inverse(order)) for name in others]
        self.emit(node, [physical, *others], order)
        return True

    def binary(self, node: Node) -> bool:
        width = self.width(node.outputs[0])
        wide = [name for name in node.inputs if self._has_width(name, width)]
        computed = [name for name in wide if name not in self.graph.constants]
        if not computed or any(name in self.views and name not in wide for name in node.inputs):
            return False
        settled = {name: self.settle(name) for name in computed}
        orders = [order for _, order in settled.values()]
        if any(order is None for order in orders):
            return False
        order = orders[0]
        for name, (physical, other) in settled.items():
            if not np.array_equal(other, order):
                shape = self.graph.shape(physical)
                moved = self.graph.add_tensor(f"{name}:moved", self.graph.dtype(name), shape)
                self.take(physical, other[_inverse(order)], moved)  # type: ignore[index,arg-type]
                settled[name] = (moved, order)
        inputs = []
        for name in node.inputs:
            if name in settled:
                inputs.append(settled[name][0])
            elif name in wide:
                inputs.append(self.reordered(name, _inverse(order)))  # type: ignore[arg-type]
            else:
                inputs.append(name)
        self.emit(node, inputs, order)
        return True

    def _has_width(self, name: str, width: int) -> bool:
        shape = self.graph.shape(name)
        return bool(shape) and shape[-1] == width and width != 1

    def concat(self, node: Node) -> bool:
        if node.attrs["axis"] != len(self.graph.shape(node.outputs[0])) - 1:
            return False
        inputs, orders, start = [], [], 0
        permuted = False
        for name in node.inputs:
            physical, order = self.settle(name)
            width = self.width(name)
            inputs.append(physical)
            orders.append((np.arange(width) if order is None else order) + start)
            permuted = permuted or order is not None
            start += width
        self.emit(node, inputs, np.concatenate(orders) if permuted else None)
        return True

    # Convolutions

    def conv(self, node: Node) -> bool:
        x, w, bias, residual = node.inputs
        if residual or x not in self.views or x in self.ordered or node.attrs.get("input_layout", "NHWC") != "NHWC":
            return False
        outputs, _, _, depth = self.graph.shape(w)
        groups = node.attrs["groups"]
        if depth == 1 and groups > 1 and node.attrs["input_channels"] is None:
            return self._depthwise(node, outputs // groups)
        physical, channels = self.views[x]
        if node.attrs["input_channels"] is not None:
            channels = channels[node.attrs["input_channels"]]
        read = channels.reshape(groups, depth)
        order = np.argsort(read, axis=1)
        if not (order == np.arange(depth)).all():
            w = self._weights_in_order(w, groups, order)
        read = np.take_along_axis(read, order, axis=1).reshape(-1)
        if _is_run(read):
            physical, read = self.select(physical, read), None
        selected = None if read is None else read.astype(np.int32)
        attrs = {**node.attrs, "input_channels": selected}
        self.append_reordered(node.replace(inputs=[physical, w, bias, residual], attrs=attrs))
        return True

    def _weights_in_order(self, name: str, groups: int, order: Channels) -> str:
        """Weights [O, kh, kw, C/g] with each group's input channels in another order."""
        array = self.graph.constants[name]
        if groups == 1 or (order == order[0]).all():
            return self.graph.add_constant(name, np.take(array, order[0], 3))
        taken = np.empty(array.shape, array.dtype)
        parts = zip(np.split(array, groups), np.split(taken, groups), order, strict=True)
        for source, target, columns in parts:
            np.take(source, columns, 3, out=target, mode="clip")  # "raise" would buffer the output
        return self.graph.add_constant(name, taken)

    def _depthwise(self, node: Node, multiplier: int) -> bool:
        physical, order = self.settle(node.inputs[0])
        if order is None:
            self.append(node.replace(inputs=[physical, *node.inputs[1:]]))
            return True
        logical = _inverse(order)  # which channel each physical one is
        if multiplier > 1:
            logical = (logical[:, None] * multiplier + np.arange(multiplier)).reshape(-1)
        node = self.with_outputs(node, logical)
        self.emit(node, [physical, *node.inputs[1:]], _inverse(logical))
        return True

    def conv_transpose(self, node: Node) -> bool:
        if node.attrs["groups"] != 1:
            return False
        x, w, bias = node.inputs
        physical, order = self.settle(x)
        if order is not None:
            w = self.reordered(w, _inverse(order), 0)
        self.append(node.replace(inputs=[physical, w, bias]))
        return True


_HANDLERS: dict[str, Callable[[_Walk, Node], bool | None]] = {
    "ChannelGather": _Walk.gather,
    "Slice": _Walk.slice,
    "Conv": _Walk.conv,
    "QConv": _Walk.conv,
    "ConvTranspose": _Walk.conv_transpose,
    "Affine": _Walk.per_channel,
    "InstanceNorm": _Walk.per_channel,
    "Binary": _Walk.binary,
    "QBinary": _Walk.binary,
    "Concat": _Walk.concat,
    "Reduce": _Walk.reduce,
    "QMean": _Walk.reduce,
    "Softmax": _Walk.softmax,
    "QSoftmax": _Walk.softmax,
    "Pad": _Walk.pad,
    "Reshape": _Walk.same_width,
    "Expand": _Walk.same_width,
    **dict.fromkeys(("Quantize", "Dequantize"), _Walk.quantise),
    **dict.fromkeys(("Activation", "Cast", "MaxPool", "AveragePool", "Resize"), _Walk.unary),
    **dict.fromkeys(("QLookup", "QAveragePool"), _Walk.unary),
}
