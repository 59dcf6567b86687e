"""The operators of the C library as functions: NumPy in, NumPy out, compiled underneath.

    >>> from conv_infer import ops
    >>> rows = ops.im2row(image, 3, pad=1)                     # the method, by itself
    >>> y = ops.conv2d(x, w, b, stride=2, lowering="reusable") # on the micro-kernels, by any form of lowering
    >>> for form in ops.lowering_report((1, 3, 227, 227), (96, 3, 11, 11), stride=4): print(form)

The functions whose names end in _s8 are the int8 operators of CMSIS-NN (`conv_infer.ops_s8`); `conv2d_s8` is its
convolution by any form of lowering.
"""

from __future__ import annotations

from .ops_conv import conv2d, conv2d_backward, conv_transpose2d
from .ops_patches import col2im, fold_output, im2col, im2row, row2im
from .ops_report import FormReport, lowering_report
from .ops_s8 import *  # noqa: F403
from .ops_s8 import __all__ as _s8
from .ops_shuffle import channel_shuffle, channel_unshuffle
from .ops_signal import convolve1d, convolve2d

__all__ = [
    *_s8,
    "FormReport",
    "channel_shuffle",
    "channel_unshuffle",
    "col2im",
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "convolve1d",
    "convolve2d",
    "fold_output",
    "im2col",
    "im2row",
    "lowering_report",
    "row2im",
]
