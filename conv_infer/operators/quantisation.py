"""Quantisation: from floating point to integers and back, and onnxruntime's quantised operators."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence

import numpy as np

from ..errors import ConvInferError, InputError
from ..graph import Node
from .checks import Shape, dims, has_input, integer, model_error, normalise_axis, tensor, unsupported
from .convolution import convolution
from .elementwise import broadcast_shapes, same_shape
from .matmul import matmul, resolve_gemm
from .pooling import qlinear_global_pooling, qlinear_pooling
from .shapes import element_type

_INTEGERS = ("int8", "uint8", "int16", "uint16")
INT32_MAX = 2**31 - 1


def resolve_quantisation_axis(node: Node, x: Shape, scale: Shape) -> int | None:
    """The axis along which scales differ (QuantizeLinear, DequantizeLinear); None for one scale."""
    if not scale or scale == (1,):
        return None
    axis = normalise_axis(node, integer(node, "axis", 1), len(x))
    if len(scale) != 1 or scale[0] != x[axis]:
        raise model_error(
            node, f"{tensor(node, 1, scale)} must be a scalar or hold {x[axis]} scales, one per element of axis {axis}"
        )
    return axis


def check_scale(node: Node, constants: Sequence[np.ndarray | None], index: int) -> None:
    """Raises unless a constant scale is positive and finite."""
    scale = constants[index] if index < len(constants) else None
    if scale is None or (scale.size == 1 and 0.0 < scale.item() < math.inf):
        return
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        bad = scale[~(np.isfinite(scale) & (scale > 0))].reshape(-1)[0]
        raise model_error(
            node, f"input '{node.inputs[index]}' is a scale of {bad}; positive finite numbers are expected"
        )


# Inputs that are scales, of the operators that run with scales known at run time only
_SCALES = {"DequantizeLinear": (1,), "QuantizeLinear": (1,), "QLinearConv": (1, 4, 6), "QLinearMatMul": (1, 4, 6)}


def check_fed_scales(node: Node, inputs: Sequence[np.ndarray | None], fed: Container[str]) -> None:
    """What `check_scale` does, before a node is run by scales that are not constant; `fed` are the network's inputs.

    Raises `InputError` for one that the caller gives, `ConvInferError` for one that the network computes. By a computed
    scale DequantizeLinear only multiplies, which is defined for any.
    """
    for index in _SCALES.get(node.op, ()):
        name, scale = node.inputs[index], np.asarray(inputs[index])
        if name not in fed and node.op == "DequantizeLinear":
            continue
        good = np.isfinite(scale) & (scale > 0)
        if good.all():
            continue
        what = f"a scale of {scale[~good].reshape(-1)[0]}; positive finite numbers are expected"
        if name in fed:
            raise InputError(f"input '{name}': node '{node.label}' ({node.op}) is given {what}")
        raise ConvInferError(f"node '{node.label}' ({node.op}): '{name}' was computed as {what}")


def is_blocked(node: Node) -> bool:
    """Whether scales belong to blocks of elements (opset 21 and later) instead of the tensor or an axis."""
    return bool(integer(node, "block_size", 0))


def _check_blocks(node: Node, x: Shape, scale: Shape) -> None:
    axis = normalise_axis(node, integer(node, "axis", 1), len(x))
    size = integer(node, "block_size")
    expected = (*x[:axis], -(-x[axis] // size), *x[axis + 1 :]) if size > 0 else None
    if scale != expected:
        raise model_error(node, f"{tensor(node, 1, scale)} does not hold a scale per {size} elements of axis {axis}")


def quantise(node: Node, shapes: list, constants: list) -> list:
    """QuantizeLinear and DequantizeLinear -10/13/19/21/23: per tensor, axis or block."""
    x, scale = shapes[:2]
    if is_blocked(node):
        _check_blocks(node, x, scale)
    else:
        resolve_quantisation_axis(node, x, scale)
    check_scale(node, constants, 1)
    if (
        has_input(node, 2)
        and shapes[2] != scale
        and not (dims(scale) in ("1", "scalar") and dims(shapes[2]) in ("1", "scalar"))
    ):
        raise model_error(
            node, f"{tensor(node, 2, shapes[2])} is the zero point; the shape of {tensor(node, 1, scale)} is expected"
        )
    return [x]


def quantised_type(node: Node, dtypes: list) -> list:
    """QuantizeLinear: the zero point's type, else `output_dtype`, else uint8."""
    dtype = np.dtype(np.uint8)
    if len(dtypes) > 2 and dtypes[2] is not None:
        dtype = dtypes[2]
    elif integer(node, "output_dtype", 0):
        dtype = element_type(node, "output_dtype")
    if dtype.name not in _INTEGERS:
        raise unsupported(node, f"output '{node.outputs[0]}' would be {dtype}; {', '.join(_INTEGERS)} are supported")
    return [dtype]


def dequantised_type(node: Node, dtypes: list) -> list:
    """DequantizeLinear: the scale's type, unless `output_dtype` says otherwise."""
    if integer(node, "output_dtype", 0):
        return [element_type(node, "output_dtype")]
    return [dtypes[1]]


def _along(node: Node, array: np.ndarray, x: np.ndarray, axis: int | None) -> np.ndarray:
    """A scale or zero point in the shape that broadcasts along its axis, one for each element where it has blocks."""
    if is_blocked(node):
        axis = normalise_axis(node, integer(node, "axis", 1), x.ndim)
        return np.repeat(array, integer(node, "block_size"), axis).take(np.arange(x.shape[axis]), axis)
    if axis is None:
        return array.reshape(())
    return array.reshape((-1,) + (1,) * (x.ndim - axis - 1))


def evaluate_quantise(node: Node, arrays: list) -> list | None:
    """QuantizeLinear: saturate(round half to even(x / scale) + zero point)."""
    x, scale = arrays[:2]
    axis = None if is_blocked(node) else resolve_quantisation_axis(node, x.shape, scale.shape)
    zero = arrays[2] if len(arrays) > 2 and arrays[2] is not None else None
    dtype = quantised_type(node, [None, None, zero if zero is None else zero.dtype])[0]
    levels = np.rint(x / _along(node, scale, x, axis))
    if zero is not None:
        levels = levels + _along(node, zero, x, axis).astype(levels.dtype)
    limits = np.iinfo(dtype)
    return [np.clip(levels, limits.min, limits.max).astype(dtype)]


def evaluate_dequantise(node: Node, arrays: list) -> list | None:
    """DequantizeLinear: (x - zero point) * scale."""
    x, scale = arrays[:2]
    axis = None if is_blocked(node) else resolve_quantisation_axis(node, x.shape, scale.shape)
    dtype = dequantised_type(node, [x.dtype, scale.dtype])[0]
    levels = x.astype(np.int64)
    if len(arrays) > 2 and arrays[2] is not None:
        levels = levels - _along(node, arrays[2], x, axis).astype(np.int64)
    return [np.asarray(levels.astype(scale.dtype) * _along(node, scale, x, axis), dtype=dtype)]


def dynamic_quantise(node: Node, shapes: list, constants: list) -> list:
    """DynamicQuantizeLinear-11: levels, scale, zero point."""
    return [shapes[0], (), ()]


# Operators on quantised tensors: (tensor, scale, zero point) for each operand, then the output's --------------------


def _check_parameters(
    node: Node, shapes: Sequence, constants: Sequence, pairs: Sequence[tuple[int, int]], per_channel: dict[int, int]
) -> None:
    """Checks scales and zero points at the input indices of `pairs`: one element, or as many as `per_channel` says."""
    for pair in pairs:
        check_scale(node, constants, pair[0])
        for index in pair:
            shape = shapes[index] if index < len(shapes) else None
            if shape is None or shape in ((), (1,)):
                continue
            channels = per_channel.get(index)
            if channels is None or shape != (channels,):
                wanted = "a scalar is" if channels is None else f"a scalar or {channels} values are"
                raise model_error(node, f"{tensor(node, index, shape)} is a scale or zero point; {wanted} expected")


def accumulator_bound(weights: np.ndarray, zero_points: np.ndarray, bias: np.ndarray | None) -> int:
    """What the sums of an integer product cannot exceed: weights [outputs, ...], one or `outputs` zero points."""
    outputs = weights.shape[0]
    flat = weights.reshape(outputs, -1)
    extra = np.zeros(1, np.int64) if bias is None or not bias.size else np.abs(bias.astype(np.int64).reshape(-1))
    quick = 255 * 255 * flat.shape[1] + int(extra.max())
    if quick <= INT32_MAX:
        return quick
    extra = np.broadcast_to(extra, (outputs,))
    zeros = np.broadcast_to(zero_points.reshape(-1), (outputs,)).astype(np.int64)
    greatest = 0
    for start in range(0, outputs, 64):  # a few channels at a time: the differences take eight times the memory
        part = slice(start, start + 64)
        sums = np.abs(flat[part] - zeros[part, None]).sum(axis=1)
        greatest = max(greatest, int((255 * sums + extra[part]).max()))
    return greatest


def _check_sums(
    node: Node,
    weights: Sequence[int],
    depth: int,
    constants: Sequence,
    index: int,
    zero_point: int,
    bias: int,
    axis: int,
) -> None:
    """Raises where sums of `depth` products could leave int32; exact where weights and zero points are constant.

    `index`, `zero_point`, `bias` are inputs of the node, `axis` is that of the weights' outputs.
    """
    if 255 * 255 * depth <= INT32_MAX // 2:
        return
    array = constants[index]
    zeros = constants[zero_point] if zero_point < len(constants) else None
    if array is None:
        bound = 255 * 255 * depth
    else:
        zeros = np.zeros(1, np.int64) if zeros is None else zeros
        extra = constants[bias] if 0 < bias < len(constants) else None
        bound = accumulator_bound(np.moveaxis(array, axis, 0), zeros, extra)
    if bound > INT32_MAX:
        raise unsupported(
            node,
            f"its sums of {depth} products with {tensor(node, index, weights)} could reach {bound}; "
            f"they are kept in int32, up to {INT32_MAX}",
        )


def qlinear_convolution(node: Node, shapes: list, constants: list) -> list:
    """QLinearConv-10: x, its scale and zero point, w, its, y's, bias."""
    result = convolution(node, shapes, constants)
    weights = shapes[3]
    _check_parameters(node, shapes, constants, ((1, 2), (4, 5), (6, 7)), {4: weights[0], 5: weights[0]})
    _check_sums(node, weights, math.prod(weights[1:]), constants, 3, 5, 8, 0)
    return result


def integer_convolution(node: Node, shapes: list, constants: list) -> list:
    """ConvInteger-10: x, w, zero points."""
    result = convolution(node, shapes, constants)
    for index, channels in ((2, 1), (3, shapes[1][0])):
        shape = shapes[index] if index < len(shapes) else None
        if shape is not None and shape not in ((), (1,), (channels,)):
            raise model_error(
                node, f"{tensor(node, index, shape)} is a zero point; a scalar or {channels} values are expected"
            )
    _check_sums(node, shapes[1], math.prod(shapes[1][1:]), constants, 1, 3, 0, 0)
    return result


def _check_matrix_parameters(node: Node, shapes: list, indices: Sequence[int], channels: int, axis: int) -> None:
    """Scales and zero points of a matrix: one, or one for each of its rows (`axis` -2) or columns (-1)."""
    for index in indices:
        shape = shapes[index] if index < len(shapes) else None
        if shape is None or shape in ((), (1,), (channels,)) or (len(shape) > 1 and shape[axis] in (1, channels)):
            continue
        raise model_error(
            node, f"{tensor(node, index, shape)} is a scale or zero point; a scalar or {channels} values are expected"
        )


def integer_matmul(node: Node, shapes: list, constants: list) -> list:
    """MatMulInteger-10: a, b, zero points."""
    result = matmul(node, shapes, constants)
    _check_matrix_parameters(node, shapes, (2,), shapes[0][-2] if len(shapes[0]) > 1 else 1, -2)
    _check_matrix_parameters(node, shapes, (3,), shapes[1][-1] if len(shapes[1]) > 1 else 1, -1)
    _check_matrix_sums(node, shapes, constants, 1, 3)
    return result


def _check_matrix_sums(node: Node, shapes: list, constants: list, index: int, zero_point: int) -> None:
    """The same for matrices [..., K, N]."""
    if len(shapes[index]) >= 2:
        zeros = shapes[zero_point] if zero_point < len(shapes) else None
        per_column = len(shapes[index]) == 2 and zeros is not None
        constants = constants if per_column or zeros is None else [*constants[:index], None, *constants[index + 1 :]]
        _check_sums(node, shapes[index], shapes[index][-2], constants, index, zero_point, 0, -1)


def qlinear_matmul(node: Node, shapes: list, constants: list) -> list:
    """QLinearMatMul-10/21: a, its scale and zero point, b, its, y's."""
    result = matmul(node, shapes, constants)
    for index in (1, 4, 6):
        check_scale(node, constants, index)
    rows = shapes[0][-2] if len(shapes[0]) > 1 else 1
    _check_matrix_parameters(node, shapes, (1, 2, 6, 7), rows, -2)
    _check_matrix_parameters(node, shapes, (4, 5), shapes[3][-1] if len(shapes[3]) > 1 else 1, -1)
    _check_matrix_sums(node, shapes, constants, 3, 5)
    return result


def qgemm(node: Node, shapes: list, constants: list) -> list:
    """com.microsoft.QGemm: a, its scale and zero point, b, its, c, y's; float32 without y's."""
    m, n, k = resolve_gemm(node, shapes[0], shapes[3])
    _check_parameters(node, shapes, constants, ((1, 2), (4, 5), (7, 8)), {4: n, 5: n})
    _check_sums(node, shapes[3], k, constants, 3, 5, 6, 0 if integer(node, "transB", 0) else 1)
    if (
        len(shapes) > 6
        and shapes[6] is not None
        and broadcast_shapes(node, [(m, n), None, None, None, None, None, shapes[6]]) != (m, n)
    ):
        raise model_error(node, f"{tensor(node, 6, shapes[6])} does not broadcast to {dims((m, n))}")
    return [(m, n)]


def qgemm_type(node: Node, dtypes: list) -> list:
    """QGemm: the type of y's zero point, float32 without it."""
    return [dtypes[8] if len(dtypes) > 8 and dtypes[8] is not None else np.dtype(np.float32)]


def qlinear_binary(node: Node, shapes: list, constants: list) -> list:
    """com.microsoft.QLinearAdd, QLinearMul: a, its scale and zero point, b, its, y's."""
    _check_parameters(node, shapes, constants, ((1, 2), (4, 5), (6, 7)), {})
    return [broadcast_shapes(node, [shapes[0], None, None, shapes[3]])]


def qlinear_unary(node: Node, shapes: list, constants: list) -> list:
    """com.microsoft.QLinearLeakyRelu, QLinearSigmoid: x, its scale and zero point, y's."""
    _check_parameters(node, shapes, constants, ((1, 2), (3, 4)), {})
    return same_shape(node, shapes, constants)


def qlinear_softmax(node: Node, shapes: list, constants: list) -> list:
    """com.microsoft.QLinearSoftmax: the same; attribute `opset` says which Softmax is meant."""
    default = -1 if integer(node, "opset") >= 13 else 1
    normalise_axis(node, integer(node, "axis", default), len(shapes[0]))
    return qlinear_unary(node, shapes, constants)


def qlinear_average_pool(node: Node, shapes: list, constants: list) -> list:
    """com.microsoft.QLinearAveragePool."""
    _check_parameters(node, shapes, constants, ((1, 2), (3, 4)), {})
    return qlinear_pooling(node, shapes, constants)


def qlinear_global_average_pool(node: Node, shapes: list, constants: list) -> list:
    """com.microsoft.QLinearGlobalAveragePool."""
    _check_parameters(node, shapes, constants, ((1, 2), (3, 4)), {})
    return qlinear_global_pooling(node, shapes, constants)
