"""The operators of the C library as functions: NumPy in, NumPy out, compiled underneath."""

from __future__ import annotations

from .ops_s8 import *  # noqa: F403
from .ops_s8 import __all__ as __all__
