"""What every form of lowering would take for a layer: memory, copies, products, time. The forms' numbers come from the
library that runs them, the times from the planner's cost model."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _core
from .errors import InputError
from .isa import allowed_isa_bits
from .ops_geometry import DTYPES, Geometry, integer
from .ops_patches import plan_of
from .planner.lowering import FLOAT_BYTES, copy_ns, products_ns, reach, reusable_runs, runs_ns

OFFSET_BYTES = 4  # an entry of the indirection buffer
# int8 alone has products that go another way than the kernels: those of two patches, in loops that compilers turn into
# vector code, as they do with the portable kernel's. Multiply-adds a nanosecond, kernels with vectors of their own
# coming near the last; and what begins and ends each product of two patches and two columns.
PORTABLE_MACS_PER_NS, VECTOR_MACS_PER_NS = 24.0, 70.0
PAIR_NS = 10.0


class Gemm(NamedTuple):
    """`count` matrix products of [M, K] rows, `lda` elements apart, with [K, N] weights; the last may have fewer rows.
    `lda` is 0 where every row has an offset of its own."""

    M: int
    N: int
    K: int
    lda: int
    count: int


class FormReport(NamedTuple):
    """One form of lowering for one layer. The buffer is that of one image and group, used again for the next; copies,
    products and time are those of the whole layer. Elements of `indirect` are offsets of 4 bytes."""

    form: str
    buffer_elems: int
    buffer_bytes: int
    copied_elems: int
    gemm: Gemm
    predicted_ns: float  # beyond the multiply-adds of the kernels, which are the same for every form; one thread


def lowering_report(
    input: Any,
    weight: Any,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    dtype: Any = "float32",
) -> list[FormReport]:
    """Memory, copies, products and predicted time of every form of lowering for a convolution.

    `input`: the shape (N, C, H, W); `weight`: (OC, C / groups, KH, KW); `stride`, `pad`, `dilation` as in `conv2d`;
    `dtype`: "float32", "float64", "int8" or "uint8". With K = KH * KW * C / groups, Hp the rows that windows touch with
    their padding, and strips of one output, the buffers are: im2row OH * OW * K; two_patch 2 * K (int16 where dtype has
    8 bits); mec OW * Hp * KW * C; reusable Hp * KW * C + (OW - 1) * SW * C, or Hp * KW * C where SW > KW; reusable_rows
    the same with rows for columns; in_place none, for padding is written by whoever writes the input; indirect
    OH * OW * KH * KW offsets. A form whose buffer would have 2**30 elements or more is left out.

    Raises `conv_infer.InputError` naming the argument that is at fault.
    """
    images, channels, height, width = _shape("input", input)
    columns, depth, kernel_height, kernel_width = _shape("weight", weight)
    groups = integer("groups", groups, 1)
    if channels % groups or columns % groups:
        raise InputError(f"groups: {channels} input and {columns} output channels are not divisible by {groups}")
    if depth != channels // groups:
        raise InputError(f"weight: {depth} input channels per group, expected {channels // groups}")
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = repr(dtype)
    if name not in DTYPES:
        raise InputError(f"dtype: {name} is not supported; supported: {', '.join(DTYPES)}")
    geometry = Geometry(
        (height, width), (kernel_height, kernel_width), stride, pad, dilation, kernel_name="weight", image_name="input"
    )
    itemsize = np.dtype(name).itemsize
    reports, refused = [], None
    for form in _core.lowering_forms():
        try:
            plan = plan_of(form, geometry, depth, is_framed=True)
        except InputError as error:  # this form needs too much
            refused = error
            continue
        entry = OFFSET_BYTES if form == "indirect" else 2 if form == "two_patch" and itemsize == 1 else itemsize
        reports.append(
            FormReport(
                form,
                plan.buffer_elems,
                plan.buffer_elems * entry,
                plan.copied_elems * images * groups,
                Gemm(plan.rows, columns // groups, plan.depth, plan.lda, plan.gemms * images * groups),
                images * groups * predicted_ns(form, plan, geometry, columns // groups, name),
            )
        )
    if not reports:
        raise refused
    return reports


def predicted_ns(form: str, plan: Any, geometry: Geometry, columns: int, dtype: str = "float32") -> float:
    """For one image and group. A frame that the plan needs counts as copied."""
    scale = np.dtype(dtype).itemsize / FLOAT_BYTES
    copied, buffer = (plan.copied_elems + plan.frame_elems) * scale, (plan.buffer_elems + plan.frame_elems) * scale
    image = geometry.height * geometry.width * plan.depth // (geometry.kernel[0] * geometry.kernel[1])
    by_columns = form in ("mec", "reusable")
    predicted = copy_ns(copied, buffer) + runs_ns(_runs(form, plan, geometry), image * scale if by_columns else 0)
    if form == "two_patch" and np.dtype(dtype).itemsize == 1:
        predicted += geometry.positions * columns / 4 * PAIR_NS
        if _is_scalar():
            return predicted
        macs = geometry.positions * plan.depth * columns
        return predicted + macs / PORTABLE_MACS_PER_NS - macs / VECTOR_MACS_PER_NS
    predicted += products_ns(plan.gemms, plan.rows, plan.depth, columns)
    if form == "indirect":  # a product for each tap, and sums that wait in memory between them
        taps = geometry.kernel[0] * geometry.kernel[1]
        predicted += copy_ns(plan.buffer_elems)
        predicted += (taps - 1) * (products_ns(1, plan.rows, 0, columns) + copy_ns(plan.rows * columns))
    return predicted


def _is_scalar() -> bool:
    """Whether int8 products have no kernel but the portable one."""
    allowed = allowed_isa_bits()
    names = _core.isa_names()
    sets = {kernel.isa for kernel in _core.kernels() if kernel.operation == "gemm_s8"}
    return not any(allowed >> names.index(name) & 1 for name in sets - {"scalar"})


def _runs(form: str, plan: Any, geometry: Geometry) -> int:
    """How many copies of neighbouring elements bring an image into the buffer."""
    reaches = reach(plan.output_size, geometry.kernel, geometry.strides, geometry.dilations)
    if form in ("im2row", "two_patch"):
        return geometry.positions * geometry.kernel[0]
    if form == "mec":
        return geometry.out_width * reaches[0]
    if form in ("reusable", "reusable_rows"):
        return reusable_runs(form == "reusable_rows", plan.gemms, reaches, min(geometry.strides[0], geometry.kernel[0]))
    return reaches[0] if plan.frame_elems else 0


def _shape(name: str, value: Any) -> tuple[int, int, int, int]:
    values = list(value) if isinstance(value, (tuple, list)) else []
    if len(values) != 4:
        raise InputError(f"{name}: {value!r} is not a shape of four sizes")
    return tuple(integer(f"{name}[{at}]", entry, 1) for at, entry in enumerate(values))
