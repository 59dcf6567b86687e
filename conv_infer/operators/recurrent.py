"""Recurrent layers: RNN, GRU, LSTM."""

from __future__ import annotations

from ..graph import Node
from .checks import choice, integer, model_error, tensor

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(node: Node, shapes: list, constants: list) -> list:
    """RNN, GRU, LSTM -1/7/14/22: all states [steps,directions,N,hidden] (N first by `layout`), then the last ones."""
    x, w, r = shapes[:3]
    directions = (
        2 if choice(node, "direction", "forward", ("forward", "reverse", "bidirectional")) == "bidirectional" else 1
    )
    if len(x) != 3 or len(w) != 3 or len(r) != 3:
        raise model_error(node, f"{tensor(node, 0, x)}, its weights and recurrent weights must have 3 dimensions")
    hidden = integer(node, "hidden_size", r[2])
    gates = _GATES[node.op]
    for index, shape, expected in (
        (1, w, (directions, gates * hidden, x[2])),
        (2, r, (directions, gates * hidden, hidden)),
    ):
        if shape != expected:
            raise model_error(node, f"{tensor(node, index, shape)} must have the shape {expected}")
    if integer(node, "layout", 0):
        batch, steps, _ = x
        outputs = [(batch, steps, directions, hidden), (batch, directions, hidden), (batch, directions, hidden)]
    else:
        steps, batch, _ = x
        outputs = [(steps, directions, batch, hidden), (directions, batch, hidden), (directions, batch, hidden)]
    return outputs[: len(node.outputs)]
