"""MaxPool, AveragePool and the global pools as planned operators."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from ..layout import Lowering, permuted
from .lower_convolution import emit_on_image
from .lower_window import conv_window, kernel_pair

_MAX_POOL_TYPES = {np.dtype(np.float32), np.dtype(np.int8), np.dtype(np.uint8)}


def lower_max_pool(lowering: Lowering, node: Node) -> bool:
    x = node.inputs[0]
    wants_indices = len(node.outputs) > 1 and bool(node.outputs[1])
    if wants_indices or lowering.dtype(x) not in _MAX_POOL_TYPES or lowering.rank(x) not in (3, 4):
        return False
    kernel = node.attrs["kernel_shape"]
    attrs = conv_window(node, lowering.shape(x)[2:], kernel)
    emit_on_image(lowering, node, "MaxPool", [], {"kernel": kernel_pair(kernel), **attrs})
    return True


def lower_average_pool(lowering: Lowering, node: Node) -> bool:
    x = node.inputs[0]
    if not lowering.is_float(x) or lowering.rank(x) not in (3, 4):
        return False
    kernel = node.attrs["kernel_shape"]
    attrs = conv_window(node, lowering.shape(x)[2:], kernel)
    if attrs.pop("dilations") != (1, 1):
        return False
    attrs["count_include_pad"] = bool(node.attrs.get("count_include_pad", 0))
    emit_on_image(lowering, node, "AveragePool", [], {"kernel": kernel_pair(kernel), **attrs})
    return True


def _lower_global(kind: str):
    def lower(lowering: Lowering, node: Node) -> bool:
        x = node.inputs[0]
        if not lowering.is_float(x) or lowering.rank(x) < 3:
            return False
        physical, order = lowering.use_home(x)
        axes = tuple([position for position, axis in enumerate(order) if axis >= 2])
        assert permuted(lowering.shape(x), order) == lowering.shape(physical)
        lowering.emit(node, "Reduce", [physical], order, {"kind": kind, "axes": axes})
        return True

    return lower


lower_global_average_pool = _lower_global("mean")
lower_global_max_pool = _lower_global("max")
