"""Which float32 convolutions take Winograd's form, and how they are cut up."""

from __future__ import annotations

from .. import _core
from .tiling import FLOAT_BYTES, Panel, RowPlan, plan_rows

POSITIONS = _core.WINOGRAD_POSITIONS
TILE = 2  # outputs along each axis
TAPS = 9
# Of the cost model, in half-cycles (the time of a multiply-add) for a tile:
PATCH_COST = 50  # of a vector of input channels: 16 loads, 32 sums, 16 stores
OUTPUT_COST = 70  # of a vector of outputs: 16 products stored, loaded and summed up
FAR_WEIGHTS = 36  # of a vector of weights beyond the second-level cache, whatever is done with it
LEAST_GAIN = 0.85  # of the direct form's cost
BLOCK_PART_OF_L2 = 0.6  # what a block of tiles may take of the second-level cache


def pays(outputs: tuple[int, int, int], channels: int, depth: int, columns: int, lanes: int) -> bool:
    """Whether Winograd's form is predicted to be faster. `outputs`: images, height, width. `channels` of the input,
    `depth` of them in a group; `columns` of the output."""
    images, height, width = outputs
    tiles = images * -(-height // TILE) * -(-width // TILE)
    rows = images * height * width
    vectors = columns / lanes
    is_far = TAPS * depth * columns * FLOAT_BYTES > _core.cache_sizes()[1]
    least = FAR_WEIGHTS if is_far else 0
    direct = TAPS * max(rows, least) * depth * vectors
    products = POSITIONS * max(tiles, least) * depth * vectors
    return products + tiles * (PATCH_COST * channels / lanes + OUTPUT_COST * vectors) < LEAST_GAIN * direct


def plan_winograd(
    outputs: tuple[int, int, int], channels: int, cut: list[Panel], panels: int, weight_bytes: int, threads: int
) -> RowPlan:
    """How tiles (the rows of the plan) and panels are dealt out to tasks."""
    images, height, width = outputs
    tiles = images * -(-height // TILE) * -(-width // TILE)
    widest = max(panel.kernel.nr for panel in cut)
    multiple = max(panel.kernel.mr for panel in cut)
    tile_bytes = POSITIONS * (channels + widest) * FLOAT_BYTES
    most = max(2 * multiple, int(_core.cache_sizes()[1] * BLOCK_PART_OF_L2) // tile_bytes)
    macs = tiles * weight_bytes // FLOAT_BYTES
    return plan_rows(tiles, tile_bytes, panels, weight_bytes, macs, threads, multiple, most)
