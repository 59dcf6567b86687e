"""From ONNX operators to planned ones: channels-last images, explicit layouts, windows with all padding resolved."""

from __future__ import annotations

from ..graph import ONNX, Graph, TensorType
from ..layout import Lowering
from ..operators.lower_activation import SIMPLE_ACTIVATIONS, lower_activation, lower_recognised
from ..operators.lower_binary import lower_binary
from ..operators.lower_convolution import lower_conv, lower_conv_transpose
from ..operators.lower_matmul import lower_gemm, lower_matmul
from ..operators.lower_movement import lower_concat, lower_gather, lower_pad, lower_slice, lower_split
from ..operators.lower_normalise import (
    lower_batch_normalization,
    lower_group_normalization,
    lower_instance_normalization,
    lower_layer_normalization,
    lower_lrn,
    lower_recognised_normalisation,
)
from ..operators.lower_pool import lower_average_pool, lower_global_average_pool, lower_global_max_pool, lower_max_pool
from ..operators.lower_reduce import REDUCTIONS, lower_reduce, lower_softmax
from ..operators.lower_resize import lower_resize
from ..operators.lower_shape import (
    lower_cast,
    lower_depth_to_space,
    lower_expand,
    lower_identity,
    lower_reshape,
    lower_space_to_depth,
    lower_tile,
    lower_transpose,
)

LOWER = {
    "Conv": lower_conv,
    "ConvTranspose": lower_conv_transpose,
    "MaxPool": lower_max_pool,
    "AveragePool": lower_average_pool,
    "GlobalAveragePool": lower_global_average_pool,
    "GlobalMaxPool": lower_global_max_pool,
    **dict.fromkeys(SIMPLE_ACTIVATIONS, lower_activation),
    **dict.fromkeys(("Relu", "Clip", "HardSwish", "Gelu"), lower_activation),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "PRelu", "Sum", "Mean", "Min", "Max"), lower_binary),
    "Gemm": lower_gemm,
    "MatMul": lower_matmul,
    "Concat": lower_concat,
    "Split": lower_split,
    "Slice": lower_slice,
    "Pad": lower_pad,
    "Gather": lower_gather,
    "Transpose": lower_transpose,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), lower_reshape),
    **dict.fromkeys(("Identity", "Dropout"), lower_identity),
    **dict.fromkeys(("Cast", "CastLike"), lower_cast),
    "DepthToSpace": lower_depth_to_space,
    "SpaceToDepth": lower_space_to_depth,
    "Expand": lower_expand,
    "Tile": lower_tile,
    "BatchNormalization": lower_batch_normalization,
    "InstanceNormalization": lower_instance_normalization,
    "LayerNormalization": lower_layer_normalization,
    "GroupNormalization": lower_group_normalization,
    "LRN": lower_lrn,
    **dict.fromkeys(REDUCTIONS, lower_reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax"), lower_softmax),
    **dict.fromkeys(("Resize", "Upsample"), lower_resize),
}


# Planned operators that earlier passes made on the ONNX layout
_RECOGNISED = {"Activation": lower_recognised, "LayerNorm": lower_recognised_normalisation, "Cast": lower_cast}


def _is_movable(tensor_type: TensorType) -> bool:
    """Whether the size of the tensor is known, and its elements are numbers."""
    return tensor_type.is_static and tensor_type.dtype.kind in "fiub"


def lower(graph: Graph) -> Graph:
    """Every node becomes planned operators, or stays and runs on the ONNX layout where there are none for it."""
    lowering = Lowering(graph)
    dynamic = {name for name, tensor_type in graph.types.items() if not _is_movable(tensor_type)}
    for node in graph.nodes:
        function = LOWER.get(node.op) if node.domain == ONNX else _RECOGNISED.get(node.op)
        if dynamic and function is not None and not dynamic.isdisjoint((*node.inputs, *node.outputs)):
            function = None
        if function is None or not function(lowering, node):
            lowering.keep(node)
    return lowering.finish()
