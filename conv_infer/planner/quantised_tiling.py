"""Which int8 GEMM kernel a convolution gets. The cost model behind the choice is here."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import _core
from .depth_runs import DepthRuns, cover

# Cycles, fitted to measurements.
TILE_PRODUCT = 16.0  # of two tiles, whatever their rows
TILE_EPILOGUE = 60.0  # a tile's way through memory and requantisation, beside the products
TILE_CALL = 250.0  # configuring and releasing the tile registers, and the last epilogue
VECTOR_PRODUCT = 0.55
VECTOR_EPILOGUE = 2.5
VECTOR_CALL = 60.0


@lru_cache(maxsize=8)
def kernels_of(allowed: int) -> tuple[_core.Kernel, ...]:
    """The best kernel without tile registers, and the one with them where it may be used."""
    names = _core.isa_names()
    usable = [
        kernel for kernel in _core.kernels() if kernel.operation == "gemm_s8" and allowed >> names.index(kernel.isa) & 1
    ]
    plain = [kernel for kernel in usable if kernel.isa != "amx"]
    best = max(plain, key=lambda kernel: names.index(kernel.isa))
    return best, *(kernel for kernel in usable if kernel.isa == "amx")


def cycles(kernel: _core.Kernel, rows: int, columns: int, blocks: int) -> float:
    """About how long one group's product takes."""
    if kernel.isa == "amx":
        tiles = -(-rows // 16) * -(-columns // 16)
        return TILE_CALL * -(-columns // kernel.nr) + tiles * (TILE_PRODUCT * blocks + TILE_EPILOGUE)
    vectors = -(-columns // 16)
    panels = -(-columns // kernel.nr)
    return VECTOR_CALL * panels + rows * vectors * (VECTOR_PRODUCT * blocks + VECTOR_EPILOGUE)


def choose_kernel(
    tables: np.ndarray, uses: list[int], columns: int, rows: int, allowed: int
) -> tuple[_core.Kernel, list[DepthRuns]]:
    """The kernel predicted to be fastest, and how it covers the patches of each table (int32 [tables, depth]); `uses`:
    the table of each group, `columns` those of a group."""
    options = []
    for kernel in kernels_of(allowed):
        covers = [cover(table, kernel.k_step) for table in tables]
        total = sum(cycles(kernel, rows, columns, covers[table].blocks) for table in uses)
        options.append((total, kernel, covers))
    _, kernel, covers = min(options, key=lambda option: option[0])
    return kernel, covers
