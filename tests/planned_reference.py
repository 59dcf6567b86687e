"""A NumPy interpreter of planned operators, for tests: clear, slow, written from their definitions alone."""

from __future__ import annotations

import math

import numpy as np

from conv_infer.emit.resize import source_positions
from conv_infer.graph import INTERNAL, Graph, Node

_erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


ACTIVATIONS = {
    "clamp": lambda x, a, b: np.minimum(np.maximum(x, a), b),
    "leaky_relu": lambda x, a, b: np.where(x >= 0, x, a * x),
    "hard_swish": lambda x, a, b: x * np.clip(a * x + b, 0, 1),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "sigmoid": lambda x, a, b: sigmoid(x),
    "silu": lambda x, a, b: x * sigmoid(a * x),
    "tanh": lambda x, a, b: np.tanh(x),
    "elu": lambda x, a, b: np.where(x >= 0, x, a * np.expm1(x)),
    "selu": lambda x, a, b: b * np.where(x >= 0, x, a * np.expm1(x)),
    "celu": lambda x, a, b: np.maximum(0, x) + np.minimum(0, a * np.expm1(x / a)),
    "mish": lambda x, a, b: x * np.tanh(np.log1p(np.exp(x))),
    "gelu": lambda x, a, b: x / 2 * (1 + _erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x, a, b: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "softplus": lambda x, a, b: np.log1p(np.exp(x)),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: np.log(x),
    "sqrt": lambda x, a, b: np.sqrt(x),
    "abs": lambda x, a, b: np.abs(x),
    "neg": lambda x, a, b: -x,
    "reciprocal": lambda x, a, b: 1 / x,
    "floor": lambda x, a, b: np.floor(x),
    "ceil": lambda x, a, b: np.ceil(x),
    "round": lambda x, a, b: np.rint(x),
    "erf": lambda x, a, b: _erf(x),
    "sin": lambda x, a, b: np.sin(x),
    "cos": lambda x, a, b: np.cos(x),
}

BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": np.minimum,
    "max": np.maximum,
    "pow": np.power,
    "prelu": lambda x, slope: np.where(x >= 0, x, slope * x),
}

REDUCE = {
    "sum": lambda x, axes: x.sum(axes, keepdims=True),
    "mean": lambda x, axes: x.mean(axes, keepdims=True),
    "max": lambda x, axes: x.max(axes, keepdims=True),
    "min": lambda x, axes: x.min(axes, keepdims=True),
    "prod": lambda x, axes: x.prod(axes, keepdims=True),
    "l1": lambda x, axes: np.abs(x).sum(axes, keepdims=True),
    "l2": lambda x, axes: np.sqrt((x * x).sum(axes, keepdims=True)),
    "sum_square": lambda x, axes: (x * x).sum(axes, keepdims=True),
    "log_sum": lambda x, axes: np.log(x.sum(axes, keepdims=True)),
    "log_sum_exp": lambda x, axes: np.log(np.exp(x).sum(axes, keepdims=True)),
}


def activate(x, activation):
    if activation is None:
        return x
    kind, alpha, beta = activation
    return ACTIVATIONS[kind](x, alpha, beta)


def windows(x, kernel, strides, dilations, pads, size, fill):
    """NHWC -> [N, OH, OW, kh, kw, C]; what lies outside the padded input is `fill` too."""
    (kh, kw), (sy, sx), (dy, dx), (top, left, _, _) = kernel, strides, dilations, pads
    oh, ow = size
    n, h, w, c = x.shape
    below = max(0, (oh - 1) * sy + (kh - 1) * dy + 1 - top - h)
    right = max(0, (ow - 1) * sx + (kw - 1) * dx + 1 - left - w)
    padded = np.full((n, top + h + below, left + w + right, c), fill, x.dtype)
    padded[:, top : top + h, left : left + w] = x
    rows = (np.arange(oh) * sy)[:, None] + np.arange(kh) * dy
    columns = (np.arange(ow) * sx)[:, None] + np.arange(kw) * dx
    return padded[:, rows[:, None, :, None], columns[None, :, None, :], :]


def conv(x, w, bias, residual, attrs, output_shape):
    if attrs["input_layout"] == "NCHW":
        x = x.transpose(0, 2, 3, 1)
    o, kh, kw, depth = w.shape
    groups = attrs["groups"]
    if attrs["input_channels"] is not None:
        channels = np.asarray(attrs["input_channels"])
        assert channels.shape == (groups * depth,)
        x = x[..., channels]
    assert x.shape[-1] == groups * depth, (x.shape, w.shape, groups)
    for axis in range(2):
        padded = x.shape[1 + axis] + attrs["pads"][axis] + attrs["pads"][2 + axis]
        extent = ((kh, kw)[axis] - 1) * attrs["dilations"][axis] + 1
        count = (padded - extent) // attrs["strides"][axis] + 1
        # The stride of a single window has no effect, and is 1 then whatever it was.
        assert count == output_shape[1 + axis] or (output_shape[1 + axis] == attrs["strides"][axis] == 1 <= count)
    cut = windows(x, (kh, kw), attrs["strides"], attrs["dilations"], attrs["pads"], output_shape[1:3], 0)
    n, oh, ow = cut.shape[:3]
    cut = cut.reshape(n * oh * ow, kh * kw, groups, depth).transpose(2, 0, 1, 3).reshape(groups, n * oh * ow, -1)
    w = w.reshape(groups, o // groups, kh * kw * depth).transpose(0, 2, 1)
    result = (cut @ w).transpose(1, 0, 2).reshape(n, oh, ow, o)
    if bias is not None:
        result = result + bias
    if residual is not None:
        assert residual.shape == result.shape
        result = result + residual
    return activate(result, attrs["activation"])


def conv_transpose(x, w, bias, attrs, output_shape):
    c, kh, kw, per_group = w.shape
    groups = attrs["groups"]
    n, h, wd, _ = x.shape
    (sy, sx), (dy, dx), (top, left, _, _) = attrs["strides"], attrs["dilations"], attrs["pads"]
    _, oh, ow, o = output_shape
    full_h = max((h - 1) * sy + (kh - 1) * dy + 1, top + oh)
    full_w = max((wd - 1) * sx + (kw - 1) * dx + 1, left + ow)
    full = np.zeros((n, full_h, full_w, groups, per_group), x.dtype)
    xg = x.reshape(n, h, wd, groups, c // groups)
    wg = w.reshape(groups, c // groups, kh, kw, per_group)
    for ky in range(kh):
        for kx in range(kw):
            part = np.einsum("nhwgc,gco->nhwgo", xg, wg[:, :, ky, kx])
            full[:, ky * dy : ky * dy + (h - 1) * sy + 1 : sy, kx * dx : kx * dx + (wd - 1) * sx + 1 : sx] += part
    result = full[:, top : top + oh, left : left + ow].reshape(n, oh, ow, o)
    if bias is not None:
        result = result + bias
    return activate(result, attrs["activation"])


def average_pool(x, attrs, output_shape):
    kernel, strides, pads = attrs["kernel"], attrs["strides"], attrs["pads"]
    size = output_shape[1:3]
    total = windows(x, kernel, strides, (1, 1), pads, size, 0).sum((3, 4))
    ones = np.ones((1, *x.shape[1:3], 1), x.dtype)
    if attrs["count_include_pad"]:
        ones = np.pad(ones, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)), constant_values=1)
        pads = (0, 0, 0, 0)
    count = windows(ones, kernel, strides, (1, 1), pads, size, 0).sum((3, 4))
    return total / count


def resize_linear(x, attrs, shape):
    """Two axes at once in float32, each operation as onnxruntime rounds it: levels that lie halfway must not move."""
    sides = []
    for axis, scale in zip((1, 2), attrs["scales"], strict=True):
        length = x.shape[axis]
        at = source_positions(attrs["coordinate_transformation_mode"], shape[axis], length, scale)
        at = np.clip(at, np.float32(0), np.float32(length - 1))
        low = at.astype(int)
        high = np.minimum(low + 1, length - 1)
        share = np.where(low == high, np.float32(0.5), at - low.astype(np.float32))
        rest = np.where(low == high, np.float32(0.5), high.astype(np.float32) - at)
        sides.append(((low, rest), (high, share)))
    total = None
    for rows, down in sides[0]:
        for columns, across in sides[1]:
            weight = across[None, :, None] * down[:, None, None]
            part = weight * x[:, rows][:, :, columns]
            total = part if total is None else total + part
    return total


def resize_axis(x, axis, scale, size, attrs):
    mode, coordinates = attrs["mode"], attrs["coordinate_transformation_mode"]
    length = x.shape[axis]
    out = np.arange(size, dtype=np.float64)
    if coordinates == "asymmetric":
        at = out / scale
    elif coordinates == "align_corners":
        at = out * ((length - 1) / (size - 1)) if size > 1 else out * 0
    elif coordinates == "pytorch_half_pixel":
        at = (out + 0.5) / scale - 0.5 if size > 1 else out * 0
    elif coordinates == "tf_half_pixel_for_nn":
        at = (out + 0.5) / scale
    elif coordinates == "half_pixel_symmetric":
        adjustment = size / (scale * length)
        at = length / 2 * (1 - adjustment) + (out + 0.5) / scale - 0.5
    else:
        at = (out + 0.5) / scale - 0.5
    if mode == "nearest":
        rounded = {
            "floor": np.floor,
            "ceil": np.ceil,
            "round_prefer_floor": lambda v: np.ceil(v - 0.5),
            "round_prefer_ceil": lambda v: np.floor(v + 0.5),
        }[attrs["nearest_mode"]](at)
        return np.take(x, np.clip(rounded, 0, length - 1).astype(int), axis)
    at = np.clip(at, 0, length - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, length - 1)
    shape = [1] * x.ndim
    shape[axis] = size
    share = (at - low).reshape(shape)
    return np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share


def lrn(x, attrs):
    size = attrs["size"]
    before = (size - 1) // 2
    padded = np.pad(x * x, ((0, 0),) * 3 + ((before, size - 1 - before),))
    total = sum(padded[..., index : index + x.shape[-1]] for index in range(size))
    return x / (attrs["bias"] + attrs["alpha"] / size * total) ** attrs["beta"]


def normalise(x, axes, epsilon):
    mean = x.mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + epsilon)


def softmax(x, axis, log):
    shifted = x - x.max(axis, keepdims=True)
    total = np.exp(shifted).sum(axis, keepdims=True)
    return shifted - np.log(total) if log else np.exp(shifted) / total


def evaluate(node: Node, inputs: list, output_shape: tuple[int, ...], output_dtype: np.dtype):
    """The output of one planned operator."""
    op, attrs = node.op, node.attrs
    x = inputs[0]
    if op == "Conv":
        return conv(*inputs, attrs, output_shape)
    if op == "ConvTranspose":
        return conv_transpose(*inputs, attrs, output_shape)
    if op == "MaxPool":
        low = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        cut = windows(x, attrs["kernel"], attrs["strides"], attrs["dilations"], attrs["pads"], output_shape[1:3], low)
        return cut.max((3, 4))
    if op == "AveragePool":
        return average_pool(x, attrs, output_shape)
    if op == "Activation":
        return ACTIVATIONS[attrs["kind"]](x, attrs["alpha"], attrs["beta"])
    if op == "Binary":
        return activate(BINARY[attrs["kind"]](x, inputs[1]), attrs["activation"])
    if op == "Affine":
        return activate(x * inputs[1] + inputs[2], attrs["activation"])
    if op == "Reduce":
        return REDUCE[attrs["kind"]](x, attrs["axes"])
    if op == "Softmax":
        return softmax(x, attrs["axis"], attrs["log"])
    if op == "LRN":
        return lrn(x, attrs)
    if op == "InstanceNorm":
        grouped = x.reshape(*x.shape[:3], attrs["groups"], -1)
        return normalise(grouped, (1, 2, 4), attrs["epsilon"]).reshape(x.shape) * inputs[1] + inputs[2]
    if op == "LayerNorm":
        result = normalise(x, tuple(range(attrs["axis"], x.ndim)), attrs["epsilon"])
        result = result if inputs[1] is None else result * inputs[1]
        return result if inputs[2] is None else result + inputs[2]
    if op == "Resize":
        if x.dtype == np.float32 and attrs["mode"] == "linear":
            return resize_linear(x, attrs, output_shape)
        x = resize_axis(x, 1, attrs["scales"][0], output_shape[1], attrs)
        return resize_axis(x, 2, attrs["scales"][1], output_shape[2], attrs)
    if op == "BatchMatMul":
        return attrs["alpha"] * (x @ inputs[1])
    if op == "Transpose":
        return x.transpose(attrs["perm"])
    if op == "Slice":
        starts, steps = attrs["starts"], attrs["steps"]
        picks = [start + step * np.arange(size) for start, step, size in zip(starts, steps, output_shape, strict=True)]
        return x[np.ix_(*picks)]
    if op == "Concat":
        return np.concatenate(inputs, attrs["axis"])
    if op == "Pad":
        rank = x.ndim
        pairs = list(zip(attrs["pads"][:rank], attrs["pads"][rank:], strict=True))
        extra = {"constant_values": attrs["value"]} if attrs["mode"] == "constant" else {}
        return np.pad(x, pairs, attrs["mode"], **extra)
    if op == "Expand":
        return np.broadcast_to(x, output_shape)
    if op == "Reshape":
        return x.reshape(output_shape)
    if op == "Cast":
        return x.astype(output_dtype)
    if op == "ChannelGather":
        return x[..., attrs["channels"]]
    if op == "Tile":
        return np.tile(x, [size // old for size, old in zip(output_shape, x.shape, strict=True)])
    from planned_reference_quantised import evaluate as evaluate_quantised  # which takes `windows` from here

    result = evaluate_quantised(node, inputs, output_shape, output_dtype)
    assert result is not None, f"no such planned operator: {op}"
    return result


def run_onnx_node(node: Node, inputs: list):
    """A node that stayed ONNX, by the onnx package's own NumPy implementation."""
    from conv_infer.reference import run_node

    return run_node(node, inputs)


def run_graph(graph: Graph, feeds: dict[str, np.ndarray], real=np.float64) -> dict[str, np.ndarray]:
    """The outputs of a planned graph, float32 tensors computed as `real`. Checks every tensor's declared type."""

    def widen(array):
        array = np.asarray(array)
        return array.astype(real) if array.dtype in (np.float32, np.float64) else array

    values = {name: widen(array) for name, array in {**graph.constants, **feeds}.items()}
    for node in graph.nodes:
        inputs = [values[name] if name else None for name in node.inputs]
        if node.domain == INTERNAL:
            declared = graph.types[node.outputs[0]]
            results = [widen(evaluate(node, inputs, declared.shape, declared.dtype))]
        else:
            narrow = [a.astype(np.float32) if a is not None and a.dtype == real else a for a in inputs]
            results = [widen(result) for result in run_onnx_node(node, narrow)]
        for name, result in zip(node.outputs, results, strict=True):
            declared = graph.types[name]
            assert not declared.is_static or result.shape == declared.shape, (
                f"{node}: {result.shape}, declared {declared}"
            )
            expected = real if declared.dtype == np.float32 else declared.dtype
            assert result.dtype == expected, f"{node}: {result.dtype}, declared {declared}"
            values[name] = result
    return {name: values[name] for name in graph.outputs}
