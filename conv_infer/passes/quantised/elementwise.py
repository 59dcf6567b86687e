"""`fuse_quantised`: elementwise operators as tables or as the planned operator QBinary, and Concat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...graph import Node
from .levels import Levels, Quantisation, Weights, add_levels, every_level, multiply_levels
from .tables import activation, apply_activation, apply_arithmetic
from .walk import Target, Walk

# Operand of a planned QBinary: tensor, or constant levels, and its quantisation
_Operand = tuple[str | np.ndarray, Quantisation]

_LEVELS: dict[str, Callable] = {"add": add_levels, "mul": multiply_levels}
_KINDS = {"Add": "add", "Mul": "mul", "QLinearAdd": "add", "QLinearMul": "mul"}
# Beyond these ratios of scales QBinary's arithmetic is no longer exact before its last rounding
_LEAST_RATIO, _GREATEST_RATIO = 2.0**-16, 2.0**16


def unary(walk: Walk, node: Node) -> str | None:
    """An activation: it changes what the levels stand for."""
    value = walk.values[node.inputs[0]]
    found = activation(walk.graph, node)
    if found is None or not isinstance(value, Levels):
        return "its parameters are computed"
    walk.define(node, node.outputs[0], Levels(value.source, None, apply_activation(value.reals, *found)))
    return None


def qlinear_unary(walk: Walk, node: Node) -> str | None:
    """QLinearLeakyRelu, QLinearSigmoid: x, its scale and zero point, y's."""
    x, output = node.inputs[0], node.outputs[0]
    before = walk.quantisation(node.inputs[1], node.inputs[2], walk.dtype(x))
    after = _quantisation(walk, node, 3, 4, output)
    if before is None or after is None:
        return "its parameters are computed"
    kind = ("sigmoid", 0.0, 0.0)
    if node.op == "QLinearLeakyRelu":
        kind = ("leaky_relu", float(node.attrs.get("alpha", 0.01)), 0.0)
    walk.look_up(node, x, after.levels(apply_activation(before.reals(), *kind)), output)
    return None


def _quantisation(walk: Walk, node: Node, scale: int, zero_point: int, tensor: str) -> Quantisation | None:
    """That of a tensor whose scale and zero point are these inputs of the node."""
    name = node.inputs[zero_point] if zero_point < len(node.inputs) else ""
    return walk.quantisation(node.inputs[scale], name, walk.dtype(tensor))


# Two operands


def binary(walk: Walk, node: Node) -> str | None:
    """Add, Sub, Mul, ...: a table where one operand is a number, or both are functions of one tensor; or QBinary."""
    if len(node.inputs) != 2:
        return "it has more than two inputs"
    output = node.outputs[0]
    kind = _KINDS.get(node.op)
    target = walk.target(output) if kind else None
    operands = [_operand(walk, name) for name in node.inputs]
    if target is not None and None not in operands:
        a, b = operands  # type: ignore[misc]
        if _within_range(kind, a[1], b[1], target.quantisation):  # type: ignore[index,arg-type]
            _emit(walk, node, kind, a, b, target.quantisation, target.bounds, walk.settle(node, target))  # type: ignore[arg-type]
            return None
    combined = _as_function(walk, node)
    if combined is not None:
        walk.define(node, output, combined)
        return None
    if kind is None:
        return "there is no integer form of it"
    if target is None:
        return "no QuantizeLinear follows"
    return "an operand is not quantised as a whole" if None in operands else "its scales differ too much"


def _operand(walk: Walk, name: str) -> _Operand | None:
    value = walk.values.get(name)
    if isinstance(value, Weights):
        quantisation = value.quantisation()
        return None if quantisation is None else (value.array, quantisation)
    return walk.pure(name)


def _within_range(kind: str, a: Quantisation, b: Quantisation, y: Quantisation) -> bool:
    ratios = (a.scale / y.scale, b.scale / y.scale) if kind == "add" else (a.scale * b.scale / y.scale,)
    return all(_LEAST_RATIO <= ratio <= _GREATEST_RATIO for ratio in ratios)


def _as_function(walk: Walk, node: Node) -> Levels | None:
    """The result as a function of one quantised tensor, where it is one; in float32."""
    output = node.outputs[0]
    parts: list[tuple[str, np.ndarray]] = []
    for name in node.inputs:
        value, array = walk.values.get(name), walk.constants.get(name)
        if isinstance(value, Weights) and value.array.size == 1:
            array = value.reals()
        if array is not None and array.size == 1:
            parts.append(("", array.astype(np.float32).reshape(())))
        elif isinstance(value, Levels) and walk.shape(name) == walk.shape(output):
            root, table = walk.root(value.source)
            parts.append((root, value.reals[table.view(np.uint8)]))
        else:
            return None
    roots = {root for root, _ in parts if root}
    if len(roots) != 1 or (node.op == "PRelu" and not parts[0][0]):
        return None
    return Levels(roots.pop(), None, apply_arithmetic(node.op, parts[0][1], parts[1][1]))


def qlinear_binary(walk: Walk, node: Node) -> str | None:
    """QLinearAdd, QLinearMul: a, its scale and zero point, b, its, y's."""
    output = node.outputs[0]
    operands = []
    for start in (0, 3):
        name = node.inputs[start]
        quantisation = _quantisation(walk, node, start + 1, start + 2, name)
        operands.append((walk.constants.get(name, name), quantisation))
    after = _quantisation(walk, node, 6, 7, output)
    if after is None or any(quantisation is None for _, quantisation in operands):
        return "its parameters are computed"
    _emit(walk, node, _KINDS[node.op], *operands, after, (after.lowest, after.highest), output)
    return None


def _emit(
    walk: Walk,
    node: Node,
    kind: str,
    a: _Operand,
    b: _Operand,
    after: Quantisation,
    bounds: tuple[int, int],
    output: str,
) -> None:
    """A QBinary; a QLookup instead where both operands are functions of one quantised tensor."""
    shape = walk.shape(output)
    parts = [_as_table(walk, levels, shape) for levels, _ in (a, b)]
    roots = {root for root, _ in parts if root}
    if all(table is not None for _, table in parts) and len(roots) == 1:
        table = _LEVELS[kind](parts[0][1], a[1], parts[1][1], b[1], after)
        walk.look_up(node, roots.pop(), np.clip(table, *bounds), output)
        return
    attrs = {"kind": kind, "lo": bounds[0], "hi": bounds[1]}
    inputs = []
    for role, (levels, quantisation) in (("a", a), ("b", b)):
        inputs.append(walk.graph.add_constant(f"{output}:{role}", levels) if isinstance(levels, np.ndarray) else levels)
        attrs.update({f"{role}_scale": quantisation.scale, f"{role}_zero_point": quantisation.zero_point})
    attrs.update(y_scale=after.scale, y_zero_point=after.zero_point)
    walk.emit(node, "QBinary", inputs, output, attrs)


def _as_table(walk: Walk, levels: str | np.ndarray, shape: tuple[int, ...]) -> tuple[str, np.ndarray | None]:
    """An operand as a table over the levels of a tensor; ("", level) for a number; (_, None) for anything else."""
    if isinstance(levels, np.ndarray):
        return "", levels.reshape(()) if levels.size == 1 else None
    if walk.shape(levels) != shape:
        return "", None
    return walk.root(levels)


# Joining


def concat(walk: Walk, node: Node) -> str | None:
    """Of tensors quantised alike: their levels. Otherwise each is quantised as the result is to be, then joined."""
    output = node.outputs[0]
    parts = [walk.pure(name) for name in node.inputs]
    alike = None not in parts and len({quantisation for _, quantisation in parts}) == 1  # type: ignore[misc]
    if alike:
        quantisation = parts[0][1]  # type: ignore[index]
        inputs = [source for source, _ in parts]  # type: ignore[misc]
        levels = walk.tensor(output, quantisation.dtype)
        walk.append(node.replace(inputs=inputs, outputs=[levels]))
        walk.define(node, output, Levels(levels, quantisation))
        return None
    target = walk.target(output)
    if target is None:
        return "its inputs are quantised differently, and no QuantizeLinear follows"
    inputs = [_quantised_part(walk, node, name, target) for name in node.inputs]
    walk.append(node.replace(inputs=inputs, outputs=[walk.settle(node, target)]))
    return None


def _quantised_part(walk: Walk, node: Node, name: str, target: Target) -> str:
    quantisation, bounds = target.quantisation, target.bounds
    value, array = walk.values.get(name), walk.constants.get(name)
    if isinstance(value, Weights):
        array = value.reals()
    if array is not None:
        return walk.graph.add_constant(f"{name}:levels", np.clip(quantisation.levels(array), *bounds))
    levels = walk.tensor(name, quantisation.dtype)
    if isinstance(value, Levels):
        walk.look_up(node, value.source, np.clip(quantisation.levels(value.reals), *bounds), levels)
        return walk.renamed.get(levels, levels)
    attrs = {"scale": quantisation.scale, "zero_point": quantisation.zero_point, "axis": None}
    walk.emit(node, "Quantize", [name], levels, attrs)
    if bounds == (quantisation.lowest, quantisation.highest):
        return levels
    clamped = walk.tensor(name, quantisation.dtype)
    walk.look_up(node, levels, np.clip(every_level(quantisation.dtype), *bounds), clamped)
    return clamped


def qlinear_concat(walk: Walk, node: Node) -> str | None:
    """QLinearConcat: scale and zero point of the output, then tensor, scale and zero point of every input."""
    output = node.outputs[0]
    after = walk.quantisation(node.inputs[0], node.inputs[1], walk.dtype(output))
    starts = range(2, len(node.inputs), 3)
    parts = [
        (node.inputs[start], _quantisation(walk, node, start + 1, start + 2, node.inputs[start])) for start in starts
    ]
    if after is None or any(quantisation is None for _, quantisation in parts):
        return "its parameters are computed"
    inputs = []
    for name, before in parts:
        if before == after:
            inputs.append(name)
        elif name in walk.constants:
            levels = after.levels(before.reals()[walk.constants[name].view(np.uint8)])  # type: ignore[union-attr]
            inputs.append(walk.graph.add_constant(f"{name}:levels", levels))
        else:
            levels = walk.tensor(name, after.dtype)
            walk.look_up(node, name, after.levels(before.reals()), levels)  # type: ignore[union-attr]
            inputs.append(walk.renamed.get(levels, levels))
    axis = node.attrs["axis"]
    walk.append(Node("Concat", inputs, [output], {"axis": axis}, name=node.name, version=13))
    return None
