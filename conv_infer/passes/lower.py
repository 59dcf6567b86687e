"""From ONNX operators to planned ones: channels-last images, explicit layouts, windows with all padding resolved."""

from __future__ import annotations

from ..graph import INTERNAL, Graph, TensorType
from ..layout import Lowering
from ..operators import OPERATORS
from ..operators.lower_activation import lower_recognised
from ..operators.lower_normalise import lower_recognised_groups, lower_recognised_normalisation
from ..operators.lower_quantised import QUANTISED
from ..operators.lower_shape import lower_cast

# Planned operators that earlier passes made on the ONNX layout
_RECOGNISED = {
    "Activation": lower_recognised,
    "InstanceNorm": lower_recognised_groups,
    "LayerNorm": lower_recognised_normalisation,
    "Cast": lower_cast,
    **QUANTISED,
}


def _is_movable(tensor_type: TensorType) -> bool:
    """Whether the size of the tensor is known, and its elements are numbers."""
    return tensor_type.is_static and tensor_type.dtype.kind in "fiub"


def lower(graph: Graph) -> Graph:
    """Every node becomes planned operators, or stays and runs on the ONNX layout where there are none for it."""
    lowering = Lowering(graph)
    # Tensors that steps cannot have; a constant without elements says that there are no axes, scales or the like.
    dynamic = {
        name
        for name, tensor_type in graph.types.items()
        if not _is_movable(tensor_type) or (0 in tensor_type.shape and name not in graph.constants)  # type: ignore[operator]
    }
    for node in graph.nodes:
        if node.domain == INTERNAL:
            function = _RECOGNISED[node.op]
        else:
            operator = OPERATORS.get((node.domain, node.op))
            function = None if operator is None else operator.lower
        if dynamic and function is not None and not dynamic.isdisjoint((*node.inputs, *node.outputs)):
            function = None
        if function is None or not function(lowering, node):
            lowering.keep(node)
    return lowering.finish()
