"""Two building blocks of networks, put together from conv_infer.ops. Tensors are NCHW float32."""

from __future__ import annotations

import numpy as np

from conv_infer import ops


def resnext_bottleneck(x: np.ndarray, reduce: tuple, grouped: tuple, expand: tuple, groups: int) -> np.ndarray:
    """1x1 to fewer channels, 3x3 in groups, 1x1 back, plus the input (Xie et al., CVPR 2017). Each layer is (w, b)."""
    y = ops.conv2d(x, *reduce, activation="relu")
    y = ops.conv2d(y, *grouped, pad=1, groups=groups, activation="relu")
    return np.maximum(ops.conv2d(y, *expand) + x, 0)


def shufflenet_unit(x: np.ndarray, reduce: tuple, depthwise: tuple, expand: tuple, groups: int) -> np.ndarray:
    """1x1 in groups, shuffle, 3x3 depthwise, 1x1 in groups, plus the input (Zhang et al., CVPR 2018)."""
    y = ops.conv2d(x, *reduce, groups=groups, activation="relu")
    y = ops.channel_shuffle(y, groups)
    y = ops.conv2d(y, *depthwise, pad=1, groups=y.shape[1])
    return np.maximum(ops.conv2d(y, *expand, groups=groups) + x, 0)
