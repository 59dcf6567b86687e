"""Joins [1x1 convolution ->] depthwise convolution -> 1x1 convolution where the images in between are large.

Such a bottleneck (MobileNet v2: Sandler et al., CVPR 2018) makes an image several times wider than what it reads and
writes. Step by step that image goes out to memory and comes back; band by band it stays in the second-level cache.
"""

from __future__ import annotations

from .. import _core
from ..graph import INTERNAL, Graph, Node
from .tiling import FLOAT_BYTES, ROW_PAIR, pieces_of_image

BYTES_PER_NS = 20.0  # that leave the second-level cache and come back
MACS_PER_NS = 50.0  # of a GEMM on one thread


def fuse_bottlenecks(graph: Graph, threads: int) -> Graph:
    """Replaces each such chain of conv_infer.Conv nodes by one conv_infer.Bottleneck: inputs x, then the constants and
    the residual of its convolutions; attributes `expand` (or None), `depthwise` and `project`, those nodes. The images
    in between are no tensors of the program any more, though they keep their types."""
    uses = graph.use_counts()
    producers = graph.producers()
    gone: set[int] = set()
    fused: dict[int, Node] = {}
    for project in graph.nodes:
        if not is_pointwise(graph, project):
            continue
        depthwise = producers.get(project.inputs[0])
        if depthwise is None or uses[project.inputs[0]] != 1 or not is_depthwise(graph, depthwise):
            continue
        expand = producers.get(depthwise.inputs[0])
        if expand is not None and (
            id(expand) in fused  # the projection of the bottleneck before
            or uses[depthwise.inputs[0]] != 1
            or has_residual(expand)
            or not is_pointwise(graph, expand)
        ):
            expand = None
        if not pays(graph, expand, depthwise, project, threads):
            continue
        first = expand or depthwise
        parts = [node for node in (expand, depthwise, project) if node is not None]
        inputs = [first.inputs[0], *(name for node in parts for name in node.inputs[1:] if name)]
        attrs = {"expand": expand, "depthwise": depthwise, "project": project}
        fused[id(project)] = Node("Bottleneck", inputs, project.outputs, attrs, domain=INTERNAL, name=project.name)
        gone.update(id(node) for node in parts[:-1])
    if not fused:
        return graph
    return graph.with_nodes([fused.get(id(node), node) for node in graph.nodes if id(node) not in gone])


def pays(graph: Graph, expand: Node | None, depthwise: Node, project: Node, threads: int) -> bool:
    """Whether bands are predicted to be quicker than the convolutions one by one.

    One by one, the images in between are written and read whole. What of a thread's share does not fit into half its
    second-level cache (the other half holds weights, input and output) leaves it and comes back; measured, that is
    where bands begin to gain. What they cost is that rows at the seam of two tasks are expanded twice.
    """
    shape = graph.shape
    wide, narrow = shape(depthwise.inputs[0]), shape(depthwise.outputs[0])
    stride = depthwise.attrs["strides"][0]
    window = (shape(depthwise.inputs[1])[1] - 1) * depthwise.attrs["dilations"][0] + 1
    halo = max(0, window - stride)
    l2_bytes = _core.cache_sizes()[1]
    wide_row, narrow_row = wide[2] * wide[3] * FLOAT_BYTES, narrow[2] * narrow[3] * FLOAT_BYTES
    if (halo + ROW_PAIR * stride) * wide_row + ROW_PAIR * narrow_row > l2_bytes:
        return False  # not even the smallest band would stay
    between = narrow[0] * narrow[1] * narrow_row
    expanded_twice = 0
    if expand is not None:
        between += wide[0] * wide[1] * wide_row
        seams = narrow[0] * (pieces_of_image(narrow[0], narrow[1], threads) - 1)
        expanded_twice = seams * halo * wide[2] * wide[3] * shape(expand.inputs[1])[3]
    saved_ns = (between / threads - l2_bytes / 2) / BYTES_PER_NS
    return saved_ns > expanded_twice / threads / MACS_PER_NS


def is_fusable(graph: Graph, node: Node) -> bool:
    """A float32 NHWC convolution with constant weights."""
    if node.op != "Conv" or node.domain != INTERNAL or node.attrs.get("input_layout", "NHWC") != "NHWC":
        return False
    return node.inputs[1] in graph.constants


def is_pointwise(graph: Graph, node: Node) -> bool:
    """1x1, stride 1, no padding, dense."""
    return (
        is_fusable(graph, node)
        and graph.shape(node.inputs[1])[1:3] == (1, 1)
        and tuple(node.attrs["strides"]) == (1, 1)
        and not any(node.attrs["pads"])
        and node.attrs["groups"] == 1
    )


def is_depthwise(graph: Graph, node: Node) -> bool:
    """As many groups as channels in and out, all channels in order."""
    if not is_fusable(graph, node) or has_residual(node) or node.attrs.get("input_channels") is not None:
        return False
    groups = node.attrs["groups"]
    channels = graph.shape(node.inputs[0])[3]
    return groups == channels and graph.shape(node.inputs[1])[::3] == (channels, 1)


def has_residual(node: Node) -> bool:
    return len(node.inputs) > 3 and node.inputs[3] != ""
