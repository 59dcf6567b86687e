"""Elementwise functions evaluated at the few values that a quantised tensor has."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...graph import INTERNAL, ONNX, Graph, Node
from ...operators.lower_activation import activation_of
from ..planned import activation_attr


def _erf(x):
    return np.array([math.erf(value) for value in x.tolist()])


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


# What each kind of activation computes, in float64; alpha and beta as in the planned operator Activation
_FUNCTIONS: dict[str, Callable] = {
    "clamp": lambda x, alpha, beta: np.minimum(np.maximum(x, alpha), beta),
    "leaky_relu": lambda x, alpha, beta: np.where(x >= 0, x, alpha * x),
    "hard_swish": lambda x, alpha, beta: x * np.clip(alpha * x + beta, 0, 1),
    "hard_sigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "sigmoid": lambda x, alpha, beta: _sigmoid(x),
    "silu": lambda x, alpha, beta: x * _sigmoid(alpha * x),
    "tanh": lambda x, alpha, beta: np.tanh(x),
    "elu": lambda x, alpha, beta: np.where(x >= 0, x, alpha * np.expm1(x)),
    "selu": lambda x, alpha, beta: beta * np.where(x >= 0, x, alpha * np.expm1(x)),
    "celu": lambda x, alpha, beta: np.maximum(0, x) + np.minimum(0, alpha * np.expm1(x / alpha)),
    "mish": lambda x, alpha, beta: x * np.tanh(np.logaddexp(0, x)),
    "gelu": lambda x, alpha, beta: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x, alpha, beta: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "softplus": lambda x, alpha, beta: np.logaddexp(0, x),
    "softsign": lambda x, alpha, beta: x / (1 + np.abs(x)),
    "exp": lambda x, alpha, beta: np.exp(x),
    "log": lambda x, alpha, beta: np.log(x),
    "sqrt": lambda x, alpha, beta: np.sqrt(x),
    "abs": lambda x, alpha, beta: np.abs(x),
    "neg": lambda x, alpha, beta: -x,
    "reciprocal": lambda x, alpha, beta: 1 / x,
    "floor": lambda x, alpha, beta: np.floor(x),
    "ceil": lambda x, alpha, beta: np.ceil(x),
    "round": lambda x, alpha, beta: np.rint(x),
    "erf": lambda x, alpha, beta: _erf(x),
    "sin": lambda x, alpha, beta: np.sin(x),
    "cos": lambda x, alpha, beta: np.cos(x),
}

# Operators of two tensors of which one may be a number; in float32, as they would run
_ARITHMETIC: dict[str, Callable] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Min": np.minimum,
    "Max": np.maximum,
    "PRelu": lambda x, slope: np.where(x >= 0, x, slope * x),
}

ARITHMETIC = tuple(_ARITHMETIC)


def activation(graph: Graph, node: Node) -> tuple[str, float, float] | None:
    """(kind, alpha, beta) where the node is an activation, recognised or of ONNX."""
    if node.domain == INTERNAL:
        return activation_attr(node) if node.op == "Activation" else None
    return activation_of(node, graph.constants) if node.domain == ONNX else None


def apply_activation(reals: np.ndarray, kind: str, alpha: float, beta: float) -> np.ndarray:
    """The activation of float32 values, correctly rounded to float32 (but for the last bits of exp and its like)."""
    with np.errstate(all="ignore"):
        return _FUNCTIONS[kind](reals.astype(np.float64), alpha, beta).astype(np.float32)


def apply_arithmetic(op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return _ARITHMETIC[op](a, b).astype(np.float32)
