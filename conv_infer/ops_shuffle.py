"""Channel shuffle."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InputError
from .ops_geometry import any_array, check_layout, integer


def channel_shuffle(x: Any, groups: int, *, layout: str = "NCHW") -> np.ndarray:
    """Deals the channels of `groups` groups out in turn: output channel c * groups + g is channel c of group g.

    `x`: [N, C, H, W] or [C, H, W] of any dtype (layout "NHWC": channels last). Returns the same shape, contiguous.
    Raises `conv_infer.InputError` naming the argument that is at fault.

    Source: Zhang et al., ShuffleNet, CVPR 2018.
    """
    return _turn(x, groups, layout, False)


def channel_unshuffle(x: Any, groups: int, *, layout: str = "NCHW") -> np.ndarray:
    """Undoes `channel_shuffle` with the same arguments."""
    return _turn(x, groups, layout, True)


def _turn(x: Any, groups: int, layout: str, back: bool) -> np.ndarray:
    axis = -1 if check_layout(layout) else -3
    x = any_array("x", x)
    if x.ndim not in (3, 4):
        raise InputError(f"x: rank {x.ndim} (shape {list(x.shape)}), expected rank 3 or 4")
    groups = integer("groups", groups, 1)
    channels = x.shape[axis]
    if channels % groups:
        raise InputError(f"groups: {channels} channels are not divisible by {groups}")
    axis += x.ndim
    split = (channels // groups, groups) if back else (groups, channels // groups)
    parts = x.reshape(*x.shape[:axis], *split, *x.shape[axis + 1 :]).swapaxes(axis, axis + 1)
    return np.ascontiguousarray(parts).reshape(x.shape)
