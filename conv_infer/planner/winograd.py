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
PANEL_COST = 160  # of a panel: a row in 16 products, each begun and ended
FAR_WEIGHTS = 36  # of a vector of weights from memory, whatever is done with it: between two runs they leave the cache
LEAST_GAIN = 0.85  # of the direct form's cost
BLOCK_PART_OF_L2 = 0.6  # what a block of tiles may take of the second-level cache


def pays(outputs: tuple[int, int, int], channels: int, depth: int, columns: int, panels: int, lanes: int) -> bool:
    """Whether Winograd's form is predicted to be faster. `outputs`: images, height, width. `channels` of the input,
    `depth` of them in a group; `columns` of the output, in so many panels of vectors of `lanes`."""
    images, height, width = outputs
    tiles = tiles_of(outputs)
    vectors = columns / lanes
    direct = TAPS * max(images * height * width, FAR_WEIGHTS) * depth * vectors
    products = POSITIONS * max(tiles, FAR_WEIGHTS) * depth * vectors
    around = tiles * (PATCH_COST * channels / lanes + OUTPUT_COST * vectors + PANEL_COST * panels)
    return products + around < LEAST_GAIN * direct


def tiles_of(outputs: tuple[int, int, int]) -> int:
    """`outputs`: images, height, width."""
    images, height, width = outputs
    return images * -(-height // TILE) * -(-width // TILE)


def plan_winograd(
    outputs: tuple[int, int, int], channels: int, cut: list[Panel], panels: int, weight_bytes: int, threads: int
) -> RowPlan:
    """How tiles (the rows of the plan) and panels are dealt out to tasks."""
    tiles = tiles_of(outputs)
    widest = max(panel.kernel.nr for panel in cut)
    multiple = max(panel.kernel.mr for panel in cut)
    tile_bytes = POSITIONS * (channels + widest) * FLOAT_BYTES
    most = max(2 * multiple, int(_core.cache_sizes()[1] * BLOCK_PART_OF_L2) // tile_bytes)
    macs = tiles * weight_bytes // FLOAT_BYTES
    return plan_rows(tiles, tile_bytes, panels, weight_bytes, macs, threads, multiple, most)
