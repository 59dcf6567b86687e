"""Convolution of images by any form of lowering, its gradients, and its transpose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import _core
from .errors import InputError
from .isa import allowed_isa_bits
from .ops_forms import AUTO, check_form, fastest, strip_for
from .ops_geometry import FLOATS, SUMS, Geometry, array_of, check_layout, integer, pads_of, pair
from .ops_patches import empty, patches_of, plan_of, sum_patches
from .threads import MACS_PER_THREAD, default_threads

INFINITY = float("inf")
NAMED_ACTIVATIONS = {None: (0, -INFINITY, INFINITY), "relu": (0, 0.0, INFINITY), "relu6": (0, 0.0, 6.0)}
KINDS = ("clamp", "leaky_relu", "hard_swish", "hard_sigmoid")  # as ci_activation_kind numbers them
EXACT_BOUND = 2.0**24  # float32 holds every integer up to here


def conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    lowering: str = "auto",
    activation: Any = None,
    threads: int | None = None,
) -> np.ndarray:
    """Convolution (cross-correlation, as networks have it), lowered to matrix products.

    `x`: [N, C, H, W] or one image [C, H, W]; `w`: OIHW [OC, C / groups, KH, KW]; `b`: [OC] or None. With layout "NHWC",
    which needs no copies at either end, `x` has its channels last and `w` is OHWI [OC, KH, KW, C / groups]. dtypes:
    float32 (on the micro-kernels), float64, or int8 and uint8 (plain loops, summed in int32 without zero points, as
    ONNX ConvInteger-10); `w` has x's, `b` the result's. `stride`, `dilation`: an integer or (y, x); `pad`: an integer,
    (y, x) or (top, left, bottom, right), of zeros.

    `lowering`: "im2row" (traditional), "two_patch" (two rows at a time; widened to int16 where x has 8 bits), "mec",
    "reusable" (the reusable buffer, strips of columns), "reusable_rows", "in_place", "indirect", or "auto", the one
    that the planner's cost model takes to be fastest. Strips hold enough outputs for 48 rows a product. in_place and
    indirect copy the image once where there is padding, for want of a producer that leaves room for it.

    `activation`: None, "relu", "relu6", or (kind, alpha, beta) with the kinds "clamp" (from alpha to beta),
    "leaky_relu" (alpha), "hard_swish" and "hard_sigmoid" (slope alpha, offset beta); 8-bit convolutions take
    the clamps.
    `threads`: None chooses by the amount of work; the result does not depend on it.

    Returns [N, OC, OH, OW], or [OC, OH, OW] for one image (layout "NHWC": channels last); int32 for 8-bit types. All
    forms sum in the order (ky, kx, c), from the bias on, and so agree to the bit, float32 within one instruction set.
    Raises `conv_infer.InputError` naming the argument that is at fault.

    Sources: `include/conv_infer/lowering.h` names one for each form; ONNX Conv-11 for the geometry.
    """
    last = check_layout(layout)
    x = array_of("x", x, (3, 4))
    w = array_of("w", w, (4,), (x.dtype.name,))
    if b is not None:
        b = np.ascontiguousarray(array_of("b", b, (1,), (np.dtype(SUMS[x.dtype.name]).name,)))
    images = x if x.ndim == 4 else x[None]
    if not last:
        images, w = images.transpose(0, 2, 3, 1), w.transpose(0, 2, 3, 1)
    images, w = np.ascontiguousarray(images), np.ascontiguousarray(w)
    check_groups(groups, images.shape[3], w.shape[0], w.shape[3])
    geometry = Geometry(images.shape[1:3], w.shape[1:3], stride, pad, dilation, kernel_name="w")
    kind = _activation(activation, x.dtype.name)
    result = Convolution(images, w, b, geometry, groups, lowering, kind, threads).run()
    if not last:
        result = np.ascontiguousarray(result.transpose(0, 3, 1, 2))
    return result if x.ndim == 4 else result[0]


def check_groups(groups: Any, channels: int, columns: int, depth: int, name: str = "w") -> None:
    groups = integer("groups", groups, 1)
    if channels % groups or columns % groups:
        raise InputError(f"groups: {channels} input and {columns} output channels are not divisible by {groups}")
    if depth != channels // groups:
        raise InputError(f"{name}: {depth} input channels per group; x has {channels} channels in {groups} group(s)")


class Convolution:
    """Contiguous NHWC images with OHWI weights, ready to be run, again and again where the images change in place.

    `lowering` is the form that was asked for, or that "auto" has chosen; `output` is what `run` answers each time."""

    __slots__ = ("_core", "lowering", "output")

    def __init__(
        self,
        images: np.ndarray,
        weights: np.ndarray,
        bias: np.ndarray | None,
        geometry: Geometry,
        groups: int = 1,
        lowering: str = AUTO,
        activation: tuple[int, float, float] = NAMED_ACTIVATIONS[None],
        threads: int | None = None,
    ):
        columns, depth = weights.shape[0], math.prod(weights.shape[1:])
        if bias is not None and bias.shape != (columns,):
            raise InputError(f"b: shape {list(bias.shape)}, expected [{columns}]")
        if depth > (2**31 - 1) // (255 * 255) and images.dtype.itemsize == 1:
            raise InputError(f"w: sums of {depth} products of 8-bit numbers may leave int32")
        check_form(lowering)
        if lowering == AUTO:
            lowering = fastest(geometry, weights.shape[3], columns // groups, images.dtype.name)
        self.lowering = lowering
        shape = (images.shape[0], geometry.out_height, geometry.out_width, columns)
        if threads is None:
            work = math.prod(shape) * depth
            threads = 1 if work < MACS_PER_THREAD else default_threads()
        strip = strip_for(lowering, geometry)
        plan_of(lowering, geometry, weights.shape[3], strip)
        self.output = empty(shape, SUMS[images.dtype.name], "the output")
        self._core = _core.Conv2d(
            images,
            weights,
            bias,
            self.output,
            form=lowering,
            kernel=geometry.kernel,
            strides=geometry.strides,
            dilations=geometry.dilations,
            pads=geometry.pads,
            groups=groups,
            strip=strip,
            activation=activation,
            threads=min(integer("threads", threads, 1), 256),
            allowed=allowed_isa_bits(),
        )

    def run(self) -> np.ndarray:
        self._core.run()
        return self.output


def _activation(activation: Any, dtype: str) -> tuple[int, float, float]:
    if activation is None or isinstance(activation, str):
        if activation not in NAMED_ACTIVATIONS:
            raise InputError(f"activation: {activation!r} is not known; known: relu, relu6, ({', '.join(KINDS)}, ...)")
        return NAMED_ACTIVATIONS[activation]
    try:
        kind, alpha, beta = activation
        result = (KINDS.index(kind), float(alpha), float(beta))
    except (TypeError, ValueError):
        raise InputError(
            f"activation: {activation!r} is not (kind, alpha, beta), kind one of {', '.join(KINDS)}"
        ) from None
    if math.isnan(result[1]) or math.isnan(result[2]):
        raise InputError(f"activation: {activation!r} has NaN for a number")
    if dtype in FLOATS:
        return result
    low, high = result[1:]
    exact = all(math.isinf(bound) or (bound.is_integer() and abs(bound) <= EXACT_BOUND) for bound in (low, high))
    if result[0] != 0 or not exact or low == INFINITY or high == -INFINITY:
        raise InputError(f"activation: {activation!r}; 8-bit convolutions take clamps to integers of at most 2**24")
    return result


def conv2d_backward(
    dout: Any, x: Any, w: Any, *, stride: Any = 1, pad: Any = 0, dilation: Any = 1, groups: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of `conv2d`, by im2row and row2im.

    `dout`: the gradient of the output, [N, OC, OH, OW]; `x`: [N, C, H, W]; `w`: [OC, C / groups, KH, KW], all float32
    or all float64; the other arguments those of `conv2d`. Returns `dx`, `dw`, `db` in the shapes of x, w and [OC]: with
    the patches P of x, dw is dout' P, dx the patches dout w summed where they overlap, db dout summed over pixels.
    Raises `conv_infer.InputError` naming the argument that is at fault.

    Source: Chellapilla et al., 2006 (backward passes as matrix products).
    """
    x = array_of("x", x, (4,), FLOATS)
    w = array_of("w", w, (4,), (x.dtype.name,))
    dout = array_of("dout", dout, (4,), (x.dtype.name,))
    columns = w.shape[0]
    check_groups(groups, x.shape[1], columns, w.shape[1])
    geometry = Geometry(x.shape[2:], w.shape[2:], stride, pad, dilation, kernel_name="w")
    expected = (x.shape[0], columns, geometry.out_height, geometry.out_width)
    if dout.shape != expected:
        raise InputError(f"dout: shape {list(dout.shape)}, expected {list(expected)}")
    images = x.transpose(0, 2, 3, 1)
    products = np.ascontiguousarray(dout.transpose(0, 2, 3, 1)).reshape(x.shape[0], geometry.positions, columns)
    weights = np.ascontiguousarray(w.transpose(0, 2, 3, 1))
    dw = np.zeros_like(weights)
    each, depth = columns // groups, w.shape[1]
    for group in range(groups):
        outputs = slice(group * each, (group + 1) * each)
        inputs = np.ascontiguousarray(images[..., group * depth : (group + 1) * depth])
        for patches, gradient in zip(patches_of(inputs, geometry), products[..., outputs], strict=True):
            dw[outputs] += (gradient.T @ patches).reshape(dw[outputs].shape)
    dx = _spread(products, weights, geometry, groups)
    return (
        np.ascontiguousarray(dx.transpose(0, 3, 1, 2)),
        np.ascontiguousarray(dw.transpose(0, 3, 1, 2)),
        dout.sum(axis=(0, 2, 3)),
    )


def conv_transpose2d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    output_padding: Any = 0,
) -> np.ndarray:
    """Transposed convolution: every input pixel times the kernel, summed where they overlap. It is `conv2d_backward`'s
    dx, and shares its code.

    `x`: [N, C, H, W]; `w`: [C, OC / groups, KH, KW]; `b`: [OC] or None, all float32 or all float64; `stride`, `pad`,
    `dilation` as in `conv2d`, of which this is the transpose; `output_padding`: an integer or (y, x), below the stride,
    grows the output at its end. Returns [N, OC, OH, OW] with OH = (H - 1) * stride + (KH - 1) * dilation + 1 - pads +
    output_padding. Raises `conv_infer.InputError` naming the argument that is at fault.

    Source: ONNX ConvTranspose-11; Dumoulin and Visin, arXiv:1603.07285.
    """
    x = array_of("x", x, (4,), FLOATS)
    w = array_of("w", w, (4,), (x.dtype.name,))
    groups = integer("groups", groups, 1)
    images, channels, height, width = x.shape
    if channels % groups:
        raise InputError(f"groups: {channels} input channels are not divisible by {groups}")
    if w.shape[0] != channels:
        raise InputError(f"w: {w.shape[0]} input channels, x has {channels}")
    columns = w.shape[1] * groups
    strides, dilations, pads = pair("stride", stride), pair("dilation", dilation), pads_of("pad", pad)
    extra = pair("output_padding", output_padding, 0)
    size = []
    for axis, count in enumerate((height, width)):
        if extra[axis] >= strides[axis]:
            raise InputError(f"output_padding: {extra[axis]} is not below the stride, {strides[axis]}")
        window = (w.shape[2 + axis] - 1) * dilations[axis] + 1
        size.append((count - 1) * strides[axis] + window + extra[axis] - pads[axis] - pads[axis + 2])
        if size[-1] < 1:
            raise InputError(f"pad: nothing is left of the output, which would have a size of {size[-1]}")
    geometry = Geometry(tuple(size), w.shape[2:], strides, pads, dilations, kernel_name="w")
    pixels = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(images, height * width, channels)
    result = _spread(pixels, np.ascontiguousarray(w.transpose(0, 2, 3, 1)), geometry, groups)
    if b is not None:
        b = array_of("b", b, (1,), (x.dtype.name,))
        if b.shape != (columns,):
            raise InputError(f"b: shape {list(b.shape)}, expected [{columns}]")
        result += b
    return np.ascontiguousarray(result.transpose(0, 3, 1, 2))


def _spread(pixels: np.ndarray, weights: np.ndarray, geometry: Geometry, groups: int) -> np.ndarray:
    """NHWC images on which every pixel [N, P, OC] has left its multiple of the weights OHWI."""
    each = weights.shape[0] // groups
    parts = []
    for group in range(groups):
        of_group = slice(group * each, (group + 1) * each)
        parts.append(sum_patches(pixels[..., of_group] @ weights[of_group].reshape(each, -1), geometry))
    return np.concatenate(parts, axis=3)
