"""Elementwise operators of several tensors as chains of the planned operator Binary, with NumPy's broadcasting."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node
from ..layout import Lowering, Order, plain_order
from .lower_activation import emit_activation
from .lower_shape import reshape_logical

_KINDS = {
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Div": "div",
    "Pow": "pow",
    "Min": "min",
    "Max": "max",
    "Sum": "add",
    "Mean": "add",
    "PRelu": "prelu",
}


def lower_binary(lowering: Lowering, node: Node) -> bool:
    """Add, Sub, Mul, Div, Pow, PRelu, and the ones of any number of tensors: Sum, Mean, Min, Max."""
    if node.op == "Pow":
        node = _with_float_exponent(lowering, node)
    inputs = list(node.inputs)
    if not lowering.is_float(*inputs):
        return False
    if node.version < 7 and len(inputs) == 2:
        inputs[1] = _aligned(lowering, node)
        node = node.replace(inputs=inputs)
    output = node.outputs[0]
    if len(inputs) == 1:
        lowering.alias(output, inputs[0])
        return True
    if _lower_to_activation(lowering, node) or (node.op == "Pow" and _lower_power(lowering, node)):
        return True
    kind = _KINDS[node.op]
    rank = lowering.rank(output)
    full = [name for name in inputs if lowering.rank(name) == rank and lowering.shape(name) == lowering.shape(output)]
    same_rank = full or [name for name in inputs if lowering.rank(name) == rank]
    order = lowering.common_order(same_rank) if same_rank else plain_order(rank)
    operands = [operand(lowering, node, name, order) for name in inputs]
    mean = node.op == "Mean"
    result = operands[0]
    for index, other in enumerate(operands[1:], 1):
        attrs = {"kind": kind, "activation": None}
        if index < len(operands) - 1 or mean:
            shape = np.broadcast_shapes(lowering.shape(result), lowering.shape(other))
            result = lowering.step(node, "Binary", [result, other], shape, attrs, np.dtype(np.float32))
        else:
            lowering.emit(node, "Binary", [result, other], order, attrs)
    if mean:
        count = lowering.graph.add_constant(f"{output}:count", np.array(1.0 / len(operands), np.float32))
        lowering.emit(node, "Binary", [result, count], order, {"kind": "mul", "activation": None})
    return True


def operand(lowering: Lowering, node: Node, name: str, order: Order) -> str:
    """The physical operand of an elementwise operator that works in the given order of the result's axes.

    A tensor of lower rank gets leading axes of size 1, unless its axes are the last ones of the order already.
    """
    rank, missing = len(order), len(order) - lowering.rank(name)
    if missing == 0:
        return lowering.use(name, order)
    shape = lowering.shape(name)
    if all(size == 1 for size in shape):
        return lowering.reshaped(node, lowering.use_plain(name), ())
    if order[missing:] == tuple(range(missing, rank)):
        return lowering.use_plain(name)
    return _with_order(lowering, node, name, (1,) * missing + shape, order)


def _with_order(lowering: Lowering, node: Node, name: str, shape: tuple[int, ...], order: Order) -> str:
    physical = lowering.use_plain(name)
    array = lowering.constants.get(physical)
    if array is not None:
        return lowering.graph.add_constant(f"{name}:operand", np.transpose(array.reshape(shape), order))
    physical = lowering.reshaped(node, physical, shape)
    return lowering.transposed(node, physical, order)


def _aligned(lowering: Lowering, node: Node) -> str:
    """The second tensor as operator set 6 broadcasts it: from `axis` of the first on; PRelu along channels."""
    x, other = node.inputs
    axis = node.attrs.get("axis")
    if node.op == "PRelu" and lowering.rank(other) == 1 and lowering.shape(other) != (1,):
        axis = 1
    if axis is None:
        return other
    rank, shape = lowering.rank(x), lowering.shape(other)
    axis += rank if axis < 0 else 0
    shape = (1,) * axis + shape + (1,) * (rank - axis - len(shape))
    array = lowering.constants.get(other)
    if array is not None:
        return lowering.graph.add_constant(f"{other}:aligned", array.reshape(shape))
    aligned = lowering.graph.add_tensor(f"{other}:aligned", lowering.dtype(other), shape)
    reshape_logical(lowering, node, other, aligned)
    return aligned


def _with_float_exponent(lowering: Lowering, node: Node) -> Node:
    """Pow may have a constant exponent of another element type."""
    base, exponent = node.inputs
    array = lowering.constants.get(exponent)
    if array is None or array.dtype == np.float32 or array.dtype.kind not in "fiu":
        return node
    return node.replace(inputs=[base, lowering.graph.add_constant(f"{exponent}:float32", array.astype(np.float32))])


def _lower_power(lowering: Lowering, node: Node) -> bool:
    """x ** 1, x ** 2 and x ** 0.5 have cheaper spellings."""
    exponent = lowering.constant(node, 1)
    base = node.inputs[0]
    if exponent is None or exponent.size != 1 or lowering.shape(base) != lowering.shape(node.outputs[0]):
        return False
    value = float(exponent.reshape(-1)[0])
    physical, order = lowering.use_home(base)
    if value == 1.0:
        lowering.alias(node.outputs[0], base)
    elif value == 2.0:
        lowering.emit(node, "Binary", [physical, physical], order, {"kind": "mul", "activation": None})
    elif value == 0.5:
        emit_activation(lowering, node.replace(inputs=[base]), ("sqrt", 0.0, 0.0))
    else:
        return False
    return True


def _lower_to_activation(lowering: Lowering, node: Node) -> bool:
    """Min, Max and PRelu with one number are activations."""
    if node.op not in ("Min", "Max", "PRelu") or len(node.inputs) != 2:
        return False
    for x, other in (node.inputs, node.inputs[::-1]) if node.op != "PRelu" else (node.inputs,):
        array = lowering.constants.get(other)
        if array is None or array.size != 1 or lowering.shape(x) != lowering.shape(node.outputs[0]):
            continue
        value = float(array.reshape(-1)[0])
        if node.op == "PRelu":
            activation = ("leaky_relu", value, 0.0)
        else:
            activation = ("clamp", value, math.inf) if node.op == "Max" else ("clamp", -math.inf, value)
        emit_activation(lowering, node.replace(inputs=[x]), activation)
        return True
    return False
