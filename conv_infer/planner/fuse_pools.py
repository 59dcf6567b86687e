"""Joins a network's first convolution and the max-pooling behind it where the image in between is large.

That image is the largest of many networks (ResNet, ShuffleNet, SqueezeNet) and is read once. Pooled a few rows at a
time, it never leaves the cache.
"""

from __future__ import annotations

from .. import _core
from ..graph import INTERNAL, Graph, Node
from .lowering import is_direct
from .tiling import FLOAT_BYTES, POOLED_PART_OF_L2


def fuse_pools(graph: Graph) -> Graph:
    """Replaces conv_infer.Conv of a planar graph input -> conv_infer.MaxPool by one conv_infer.PooledConv: inputs x and
    the convolution's constants; attributes `conv` and `pool`, those nodes. The image in between is no tensor of the
    program any more, though it keeps its type."""
    uses = graph.use_counts()
    producers = graph.producers()
    fused: dict[int, Node] = {}
    gone: set[int] = set()
    for pool in graph.nodes:
        if pool.op != "MaxPool" or pool.domain != INTERNAL:
            continue
        conv = producers.get(pool.inputs[0])
        if conv is None or uses[pool.inputs[0]] != 1 or uses[conv.inputs[0]] != 1 or not is_fusable(graph, conv):
            continue
        attrs = {"conv": conv, "pool": pool}
        fused[id(pool)] = Node("PooledConv", conv.inputs, pool.outputs, attrs, domain=INTERNAL, name=conv.name)
        gone.add(id(conv))
    if not fused:
        return graph
    return graph.with_nodes([fused.get(id(node), node) for node in graph.nodes if id(node) not in gone])


def is_fusable(graph: Graph, node: Node) -> bool:
    """A float32 convolution of a planar graph input, which is copied in bands in any case, without a residual; its
    output is more than a part of the second-level cache."""
    if node.op != "Conv" or node.domain != INTERNAL or node.attrs.get("input_layout", "NHWC") != "NCHW":
        return False
    images, height, _, _ = graph.shape(node.outputs[0])
    return (
        node.inputs[0] in graph.inputs
        and node.inputs[1] in graph.constants
        and not is_direct(node, graph.shape(node.inputs[1]))
        and not any(node.inputs[3:])
        and images * height * held_row_bytes(graph, node) > _core.cache_sizes()[1] // POOLED_PART_OF_L2
    )


def held_row_bytes(graph: Graph, conv: Node) -> int:
    """Of one row of a convolution's output."""
    _, _, width, channels = graph.shape(conv.outputs[0])
    return width * channels * FLOAT_BYTES
