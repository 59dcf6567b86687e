"""In which order dense convolutions should write their channels, so that what is selected later lies together.

A dense convolution may write its channels in any order at no cost. Where later nodes select some of the channels (the
halves of ShuffleNet v2's units), channels that go the same way should be neighbours: the selections are then copies of
long runs. Seen from a tensor, two channels go the same way if every selection that they meet, up to the next dense
convolution, takes both or neither.
"""

from __future__ import annotations

import numpy as np

from ..graph import INTERNAL, Graph, Node

# Operators whose channels are those of their first input, in whatever order
_ALIKE = frozenset(
    ("Activation", "Affine", "MaxPool", "AveragePool", "Resize", "Cast", "QAveragePool", "QLookup", "Quantize")
)
_CONVOLUTIONS = ("Conv", "QConv")

Ranks = np.ndarray  # one number per channel, equal where channels go the same way; the nearest selection weighs most


def channel_orders(graph: Graph) -> dict[str, np.ndarray]:
    """For the outputs of dense convolutions whose order should change: which channel to write at each place."""
    if not any(_selects(graph, node) for node in graph.nodes):
        return {}
    ranks: dict[str, Ranks] = {}
    orders: dict[str, np.ndarray] = {}
    fixed = set(graph.outputs)  # tensors with a reader that minds the order of the channels
    for node in reversed(graph.nodes):
        output = node.outputs[0]
        below = ranks.get(output)
        hands_on = _hands_on(graph, node)
        if _absorbs(graph, node):
            _through_selection(graph, node, below, ranks)
        elif not hands_on or output in fixed:
            fixed.update(node.inputs)
        if below is None or output in fixed:
            continue
        if hands_on:
            start = 0
            for name in node.inputs if node.op == "Concat" else node.inputs[:1]:
                width = graph.shape(name)[-1]
                _combine(ranks, name, below[start : start + width])
                start += width
        elif _is_dense(node):
            order = np.argsort(below, kind="stable")
            if (np.diff(order) != 1).any():
                orders[output] = order
    return orders


def _hands_on(graph: Graph, node: Node) -> bool:
    """Whether a node does the same to every channel, and may find them in any order."""
    if node.domain != INTERNAL:
        return False
    if node.op == "Concat":
        return node.attrs["axis"] == len(graph.shape(node.outputs[0])) - 1
    if node.op == "Quantize" and node.attrs["axis"] is not None:
        return False
    return node.op in _ALIKE or _is_depthwise(graph, node)


def _is_dense(node: Node) -> bool:
    return node.op in _CONVOLUTIONS and node.domain == INTERNAL and node.attrs["groups"] == 1 and not node.inputs[3]


def _absorbs(graph: Graph, node: Node) -> bool:
    """Whether a node takes its input's channels from any order at no cost."""
    if node.domain != INTERNAL:
        return False
    if node.op in ("ChannelGather", "Slice"):
        return _channels(graph, node) is not None
    if node.op not in _CONVOLUTIONS or node.attrs.get("input_layout", "NHWC") != "NHWC":
        return False
    return not _is_depthwise(graph, node)


def _channels(graph: Graph, node: Node) -> np.ndarray | None:
    """The channels that a node takes of its input; None where it does more than take channels."""
    if node.op == "ChannelGather":
        return node.attrs["channels"]
    before, after = graph.shape(node.inputs[0]), graph.shape(node.outputs[0])
    if before[:-1] != after[:-1] or any(step != 1 for step in node.attrs["steps"][:-1]):
        return None
    return node.attrs["starts"][-1] + node.attrs["steps"][-1] * np.arange(after[-1])


def _selects(graph: Graph, node: Node) -> bool:
    """Whether a node takes some of the channels, not in one run."""
    if node.domain != INTERNAL or node.op not in ("ChannelGather", "Slice"):
        return False
    channels = _channels(graph, node)
    return (
        channels is not None
        and channels.size < graph.shape(node.inputs[0])[-1]
        and bool((np.diff(channels) != 1).any())
    )


def _through_selection(graph: Graph, node: Node, below: Ranks | None, ranks: dict[str, Ranks]) -> None:
    """What a selection tells of its input's channels; a convolution tells nothing."""
    if node.op in _CONVOLUTIONS:
        return
    channels = _channels(graph, node)
    width = graph.shape(node.inputs[0])[-1]
    if channels.size == width and below is None:
        return
    above = np.zeros(width, np.int64)
    above[channels] = 1 if below is None else below + 1
    _combine(ranks, node.inputs[0], above)


def _combine(ranks: dict[str, Ranks], name: str, more: Ranks) -> None:
    """Channels go the same way where all readers agree that they do."""
    known = ranks.get(name)
    if known is not None:
        more = known * (int(more.max()) + 1) + more
    ranks[name] = np.unique(more, return_inverse=True)[1]


def _is_depthwise(graph: Graph, node: Node) -> bool:
    if node.op not in _CONVOLUTIONS:
        return False
    outputs, _, _, depth = graph.shape(node.inputs[1])
    return depth == 1 and node.attrs["groups"] == outputs
