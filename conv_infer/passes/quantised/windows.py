"""`fuse_quantised`: operators that move elements or pick the greatest, and those that average: pools, Softmax.

Averages, as onnxruntime 1.31 computes them:

- QMean (GlobalAveragePool, ReduceMean): round(float32(sum of levels less zero point) * scale) + y_zero_point with
  scale = x_scale / (y_scale * float32(count)).
- QAveragePool: the float32 sum of float32(level - x_zero_point) * x_scale over the window, row by row from left to
  right, divided by the number of elements, divided by y_scale, plus y_zero_point, then rounded.
- QSoftmax: round(e * factor / sum) + y_zero_point; e is the entry of a table of float32 exponentials at
  255 - (maximum - level), sum that of all e along the axis, added one after the other, and factor is 1 / y_scale
  rounded down: as the graph has it that is less than one level off, and onnxruntime does so for a Softmax between
  DequantizeLinear and QuantizeLinear too.
"""

from __future__ import annotations

import math

import numpy as np

from ...graph import Node
from ...operators.slicing import resolve_pad_value
from .levels import Levels, Quantisation, Weights
from .walk import Walk

_POOL = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides", "channels_last")
_RESHAPES = frozenset(("Flatten", "Reshape", "Squeeze", "Unsqueeze"))


def movement(walk: Walk, node: Node) -> str | None:
    """The same on the levels."""
    value = walk.values.get(node.inputs[0])
    if isinstance(value, Weights):
        return _move_weights(walk, node, value)
    if value is None or any(name in walk.values for name in node.inputs[1:]):
        return "only its first input may be quantised"
    if node.op == "Dropout" and any(node.outputs[1:]):
        return "its mask is asked for"
    outputs = [output and walk.tensor(output, walk.dtype(value.source)) for output in node.outputs]
    walk.append(node.replace(inputs=[value.source, *node.inputs[1:]], outputs=outputs))
    for output, levels in zip(node.outputs, outputs, strict=True):
        if output:
            walk.define(node, output, Levels(levels, value.quantisation, value.reals))
    return None


def _move_weights(walk: Walk, node: Node, value: Weights) -> str | None:
    """Constants stay integers where a Transpose, or a Reshape of a tensor with one scale, comes between."""
    output = node.outputs[0]
    if node.op == "Transpose":
        perm = tuple(node.attrs.get("perm") or range(value.array.ndim)[::-1])
        axis = None if value.axis is None else perm.index(value.axis)
        walk.values[output] = Weights(value.array.transpose(perm), value.scale, value.zero_point, axis)
    elif node.op in _RESHAPES and value.axis is None:
        array = value.array.reshape(walk.shape(output))
        walk.values[output] = Weights(array, value.scale, value.zero_point, None)
    elif node.op == "Identity":
        walk.values[output] = value
    else:
        return "its input is a constant"
    return None


def pad(walk: Walk, node: Node) -> str | None:
    """Pad with a value that one of the levels stands for."""
    value = walk.values.get(node.inputs[0])
    if not isinstance(value, Levels):
        return "only its first input may be quantised"
    if node.attrs.get("mode", "constant") != "constant":
        return movement(walk, node)
    number = resolve_pad_value(node, [walk.constants.get(name) for name in node.inputs])
    found = walk.pure(node.inputs[0])
    if number is None or found is None:
        return "what it writes is computed"
    source, quantisation = found
    level = quantisation.level(number)
    if (np.float32(level - quantisation.zero_point) * quantisation.scale) != np.float32(number):
        return "no level stands for the number that it writes"
    levels = walk.tensor(node.outputs[0], quantisation.dtype)
    if node.version < 11:
        padded = node.replace(inputs=[source], outputs=[levels], attrs={**node.attrs, "value": float(level)})
    else:
        constant = walk.graph.add_constant(f"{levels}:value", np.array(level, quantisation.dtype))
        padded = node.replace(inputs=[source, node.inputs[1], constant, *node.inputs[3:]], outputs=[levels])
    walk.append(padded)
    walk.define(node, node.outputs[0], Levels(levels, quantisation))
    return None


def resize(walk: Walk, node: Node) -> str | None:
    if node.attrs.get("mode", "nearest") != "nearest":
        return "its results lie between the levels"
    if node.attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return "it writes numbers of its own"
    return movement(walk, node)


def max_pool(walk: Walk, node: Node) -> str | None:
    """The greatest level, where a greater level stands for a greater number."""
    value = walk.values[node.inputs[0]]
    if any(node.outputs[1:]) or len(walk.shape(node.inputs[0])) not in (3, 4):
        return "only images and signals have an integer form, without indices"
    if not isinstance(value, Levels) or not value.ascends(walk.dtype(value.source)):
        return "the order of the numbers is not that of the levels"
    return movement(walk, node)


def global_max_pool(walk: Walk, node: Node) -> str | None:
    kernel = list(walk.shape(node.inputs[0])[2:])
    return max_pool(walk, node.replace(op="MaxPool", attrs={"kernel_shape": kernel}, version=12))


# Averages


def average_pool(walk: Walk, node: Node) -> str | None:
    if len(walk.shape(node.inputs[0])) not in (3, 4) or any(step != 1 for step in node.attrs.get("dilations", ())):
        return "only images and signals have an integer form, without dilation"
    return _between(walk, node, "QAveragePool", _pool_attrs(node))


def global_average_pool(walk: Walk, node: Node) -> str | None:
    axes = tuple(range(2, len(walk.shape(node.inputs[0]))))
    return _between(walk, node, "QMean", {"axes": axes, "keepdims": 1}) if axes else "it averages nothing"


def reduce_mean(walk: Walk, node: Node) -> str | None:
    rank = len(walk.shape(node.inputs[0]))
    axes = node.attrs.get("axes")
    if len(node.inputs) > 1 and node.inputs[1]:
        array = walk.constants.get(node.inputs[1])
        axes = None if array is None else array.reshape(-1).tolist()
    if not axes:
        return "its axes are computed, or left out"
    axes = tuple(sorted({axis % rank for axis in axes}))
    return _between(walk, node, "QMean", {"axes": axes, "keepdims": int(node.attrs.get("keepdims", 1))})


def softmax(walk: Walk, node: Node) -> str | None:
    rank = len(walk.shape(node.inputs[0]))
    axis = node.attrs.get("axis", -1 if node.version >= 13 else 1)
    found = walk.pure(node.inputs[0])
    target = walk.target(node.outputs[0])
    if found is None or target is None:
        return "its input is not quantised as a whole, or no QuantizeLinear follows"
    after = target.quantisation
    if target.bounds != (after.lowest, after.highest):
        return "its result is clamped"
    attrs = _softmax_attrs(walk, node, found[1], after, axis + rank if axis < 0 else axis)
    walk.emit(node, "QSoftmax", [found[0]], walk.settle(node, target), attrs)
    return None


def _between(walk: Walk, node: Node, op: str, attrs: dict) -> str | None:
    """An average between DequantizeLinear and QuantizeLinear."""
    found = walk.pure(node.inputs[0])
    if found is None:
        return "its input is not quantised as a whole"
    target = walk.target(node.outputs[0])
    if target is None:
        return "no QuantizeLinear follows"
    source, before = found
    after = target.quantisation
    if target.bounds != (after.lowest, after.highest):
        return "its result is clamped"
    walk.emit(node, op, [source], walk.settle(node, target), {**attrs, **_scales(before, after)})
    return None


def _scales(before: Quantisation, after: Quantisation) -> dict:
    return {
        "x_scale": before.scale,
        "x_zero_point": before.zero_point,
        "y_scale": after.scale,
        "y_zero_point": after.zero_point,
    }


def _pool_attrs(node: Node) -> dict:
    return {name: node.attrs[name] for name in _POOL if name in node.attrs}


def _softmax_attrs(walk: Walk, node: Node, before: Quantisation, after: Quantisation, axis: int) -> dict:
    """`axis` counts from the front; before opset 13 all axes from there on are one."""
    shape = walk.shape(node.inputs[0])
    count = math.prod(shape[axis:]) if node.version < 13 else shape[axis]
    table = softmax_table(before.scale, count)
    factor = np.floor(np.float32(1) / after.scale)
    return {**_scales(before, after), "axis": axis, "table": table, "factor": factor}


def softmax_table(scale: np.float32, count: int) -> np.ndarray:
    """exp(scale * (i - 255)) for i < 256, float32, times a constant: the greatest whose sums of `count` are safe.

    onnxruntime's table times 2^-16, so that the products with 1 / y_scale are finite too.
    """
    room = max(0.0, math.log(float(np.finfo(np.float32).max / np.float32(count))) - 5.0)
    shift = room / float(scale)
    exponentials = [math.exp((level - 255 + shift) * float(scale)) for level in range(256)]
    return np.array(exponentials, np.float64).astype(np.float32) * np.float32(2.0**-16)


# As the graph has them: parameters as inputs


def _parameters(walk: Walk, node: Node) -> tuple[Quantisation, Quantisation] | None:
    """Those of x (inputs 1 and 2) and of the result (3 and 4)."""
    inputs = [*node.inputs, *[""] * (5 - len(node.inputs))]
    before = walk.quantisation(inputs[1], inputs[2], walk.dtype(inputs[0]))
    after = walk.quantisation(inputs[3], inputs[4], walk.dtype(node.outputs[0]))
    return None if before is None or after is None else (before, after)


def qlinear_average_pool(walk: Walk, node: Node) -> str | None:
    found = _parameters(walk, node)
    if found is None or len(walk.shape(node.inputs[0])) not in (3, 4):
        return "its parameters are computed, or it pools neither images nor signals"
    walk.emit(node, "QAveragePool", node.inputs[:1], node.outputs[0], {**_pool_attrs(node), **_scales(*found)})
    return None


def qlinear_global_average_pool(walk: Walk, node: Node) -> str | None:
    found = _parameters(walk, node)
    rank = len(walk.shape(node.inputs[0]))
    if found is None or rank < 3:
        return "its parameters are computed, or there is nothing to average"
    axes = tuple(range(1, rank - 1)) if node.attrs.get("channels_last") else tuple(range(2, rank))
    attrs = {"axes": axes, "keepdims": 1, **_scales(*found)}
    walk.emit(node, "QMean", node.inputs[:1], node.outputs[0], attrs)
    return None


def qlinear_softmax(walk: Walk, node: Node) -> str | None:
    """The attribute `opset` says which Softmax is meant."""
    found = _parameters(walk, node)
    if found is None:
        return "its parameters are computed"
    node = node.replace(version=int(node.attrs["opset"]))
    rank = len(walk.shape(node.inputs[0]))
    axis = node.attrs.get("axis", -1 if node.version >= 13 else 1)
    attrs = _softmax_attrs(walk, node, *found, axis + rank if axis < 0 else axis)
    walk.emit(node, "QSoftmax", node.inputs[:1], node.outputs[0], attrs)
    return None
