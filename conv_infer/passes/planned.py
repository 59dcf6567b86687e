"""What several passes ask of planned operators."""

from __future__ import annotations

from ..graph import INTERNAL, Graph, Node

# Operators that apply an activation to their result
ACTIVATING = frozenset(("Conv", "ConvTranspose", "Binary", "Affine"))


class Editor:
    """New nodes in order, some of which are replaced or dropped later; finds what writes a tensor."""

    def __init__(self, graph: Graph):
        self.graph = graph.with_nodes([])
        self.uses = graph.use_counts()
        self.nodes: list[Node | None] = []
        self.positions: dict[str, int] = {}

    def append(self, node: Node) -> None:
        for output in node.outputs:
            self.positions[output] = len(self.nodes)
        self.nodes.append(node)

    def producer(self, name: str, *ops: str) -> Node | None:
        """The planned operator that writes `name`, if it is one of `ops` and has one reader."""
        position = self.positions.get(name)
        if position is None or self.uses.get(name) != 1:
            return None
        node = self.nodes[position]
        return node if node is not None and node.domain == INTERNAL and node.op in ops else None

    def replace(self, old: Node, new: Node) -> None:
        """Puts a node in the place of another."""
        position = self.positions[old.outputs[0]]
        self.nodes[position] = new
        for output in new.outputs:
            self.positions[output] = position

    def drop(self, node: Node) -> None:
        self.nodes[self.positions[node.outputs[0]]] = None

    def finish(self) -> Graph:
        self.graph.nodes = [node for node in self.nodes if node is not None]
        return self.graph


def activation_attr(node: Node) -> tuple[str, float, float]:
    """What an Activation node computes, as the `activation` attribute of others."""
    return node.attrs["kind"], node.attrs["alpha"], node.attrs["beta"]


def compose(first: tuple[str, float, float] | None, then: tuple[str, float, float]) -> tuple[str, float, float] | None:
    """One activation for two in a row; None where there is none."""
    if first is None:
        return then
    if first[0] == then[0] == "clamp":
        low, high = (min(max(bound, then[1]), then[2]) for bound in first[1:])
        return "clamp", low, high
    return None
