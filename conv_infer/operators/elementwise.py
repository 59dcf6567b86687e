"""Element by element: unary operators, binary operators with broadcasting, activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..graph import Node
from .checks import Shape, choice, dims, integer, model_error, normalise_axis, number, tensor


def same_shape(node: Node, shapes: list, constants: list) -> list:
    """Every output has the shape of the first input."""
    return [shapes[0]] * len(node.outputs)


def broadcast_shapes(node: Node, shapes: Sequence[Shape | None]) -> Shape:
    """The shape that all the inputs broadcast to by NumPy's rule."""
    result: Sequence[int] = shapes[0]
    for index, shape in enumerate(shapes):
        if shape is None or shape == result:
            continue
        longer, shorter = (shape, result) if len(shape) > len(result) else (result, shape)
        merged = list(longer)
        offset = len(longer) - len(shorter)
        for axis, size in enumerate(shorter, offset):
            if merged[axis] == 1:
                merged[axis] = size
            elif size not in (1, merged[axis]):
                raise model_error(
                    node,
                    f"{tensor(node, index, shape)} does not broadcast against the shape {dims(result)} of the others",
                )
        result = merged
    return tuple(result)


def broadcast(node: Node, shapes: list, constants: list) -> list:
    """Operators of any number of inputs that broadcast against one another."""
    return [broadcast_shapes(node, shapes)]


def legacy_operand_shape(node: Node, a: Shape, b: Shape) -> Shape:
    """The shape to give the second operand so that NumPy broadcasts as the node's opset says.

    Up to opset 6 a binary operator broadcasts only with attribute `broadcast`, the second operand against consecutive
    dimensions of the first that start at `axis` (the last ones where it is left out). From opset 7 on, b as it is.
    """
    if node.version >= 7:
        return b
    if not integer(node, "broadcast", 0):
        if a != b:
            raise model_error(
                node,
                f"{tensor(node, 0, a)} and {tensor(node, 1, b)} differ, and attribute 'broadcast' is not set",
            )
        return b
    if "axis" not in node.attrs:
        return b
    axis = normalise_axis(node, integer(node, "axis"), len(a))
    if axis + len(b) > len(a):
        raise model_error(node, f"{tensor(node, 1, b)} does not fit {tensor(node, 0, a)} from axis {axis} on")
    return b + (1,) * (len(a) - axis - len(b))


def binary(node: Node, shapes: list, constants: list) -> list:
    """Two operands that broadcast: Add-6/7/13/14 and their like."""
    a, b = shapes
    if a == b:
        return [a]
    if node.version < 7:
        result = broadcast_shapes(node, [a, legacy_operand_shape(node, a, b)])
        if result != a:
            raise model_error(node, f"{tensor(node, 1, b)} does not broadcast to {tensor(node, 0, a)}")
        return [a]
    return [broadcast_shapes(node, shapes)]


def slope_shape(node: Node, x: Shape, slope: Shape) -> Shape:
    """The shape to give PRelu's slope so that NumPy broadcasts it to x (PRelu-6: per channel, from the front)."""
    if node.version < 7 and len(slope) == 1 and len(x) > 1:
        return slope + (1,) * (len(x) - 2)
    return slope


def prelu(node: Node, shapes: list, constants: list) -> list:
    """PRelu-6/7/9/16: the slope broadcasts to x, never x to the slope."""
    x, slope = shapes
    fitted = slope_shape(node, x, slope)
    padded = (1,) * (len(x) - len(fitted)) + fitted
    if len(padded) != len(x) or any(size not in (1, whole) for size, whole in zip(padded, x, strict=True)):
        raise model_error(node, f"{tensor(node, 1, slope)} does not broadcast to {tensor(node, 0, x)}")
    return [x]


def clip(node: Node, shapes: list, constants: list) -> list:
    """Clip-6/11/12/13: the bounds are one element each."""
    for index in range(1, len(shapes)):
        if shapes[index] is not None and any(size != 1 for size in shapes[index]):
            raise model_error(node, f"{tensor(node, index, shapes[index])} is a bound; a scalar is expected")
    return [shapes[0]]


def resolve_clip(node: Node, constants: Sequence[np.ndarray | None]) -> tuple[float, float] | None:
    """The bounds of Clip, -inf and inf where left out; None where one is computed by the graph."""
    if node.version < 11:
        return number(node, "min", -np.inf), number(node, "max", np.inf)
    bounds = [-np.inf, np.inf]
    for index in (1, 2):
        if index < len(node.inputs) and node.inputs[index]:
            array = constants[index]
            if array is None:
                return None
            bounds[index - 1] = array.reshape(()).item()
    return bounds[0], bounds[1]


# Evaluation ---------------------------------------------------------------------------------------------------------


def unary(function: Callable) -> Callable:
    """An evaluation by a NumPy function of one array."""
    return lambda node, arrays: [np.asarray(function(arrays[0]), dtype=arrays[0].dtype)]


def pair(function: Callable, dtype: type | None = None) -> Callable:
    """An evaluation by a NumPy function of two arrays that broadcast; `dtype` None: that of the first."""

    def evaluate(node: Node, arrays: list) -> list:
        a, b = arrays
        if node.version < 7:
            b = b.reshape(legacy_operand_shape(node, a.shape, b.shape))
        return [np.asarray(function(a, b), dtype=dtype or a.dtype)]

    return evaluate


def fold_left(function: Callable) -> Callable:
    """An evaluation that combines any number of arrays from left to right."""

    def evaluate(node: Node, arrays: list) -> list:
        result = arrays[0]
        for array in arrays[1:]:
            result = function(result, array)
        return [np.asarray(result, dtype=arrays[0].dtype)]

    return evaluate


def mean(node: Node, arrays: list) -> list:
    """The mean of any number of arrays."""
    total = fold_left(np.add)(node, arrays)[0]
    return [np.asarray(total / arrays[0].dtype.type(len(arrays)), dtype=total.dtype)]


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Division; of integers the quotient is cut off towards zero (and 0 where the divisor is)."""
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    quotient = np.floor_divide(a, b)
    wrong = (np.remainder(a, b) != 0) & ((a < 0) != (b < 0))
    return quotient + wrong.astype(a.dtype)


def modulo(node: Node, arrays: list) -> list:
    """Mod-10/13: the sign of the divisor, or with `fmod` that of the dividend."""
    a, b = arrays
    function = np.fmod if integer(node, "fmod", 0) else np.mod
    return [np.asarray(function(a, b), dtype=a.dtype)]


def power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Powers in the wider of both types: integers to negative powers would raise in NumPy."""
    if a.dtype.kind in "iu" and b.dtype.kind in "iu" and (b < 0).any():
        return np.power(a.astype(np.float64), b)
    return np.power(a, b)


def evaluate_clip(node: Node, arrays: list) -> list:
    """Clip: the upper bound wins where the bounds cross."""
    result = arrays[0]
    if node.version < 11:
        low, high = resolve_clip(node, ())
        low, high = (result.dtype.type(bound) for bound in (low, high))
    else:
        low, high = (arrays[index] if index < len(arrays) else None for index in (1, 2))
    if low is not None:
        result = np.maximum(result, low)
    if high is not None:
        result = np.minimum(result, high)
    return [np.asarray(result, dtype=arrays[0].dtype)]


def evaluate_prelu(node: Node, arrays: list) -> list:
    """PRelu."""
    x, slope = arrays
    slope = slope.reshape(slope_shape(node, x.shape, slope.shape))
    return [np.asarray(np.where(x < 0, x * slope, x), dtype=x.dtype)]


def leaky_relu(node: Node, arrays: list) -> list:
    """LeakyRelu."""
    x = arrays[0]
    return [np.where(x < 0, x * x.dtype.type(number(node, "alpha", 0.01)), x)]


def relu(x: np.ndarray) -> np.ndarray:
    """Relu."""
    return np.maximum(x, x.dtype.type(0))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Sigmoid, without overflow for either sign."""
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + decay), decay / (1 + decay))


def where(node: Node, arrays: list) -> list:
    """Where."""
    return [np.asarray(np.where(arrays[0], arrays[1], arrays[2]), dtype=arrays[1].dtype)]


def bit_shift(node: Node, arrays: list) -> list:
    """BitShift-11."""
    direction = choice(node, "direction", "", ("LEFT", "RIGHT"))
    return [(np.left_shift if direction == "LEFT" else np.right_shift)(arrays[0], arrays[1])]


def is_inf(node: Node, arrays: list) -> list:
    """IsInf: which infinities count is the node's to say."""
    x = arrays[0]
    result = np.zeros(x.shape, bool)
    if integer(node, "detect_positive", 1):
        result |= np.isposinf(x)
    if integer(node, "detect_negative", 1):
        result |= np.isneginf(x)
    return [result]
