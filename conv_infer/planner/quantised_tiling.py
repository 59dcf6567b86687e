"""Which int8 kernel a convolution gets, GEMM or Winograd. The cost model behind the choice is here."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import _core
from .depth_runs import DepthRuns, cover
from .tiling import TASKS_PER_THREAD, RowPlan

# Cycles, fitted to measurements.
TILE_PRODUCT = 16.0  # of two tiles, whatever their rows
TILE_EPILOGUE = 80.0  # a tile's way through memory and requantisation, beside the products
TILE_CALL = 250.0  # configuring and releasing the tile registers, and the last epilogue
VECTOR_PRODUCT = 0.55
VECTOR_EPILOGUE = 2.5
VECTOR_CALL = 60.0
# Of Winograd's form, in multiply-adds of one position of a tile, fitted to measurements:
PATCH_PRODUCTS = 5.0  # of transforming an input channel
OUTPUT_PRODUCTS = 5.0  # of transforming an output channel back, and requantising it
# A multiply-add of the direct form, in those of Winograd's: NEON multiplies bytes faster than int16, twice as fast on
# a Cortex-A72, hardly on a Cortex-A53 (llvm-mca).
DIRECT_PRODUCT = {"neon": 0.7}
TILES_OF_A_TASK = 16  # at least, for the weights to be read for


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


@lru_cache(maxsize=1)
def winograd_kernels() -> dict[str, _core.Kernel]:
    """By instruction set."""
    return {kernel.isa: kernel for kernel in _core.kernels() if kernel.operation == "winograd_s8"}


def winograd_kernel(outputs: tuple[int, int, int], depth: int, columns: int, allowed: int) -> _core.Kernel | None:
    """The Winograd kernel for a 3x3 convolution of stride 1, None where the direct form is predicted to be as fast:
    always where the best GEMM kernel has an instruction for products of bytes. `outputs` are images, height, width."""
    gemm = kernels_of(allowed)
    kernel = next(
        (kernel for kernel in _core.kernels() if kernel.operation == "winograd_s8" and kernel.isa == gemm[0].isa), None
    )
    if kernel is None or len(gemm) > 1:
        return None
    images, height, width = outputs
    tiles = images * -(-height // 2) * -(-width // 2)
    padded_depth, padded_columns = -(-depth // kernel.nr) * kernel.nr, -(-columns // kernel.nr) * kernel.nr
    direct = images * height * width * columns * depth * 9 * DIRECT_PRODUCT.get(kernel.isa, 1.0)
    each = padded_columns * depth + PATCH_PRODUCTS * padded_depth + OUTPUT_PRODUCTS * padded_columns
    winograd = tiles * 16 * each
    return kernel if winograd < direct else None


def plan_tiles(kernel: _core.Kernel, shape: tuple[int, ...], threads: int) -> RowPlan:
    """How tiles and panels are dealt out. A task transforms the patches of its tiles, so panels are shared out only
    where there are too few tiles."""
    images, height, width, columns = shape
    tiles = images * -(-height // 2) * -(-width // 2)
    panels = -(-columns // kernel.nr)
    if threads == 1:
        return RowPlan(tiles, panels)
    wanted = threads * TASKS_PER_THREAD
    tile_tasks = max(1, min(wanted, tiles // TILES_OF_A_TASK))
    panel_tasks = min(panels, -(-wanted // tile_tasks))
    return RowPlan(-(-tiles // tile_tasks), -(-panels // panel_tasks))
