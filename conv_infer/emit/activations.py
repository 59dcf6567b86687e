"""Activations as the compiled module numbers them."""

from __future__ import annotations

import numpy as np

from .. import _core

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
EARLY_KINDS = frozenset(KINDS[:4])  # up to CI_ACTIVATION_LAST_FUSED: convolutions apply these in registers


def activation_triple(activation: tuple[str, float, float] | None) -> tuple[int, float, float]:
    """(kind's number, alpha, beta); None becomes the clamp that changes nothing."""
    if activation is None:
        return 0, -np.inf, np.inf
    kind, alpha, beta = activation
    return KINDS.index(kind), alpha, beta


def fused_activation(activation: tuple[str, float, float] | None, allowed: int) -> dict[str, object]:
    """The arguments of a convolution's step that say which activation it applies, and the kernel that does so over the
    rows just finished where those of the convolution do not."""
    is_late = activation is not None and activation[0] not in EARLY_KINDS
    return {
        "activation": activation_triple(activation),
        "late_activation": _core.activation_f32_kernel(allowed) if is_late else None,
    }
