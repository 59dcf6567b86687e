"""The table of emitters: one for every planned operator."""

from __future__ import annotations

from collections.abc import Callable

from ..graph import Node
from . import convolution
from .context import EmitContext, StepInfo

EMITTERS: dict[str, Callable[[EmitContext, Node], StepInfo]] = {
    "Conv": convolution.emit_conv,
}
