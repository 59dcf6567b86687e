"""Repeats the channels of an image on levels that a depthwise convolution turns into several each.

The depthwise kernels on levels compute one channel from one, and repeating channels is only a copy. Where each becomes
many, groups of a matrix product waste less of their tiles than the copy costs.
"""

from __future__ import annotations

import numpy as np

from ..graph import INTERNAL, Graph, Node

MOST_REPEATED = 8  # of each channel, for the copy to pay


def repeat_channels(graph: Graph) -> Graph:
    result = graph.with_nodes([])
    made: dict[tuple[str, bytes], str] = {}
    for node in graph.nodes:
        if node.domain == INTERNAL and node.op == "QConv" and _multiplies(graph, node):
            node = _on_repeated(result, node, made)
        result.nodes.append(node)
    return result


def _multiplies(graph: Graph, node: Node) -> bool:
    outputs, _, _, depth = graph.shape(node.inputs[1])
    groups = node.attrs["groups"]
    return depth == 1 < groups < outputs <= MOST_REPEATED * groups and node.attrs.get("input_layout", "NHWC") == "NHWC"


def _on_repeated(graph: Graph, node: Node, made: dict[tuple[str, bytes], str]) -> Node:
    x, outputs, groups = node.inputs[0], graph.shape(node.inputs[1])[0], node.attrs["groups"]
    own = node.attrs.get("input_channels")
    channels = np.repeat(np.arange(groups) if own is None else own, outputs // groups).astype(np.int32)
    key = (x, channels.tobytes())
    if key not in made:
        shape = (*graph.shape(x)[:-1], outputs)
        made[key] = graph.add_tensor(f"{x}:repeated", graph.dtype(x), shape)
        attrs = {"channels": channels}
        graph.nodes.append(Node("ChannelGather", [x], [made[key]], attrs, name=node.name, domain=INTERNAL))
    attrs = {**node.attrs, "groups": outputs, "input_channels": None}
    return node.replace(inputs=[made[key], *node.inputs[1:]], attrs=attrs)
