"""Turns quantised graphs into planned operators on 8-bit tensors, still in the layout of the ONNX graph.

Both spellings become the same operators: DequantizeLinear -> op -> QuantizeLinear as most quantisers write it, and
QLinearConv with its kin. One walk forward. The output of a DequantizeLinear is not computed; it is remembered as
*levels*, a quantised tensor and what its levels stand for. Elementwise functions only change what the levels stand
for; operators that move elements are carried out on the quantised tensor; a QuantizeLinear then is a table lookup, or
nothing where its parameters are those that the levels have. Operators that compute sums (convolutions, pools,
additions, ...) look ahead for the QuantizeLinear that reads their result, through Relu and Clip, and become one integer
operator with it. Every rounding that a QuantizeLinear asks for is kept.

What cannot be done so is computed in float32 as the graph says it: the levels are dequantised, and the Dequantize says
in its attribute `note` for which node and why.
"""

from __future__ import annotations

from ..graph import Graph
from .quantised import elementwise, products, windows
from .quantised.tables import ARITHMETIC
from .quantised.walk import MOVEMENTS, Handler, Walk

# Operators on float32 tensors, some of whose inputs are quantised tensors that have not been dequantised
HANDLERS: dict[str, Handler] = {
    "Conv": products.conv,
    "Gemm": products.gemm,
    "MatMul": products.matmul,
    **dict.fromkeys(
        (
            *("Abs", "Activation", "Ceil", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid"),
            *("HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sin"),
            *("Softplus", "Softsign", "Sqrt", "Swish", "Tanh"),
        ),
        elementwise.unary,
    ),
    **dict.fromkeys(ARITHMETIC, elementwise.binary),
    "Concat": elementwise.concat,
    **dict.fromkeys(MOVEMENTS, windows.movement),
    "Pad": windows.pad,
    "Resize": windows.resize,
    "Upsample": windows.resize,
    "MaxPool": windows.max_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "AveragePool": windows.average_pool,
    "GlobalAveragePool": windows.global_average_pool,
    "ReduceMean": windows.reduce_mean,
    "Softmax": windows.softmax,
}

# Operators on quantised tensors, as the graph has them
INTEGER_HANDLERS: dict[str, Handler] = {
    "QuantizeLinear": Walk.quantise,
    "DequantizeLinear": Walk.dequantise,
    "QLinearConv": products.qlinear_conv,
    "ConvInteger": products.conv_integer,
    "QLinearMatMul": products.qlinear_matmul,
    "MatMulInteger": products.matmul_integer,
    "QGemm": products.qgemm,
    "QLinearAdd": elementwise.qlinear_binary,
    "QLinearMul": elementwise.qlinear_binary,
    "QLinearConcat": elementwise.qlinear_concat,
    "QLinearLeakyRelu": elementwise.qlinear_unary,
    "QLinearSigmoid": elementwise.qlinear_unary,
    "QLinearSoftmax": windows.qlinear_softmax,
    "QLinearAveragePool": windows.qlinear_average_pool,
    "QLinearGlobalAveragePool": windows.qlinear_global_average_pool,
}


def fuse_quantised(graph: Graph) -> Graph:
    if not any(node.op in INTEGER_HANDLERS for node in graph.nodes):
        return graph
    return Walk(graph, HANDLERS, INTEGER_HANDLERS).run()
