"""Elementwise functions of one tensor as the planned operator Activation, in whatever layout the tensor has."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..graph import Node
from ..layout import Lowering

# ONNX operator -> (kind, attribute that becomes alpha and its default, the same of beta)
_SIMPLE = {
    "LeakyRelu": ("leaky_relu", ("alpha", 0.01), None),
    "HardSigmoid": ("hard_sigmoid", ("alpha", 0.2), ("beta", 0.5)),
    "Elu": ("elu", ("alpha", 1.0), None),
    "Selu": ("selu", ("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    "Celu": ("celu", ("alpha", 1.0), None),
    "Swish": ("silu", ("alpha", 1.0), None),
    "Sigmoid": ("sigmoid", None, None),
    "Tanh": ("tanh", None, None),
    "Mish": ("mish", None, None),
    "Softplus": ("softplus", None, None),
    "Softsign": ("softsign", None, None),
    "Exp": ("exp", None, None),
    "Log": ("log", None, None),
    "Sqrt": ("sqrt", None, None),
    "Abs": ("abs", None, None),
    "Neg": ("neg", None, None),
    "Reciprocal": ("reciprocal", None, None),
    "Floor": ("floor", None, None),
    "Ceil": ("ceil", None, None),
    "Round": ("round", None, None),
    "Erf": ("erf", None, None),
    "Sin": ("sin", None, None),
    "Cos": ("cos", None, None),
}

RELU = ("clamp", 0.0, math.inf)


def activation_of(node: Node, constants: Mapping[str, np.ndarray]) -> tuple[str, float, float] | None:
    """(kind, alpha, beta) of an ONNX activation; None where it is none, or its bounds are computed."""
    op = node.op
    if op == "Relu":
        return RELU
    if op == "HardSwish":
        return ("hard_swish", 1.0 / 6.0, 0.5)
    if op == "Gelu":
        return ("gelu_tanh" if node.attrs.get("approximate") == "tanh" else "gelu", 0.0, 0.0)
    if op == "Clip":
        return _clip(node, constants)
    entry = _SIMPLE.get(op)
    if entry is None:
        return None
    kind, alpha, beta = entry
    return (
        kind,
        float(node.attrs.get(*alpha)) if alpha else (1.0 if kind == "silu" else 0.0),
        float(node.attrs.get(*beta)) if beta else 0.0,
    )


def _clip(node: Node, constants: Mapping[str, np.ndarray]) -> tuple[str, float, float] | None:
    bounds = [float(node.attrs.get("min", -math.inf)), float(node.attrs.get("max", math.inf))]
    for index, name in enumerate(node.inputs[1:]):
        if name:
            array = constants.get(name)
            if array is None or array.size != 1:
                return None
            bounds[index] = float(array.reshape(-1)[0])
    low, high = bounds
    if math.isnan(low) or math.isnan(high):
        return None
    # where the bounds cross, the upper one wins; the planned operator wants them in order
    return ("clamp", min(low, high), high)


def lower_activation(lowering: Lowering, node: Node) -> bool:
    if not lowering.is_float(node.inputs[0]):
        return False
    activation = activation_of(node, lowering.constants)
    if activation is None:
        return False
    emit_activation(lowering, node, activation)
    return True


def emit_activation(lowering: Lowering, node: Node, activation: tuple[str, float, float]) -> None:
    kind, alpha, beta = activation
    physical, order = lowering.use_home(node.inputs[0])
    if kind == "clamp" and alpha == -math.inf and beta == math.inf:
        lowering.alias(node.outputs[0], node.inputs[0])
        return
    lowering.emit(node, "Activation", [physical], order, {"kind": kind, "alpha": alpha, "beta": beta})


def lower_recognised(lowering: Lowering, node: Node) -> bool:
    """An Activation that stands for several ONNX nodes."""
    emit_activation(lowering, node, (node.attrs["kind"], node.attrs["alpha"], node.attrs["beta"]))
    return True
