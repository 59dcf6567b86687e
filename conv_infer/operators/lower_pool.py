"""MaxPool, AveragePool and the global pools as planned operators."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from ..layout import Lowering
from .lower_window import emit_on_image, pair, window_attrs
from .pooling import resolve_pooling

_MAX_POOL_TYPES = {np.dtype(np.float32), np.dtype(np.int8), np.dtype(np.uint8)}


def lower_max_pool(lowering: Lowering, node: Node) -> bool:
    x = node.inputs[0]
    if any(node.outputs[1:]) or lowering.dtype(x) not in _MAX_POOL_TYPES or lowering.rank(x) not in (3, 4):
        return False  # with indices, of other types, in three dimensions
    window = resolve_pooling(node, lowering.shape(x))
    emit_on_image(lowering, node, "MaxPool", [], {"kernel": pair(window.kernel, 1), **window_attrs(window)})
    return True


def lower_average_pool(lowering: Lowering, node: Node) -> bool:
    x = node.inputs[0]
    if not lowering.is_float(x) or lowering.rank(x) not in (3, 4):
        return False
    window = resolve_pooling(node, lowering.shape(x))
    attrs = {"kernel": pair(window.kernel, 1), **window_attrs(window)}
    if attrs.pop("dilations") != (1, 1):
        return False
    attrs["count_include_pad"] = bool(node.attrs.get("count_include_pad", 0))
    emit_on_image(lowering, node, "AveragePool", [], attrs)
    return True


def _lower_global(kind: str):
    def lower(lowering: Lowering, node: Node) -> bool:
        x = node.inputs[0]
        if not lowering.is_float(x) or lowering.rank(x) < 3:
            return False
        physical, order = lowering.use_home(x)
        axes = tuple([position for position, axis in enumerate(order) if axis >= 2])
        lowering.emit(node, "Reduce", [physical], order, {"kind": kind, "axes": axes})
        return True

    return lower


lower_global_average_pool = _lower_global("mean")
lower_global_max_pool = _lower_global("max")
