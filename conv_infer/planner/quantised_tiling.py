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
VECTOR_PRODUCT = 0.55  # of 16 columns, with AVX-512 VNNI
VECTOR_PRODUCTS = {"avx2": 2.7, "avxvnni": 1.0, "avx512": 2.0}  # with others
VECTOR_EPILOGUE = 2.5
PICKED_ROW = 4.0  # of picking a window's bytes together, and for each of them:
PICKED_BYTE = 0.35
VECTOR_CALL = 60.0
# Of adding a residual: to a tile of sums, which comes from memory; to a vector of them, in a register
TILE_ADDITION = 150.0
VECTOR_ADDITION = 5.5
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


def cycles(kernel: _core.Kernel, rows: int, columns: int, blocks: int, adds: bool) -> float:
    """About how long one group's product takes; `adds`: its result is added to something."""
    if kernel.isa == "amx":
        tiles = -(-rows // 16) * -(-columns // 16)
        epilogue = TILE_EPILOGUE + (TILE_ADDITION if adds else 0.0)
        return TILE_CALL * -(-columns // kernel.nr) + tiles * (TILE_PRODUCT * blocks + epilogue)
    vectors = -(-columns // 16)
    panels = -(-columns // kernel.nr)
    product = VECTOR_PRODUCTS.get(kernel.isa, VECTOR_PRODUCT)
    epilogue = VECTOR_EPILOGUE + (VECTOR_ADDITION if adds else 0.0)
    return VECTOR_CALL * panels + rows * vectors * (product * blocks + epilogue)


class Reading:
    """How a kernel reads patches: the runs that cover those of each table. `picks`: their bytes are first copied
    together, each group's one after the other in whole blocks of the kernel's, and the one table is that of the copy.
    """

    __slots__ = ("covers", "kernel", "picks")

    def __init__(self, kernel: _core.Kernel, covers: list[DepthRuns], picks: bool):
        self.kernel = kernel
        self.covers = covers
        self.picks = picks


def choose_reading(tables: np.ndarray, uses: list[int], columns: int, rows: int, adds: bool, allowed: int) -> Reading:
    """The kernel and the way of reading predicted to be fastest. `tables`: where the bytes of patches lie, int32
    [tables, depth]; `uses`: the table of each group, `columns` those of a group."""
    depth = tables.shape[1]
    together = np.arange(depth, dtype=np.int32)
    best, least = None, 0.0
    for kernel in kernels_of(allowed):
        covers = [cover(table, kernel.k_step) for table in tables]
        cost = sum(cycles(kernel, rows, columns, covers[table].blocks, adds) for table in uses)
        if best is None or cost < least:
            best, least = Reading(kernel, covers, False), cost
        copied = cover(together, kernel.k_step)
        picked = len(uses) * copied.blocks * kernel.k_step
        cost = len(uses) * cycles(kernel, rows, columns, copied.blocks, adds) + rows * (
            PICKED_ROW + PICKED_BYTE * picked
        )
        if cost < least:
            best, least = Reading(kernel, [copied], True), cost
    assert best is not None
    return best


def picked_bytes(
    reading: Reading, tables: np.ndarray, group_offsets: list[tuple[int, int]]
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Which byte of a patch each byte of its copy is, int32; and the groups' tables and offsets in the copy. Bytes that
    fill up a block may be any: they meet weights of 0."""
    depth, group_bytes = tables.shape[1], reading.covers[0].blocks * reading.kernel.k_step
    picked = np.empty((len(group_offsets), group_bytes), np.int32)
    for place, (table, offset) in zip(picked, group_offsets, strict=True):
        place[:depth] = tables[table] + offset
        place[depth:] = place[0]
    return picked.reshape(-1), [(0, group * group_bytes) for group in range(len(group_offsets))]


def winograd_kernel(outputs: tuple[int, int, int], depth: int, columns: int, allowed: int) -> _core.Kernel | None:
    """The Winograd kernel for a 3x3 convolution of stride 1, None where the direct form is predicted to be as fast:
    always where the best GEMM kernel has an instruction for products of bytes. `outputs` are images, height, width."""
    gemm = kernels_of(allowed)
    isa = "neon" if gemm[0].isa == "a53" else gemm[0].isa
    kernel = next(
        (kernel for kernel in _core.kernels() if kernel.operation == "winograd_s8" and kernel.isa == isa), None
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
