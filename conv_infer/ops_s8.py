"""int8 operators as CMSIS-NN and TensorFlow Lite define them: NumPy in, NumPy out, compiled underneath.

The functions of include/conv_infer/ops.h, with its names: tensors NHWC int8, weights OHWI int8, sums requantised by a
Q31 `multiplier` and a `shift` for each output channel (one value stands for all), rounded twice as CMSIS-NN does, plus
`output_offset`, clamped to `activation_min` .. `activation_max`. `input_offset` is added to the input (minus its zero
point). The results are the same bits on every instruction set.

`allowed` limits the instruction sets, as bits in the order of `conv_infer.cpu()`'s names (0: what CONV_INFER_ISA
allows). `scratch` is a uint8 array to work in; where it is None, one of the right size is made. Its size is what the
`*_scratch_bytes` function says of the same arguments. Every function raises `conv_infer.InputError` for an argument of
the wrong type, shape or range, and for scratch that is too small.
"""

from __future__ import annotations

from .ops_s8_conv import (
    conv2d_s8,
    conv2d_s8_scratch_bytes,
    convolve_s8,
    convolve_s8_scratch_bytes,
    depthwise_conv_s8,
    depthwise_conv_s8_scratch_bytes,
)
from .ops_s8_elementwise import avgpool_s8, elementwise_add_s8, elementwise_mul_s8, max_pool_s8, softmax_s8
from .ops_s8_layers import (
    fully_connected_s8,
    fully_connected_s8_scratch_bytes,
    transpose_conv_s8,
    transpose_conv_s8_scratch_bytes,
)

__all__ = [
    "avgpool_s8",
    "conv2d_s8",
    "conv2d_s8_scratch_bytes",
    "convolve_s8",
    "convolve_s8_scratch_bytes",
    "depthwise_conv_s8",
    "depthwise_conv_s8_scratch_bytes",
    "elementwise_add_s8",
    "elementwise_mul_s8",
    "fully_connected_s8",
    "fully_connected_s8_scratch_bytes",
    "max_pool_s8",
    "softmax_s8",
    "transpose_conv_s8",
    "transpose_conv_s8_scratch_bytes",
]
