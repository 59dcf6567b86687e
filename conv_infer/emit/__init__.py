"""The table of emitters: one for every planned operator."""

from __future__ import annotations

from collections.abc import Callable

from ..graph import Node
from . import (
    bottleneck,
    convolution,
    copies,
    elementwise,
    matmul,
    normalise,
    pool,
    pooled_convolution,
    quantised,
    quantised_convolution,
    reduce,
    resize,
)
from .context import EmitContext, StepInfo

EMITTERS: dict[str, Callable[[EmitContext, Node], StepInfo]] = {
    "Conv": convolution.emit_conv,
    "Bottleneck": bottleneck.emit_bottleneck,
    "PooledConv": pooled_convolution.emit_pooled_conv,
    # copies
    "Copy": copies.emit_copy,
    "Transpose": copies.emit_transpose,
    "Slice": copies.emit_slice,
    "Concat": copies.emit_concat,
    "Expand": copies.emit_expand,
    "Tile": copies.emit_tile,
    "Reshape": copies.emit_reshape,
    "Pad": copies.emit_pad,
    "ChannelGather": copies.emit_channel_gather,
    # elementwise
    "Activation": elementwise.emit_activation,
    "Binary": elementwise.emit_binary,
    "Affine": elementwise.emit_affine,
    # reductions, normalisations, conversions
    "Reduce": reduce.emit_reduce,
    "Cast": reduce.emit_cast,
    "Softmax": normalise.emit_softmax,
    "LRN": normalise.emit_lrn,
    "InstanceNorm": normalise.emit_instance_norm,
    "LayerNorm": normalise.emit_layer_norm,
    "Resize": resize.emit_resize,
    "BatchMatMul": matmul.emit_batch_matmul,
    # pooling
    "MaxPool": pool.emit_max_pool,
    "AveragePool": pool.emit_average_pool,
    # on quantised tensors
    "QConv": quantised_convolution.emit_qconv,
    "Quantize": quantised.emit_quantize,
    "Dequantize": quantised.emit_dequantize,
    "QBinary": quantised.emit_qbinary,
    "QLookup": quantised.emit_qlookup,
    "QMean": quantised.emit_qmean,
    "QAveragePool": quantised.emit_qaverage_pool,
    "QSoftmax": quantised.emit_qsoftmax,
}
