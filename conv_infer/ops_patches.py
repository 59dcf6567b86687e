"""Patches as matrices: im2row, im2col, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core
from .errors import ConvInferError, InputError, MemoryLimitError
from .ops_geometry import SUMS, Geometry, any_array, array_of, check_layout, pair


def im2row(
    x: Any,
    kernel: Any,
    *,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    layout: str = "NCHW",
    ceil_mode: bool = False,
) -> np.ndarray:
    """The patches of an image as the rows of a matrix.

    `x`: float32, float64, int8 or uint8, one image [C, H, W] or a batch [N, C, H, W] (layout "NHWC": [H, W, C],
    [N, H, W, C]). `kernel`, `stride`, `dilation`: an integer or (y, x); `pad`: an integer, (y, x) or
    (top, left, bottom, right), of zeros. With `ceil_mode` the last windows may reach past the padding, as pooling with
    ceil_mode has it (ONNX MaxPool-12); what they miss is zero.

    Returns [OH * OW, KH * KW * C], or [N, OH * OW, KH * KW * C], of x's dtype. Rows are in the order of output pixels
    (y, x); the elements of a patch are in the order (ky, kx, c), channels fastest, whatever the layout: the product
    with weights OHWI, flattened, is the convolution. Raises `conv_infer.InputError` naming the argument that is at
    fault, `conv_infer.MemoryLimitError` where the patches do not fit.

    Source: Chellapilla, Puri and Simard, High Performance Convolutional Neural Networks for Document Processing, 2006.
    """
    images, is_batch = _images(x, layout)
    geometry = Geometry(images.shape[1:3], pair("kernel", kernel), stride, pad, dilation, ceil_mode)
    rows = patches_of(images, geometry)
    return rows if is_batch else rows[0]


def im2col(
    x: Any,
    kernel: Any,
    *,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    layout: str = "NCHW",
    ceil_mode: bool = False,
) -> np.ndarray:
    """The patches of an image as the columns of a matrix: `im2row`, transposed.

    Arguments and errors as `im2row`. Returns [KH * KW * C, OH * OW], or [N, KH * KW * C, OH * OW], contiguous: row
    (ky, kx, c) holds that element of every patch.
    """
    rows = im2row(x, kernel, stride=stride, pad=pad, dilation=dilation, layout=layout, ceil_mode=ceil_mode)
    return np.ascontiguousarray(rows.swapaxes(-1, -2))


def row2im(
    rows: Any,
    size: Any,
    kernel: Any,
    *,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    layout: str = "NCHW",
    ceil_mode: bool = False,
) -> np.ndarray:
    """The image whose patches are given, overlaps summed: the adjoint of `im2row`, not its inverse.

    `rows`: [OH * OW, KH * KW * C] or [N, OH * OW, KH * KW * C], elements in `im2row`'s order, float32, float64, int8 or
    uint8; `size`: (H, W) of the image. The other arguments are those given to `im2row`. Patches are added in the order
    of the rows; what falls on padding is dropped.

    Returns [C, H, W] or [N, C, H, W] (layout "NHWC": channels last), of rows' dtype; int32 for 8-bit rows, whose sums
    are exact. Raises `conv_infer.InputError` naming the argument that is at fault.

    Source: ONNX Col2Im-18, whose columns hold the same elements in the order (c, ky, kx).
    """
    last = check_layout(layout)
    rows = array_of("rows", rows, (2, 3))
    height, width = pair("size", size)
    geometry = Geometry((height, width), pair("kernel", kernel), stride, pad, dilation, ceil_mode)
    taps = geometry.kernel[0] * geometry.kernel[1]
    if rows.shape[-2] != geometry.positions or rows.shape[-1] % taps:
        raise InputError(
            f"rows: shape {list(rows.shape)}, this geometry has [..., {geometry.positions}, a multiple of {taps}]"
        )
    batch = rows if rows.ndim == 3 else rows[None]
    images = sum_patches(batch, geometry)
    images = images if last else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return images if rows.ndim == 3 else images[0]


def col2im(
    columns: Any,
    size: Any,
    kernel: Any,
    *,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    layout: str = "NCHW",
    ceil_mode: bool = False,
) -> np.ndarray:
    """The image whose patches are given as columns, overlaps summed: `row2im` of the transpose.

    `columns`: [KH * KW * C, OH * OW] or [N, KH * KW * C, OH * OW], rows in the order (ky, kx, c). Everything else as
    `row2im`.
    """
    columns = array_of("columns", columns, (2, 3))
    try:
        return row2im(
            columns.swapaxes(-1, -2),
            size,
            kernel,
            stride=stride,
            pad=pad,
            dilation=dilation,
            layout=layout,
            ceil_mode=ceil_mode,
        )
    except InputError as error:
        if not str(error).startswith("rows:"):
            raise
        raise InputError(f"columns: shape {list(columns.shape)}, transposed as {error}") from None


def fold_output(product: Any, size: Any, *, layout: str = "NCHW") -> np.ndarray:
    """The product of a convolution's GEMM as its output image.

    `product`: [OH * OW, OC], the rows of `im2row` times the weights, or a batch [N, OH * OW, OC], of any dtype;
    `size`: (OH, OW). Returns [OC, OH, OW] or [N, OC, OH, OW] (layout "NHWC": channels last), contiguous. Raises
    `conv_infer.InputError` naming the argument that is at fault.
    """
    last = check_layout(layout)
    product = any_array("product", product)
    height, width = pair("size", size)
    if product.ndim not in (2, 3) or product.shape[-2] != height * width:
        raise InputError(f"product: shape {list(product.shape)}, expected [..., {height * width}, channels]")
    image = product.reshape(*product.shape[:-2], height, width, product.shape[-1])
    return np.ascontiguousarray(image if last else np.moveaxis(image, -1, -3))


def _images(x: Any, layout: str) -> tuple[np.ndarray, bool]:
    """A batch of contiguous NHWC images, and whether it came as a batch."""
    last = check_layout(layout)
    x = array_of("x", x, (3, 4))
    batch = x if x.ndim == 4 else x[None]
    return np.ascontiguousarray(batch if last else batch.transpose(0, 2, 3, 1)), x.ndim == 4


def patches_of(images: np.ndarray, geometry: Geometry) -> np.ndarray:
    """[N, OH * OW, KH * KW * C] of contiguous NHWC images."""
    plan = plan_of("im2row", geometry, images.shape[3])
    rows = empty((images.shape[0], geometry.positions, plan.depth), images.dtype, "the patches")
    for image, target in zip(images, rows, strict=True):
        plan.fill(0, image, target)
    return rows


def sum_patches(rows: np.ndarray, geometry: Geometry) -> np.ndarray:
    """NHWC images of the patches [N, OH * OW, KH * KW * C]."""
    channels = rows.shape[2] // (geometry.kernel[0] * geometry.kernel[1])
    plan = plan_of("im2row", geometry, channels)
    shape = (rows.shape[0], geometry.height, geometry.width, channels)
    images = empty(shape, SUMS[rows.dtype.name], "the image")
    for patches, target in zip(np.ascontiguousarray(rows), images, strict=True):
        plan.scatter(patches, target)
    return images


def plan_of(
    form: str, geometry: Geometry, channels: int, strip: int = 1, is_framed: bool = False
) -> _core.LoweringPlan:
    size = (geometry.height, geometry.width, channels)
    try:
        return _core.LoweringPlan(
            form, size, geometry.kernel, geometry.strides, geometry.dilations, geometry.pads, strip, is_framed
        )
    except ConvInferError as error:
        raise InputError(f"{geometry.image_name} or pad: the padded image is too large: {error}") from None


def empty(shape: tuple[int, ...], dtype: Any, what: str) -> np.ndarray:
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError):
        raise MemoryLimitError(f"{what}: the machine refused an array of shape {list(shape)}") from None
