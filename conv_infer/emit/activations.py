"""Activations as the compiled module numbers them."""

from __future__ import annotations

import numpy as np

KINDS = (
    "clamp",
    "leaky_relu",
    "hard_swish",
    "hard_sigmoid",
    "sigmoid",
    "silu",
    "tanh",
    "elu",
    "selu",
    "celu",
    "mish",
    "gelu",
    "gelu_tanh",
    "softplus",
    "softsign",
    "exp",
    "log",
    "sqrt",
    "abs",
    "neg",
    "reciprocal",
    "floor",
    "ceil",
    "round",
    "erf",
    "sin",
    "cos",
)  # in the order of ci_activation_kind
FUSED_KINDS = frozenset(KINDS[:4])  # up to CI_ACTIVATION_LAST_FUSED: epilogues apply these in registers


def activation_triple(activation: tuple[str, float, float] | None) -> tuple[int, float, float]:
    """(kind's number, alpha, beta); None becomes the clamp that changes nothing."""
    if activation is None:
        return 0, -np.inf, np.inf
    kind, alpha, beta = activation
    return KINDS.index(kind), alpha, beta
