"""The passes that turn the specialised ONNX graph into planned operators, in one list.

Each is a pure function that takes a graph and returns another; the graph is validated after each.
"""

from __future__ import annotations

from ..graph import Graph
from .lower import lower
from .remove_dead import remove_dead

PASSES = (
    lower,
    remove_dead,
)


def run_passes(graph: Graph) -> Graph:
    """The planned operators of a graph whose shapes are static and whose constant parts are folded."""
    for apply in PASSES:
        graph = apply(graph)
        graph.validate()
    return graph
