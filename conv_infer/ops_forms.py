"""Which form of lowering a convolution of `conv_infer.ops` takes, and how many outputs its strips hold."""

from __future__ import annotations

from typing import Any

from . import _core
from .errors import InputError
from .ops_geometry import Geometry
from .ops_patches import plan_of
from .ops_report import predicted_ns
from .planner.lowering import strip_of

AUTO = "auto"


def check_form(lowering: Any) -> None:
    forms = [AUTO, *_core.lowering_forms()]
    if not isinstance(lowering, str) or lowering not in forms:
        raise InputError(f"lowering: {lowering!r} is not one of {', '.join(forms)}")


def strip_for(form: str, geometry: Geometry) -> int:
    if form == "reusable":
        return strip_of(geometry.out_width, geometry.out_height)
    if form == "reusable_rows":
        return strip_of(geometry.out_height, geometry.out_width)
    return 1


def fastest(geometry: Geometry, channels: int, columns: int, dtype: str) -> str:
    """By the planner's cost model, for a group of so many input and output channels."""
    predicted = {}
    for form in _core.lowering_forms():
        try:
            plan = plan_of(form, geometry, channels, strip_for(form, geometry))
        except InputError:  # this form needs too much
            continue
        predicted[form] = predicted_ns(form, plan, geometry, columns, dtype)
    if not predicted:
        raise InputError(f"{geometry.image_name} or pad: the padded image is too large for every form of lowering")
    return min(predicted, key=lambda form: predicted[form])
