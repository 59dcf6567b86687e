"""How a GEMM is cut up: panels of columns, blocks of rows, tasks. The cost model behind the choices is here."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

from .. import _core

FLOAT_BYTES = 4
TASKS_PER_THREAD = 3  # enough that an uneven step still ends together
SMALLEST_TASK_MACS = 100_000  # some microseconds: less is not worth handing to another thread
# Of the cost model, in half-cycles (the time of a multiply-add), fitted to measurements of the kernels:
LOADS_PER_ISSUE = 1.15  # of a load, where loads are the bottleneck
LOAD_COST = 0.15  # of a load beside other work
FAR_LOADS = 3  # times that, for weights beyond the first-level cache
SUM_LATENCY = 8  # from one multiply-add to the next on the same sum
DOT_LOADS = 2  # of a row of a dot kernel, for each vector of depth
DOT_OVERHEAD = 10  # of a row of a dot kernel: summing across the lanes
SPLIT_OVERHEAD = {2: 1.5, 4: 3.0}  # of a row of a split kernel, for each vector: adding up its lanes
PANEL_COST = 4  # of a row, for each panel: epilogue and stores
ROW_PAIR = 2  # output rows that the depthwise kernels take at once
BAND_PART_OF_L2 = 4  # a band's images take one part in so many: the rest holds weights, input and output
POOLED_PART_OF_L2 = 16  # what a convolution keeps of its output for the pooling behind it takes one part in so many
# Of the second-level cache, see `rows_in_cache`: one part in so many
SMALL_WEIGHTS_PART = 4
NEAR_ROWS_PART = 16
NEAR_TILES = 8  # at least so many at once
FAR_ROWS_PART = 2
FEW_TILES = 4  # so many read a panel again too seldom for cutting its depth
WORSE_FILL = 0.05  # of the rows of tiles: what more tasks may cost
MIXED_ORDERS = 0.97  # of the cost: what columns summed in two orders must save, see `split_columns`
MANY_ROWS = 240  # from here on tiles are as good as full
STREAMED_ROWS = 4  # up to here products wait for large weights, whatever is done
STREAM_DISTANCE = 2048  # bytes; measured
PREFETCH_ROWS = 256  # from here on products take so long that the hardware draws in a layer's weights beside them


class Panel:
    """So many columns of a group, computed by one kernel."""

    __slots__ = ("columns", "first", "kernel")

    def __init__(self, kernel: _core.Kernel, first: int, columns: int):
        self.kernel = kernel
        self.first = first
        self.columns = columns


@lru_cache(maxsize=8)
def kernels_of(operation: str, allowed: int) -> tuple[_core.Kernel, ...]:
    """The kernels of an operation with the best instruction set among `allowed` (bits)."""
    names = _core.isa_names()
    usable = [
        kernel for kernel in _core.kernels() if kernel.operation == operation and allowed >> names.index(kernel.isa) & 1
    ]
    best = max((names.index(kernel.isa) for kernel in usable), default=-1)
    return tuple(kernel for kernel in usable if names.index(kernel.isa) == best)


def cycles_per_depth(rows: int, vectors: int, is_near: bool) -> float:
    """Half-cycles that each row of a tile takes a depth step: multiply-adds, loads or waiting for the sum before,
    whichever is most, and a little for every load, more for those of weights not in the first-level cache."""
    cycles = max(rows * vectors, LOADS_PER_ISSUE * (rows + vectors), SUM_LATENCY)
    return (cycles + LOAD_COST * (rows + (1 if is_near else FAR_LOADS) * vectors)) / rows


def tile_rows(rows: int, largest: int) -> int:
    """The rows of most tiles when `rows` are dealt out evenly over tiles of at most `largest`."""
    return -(-rows // -(-rows // largest))


def split_columns(columns: int, depth: int, rows: int, reads_runs: bool, allowed: int) -> list[Panel]:
    """The cheapest cover of the columns by panels of the kernels' widths (shortest path over the columns).

    Columns past the last full vector go to a dot-product kernel where rows of A are contiguous and that is cheaper. It
    sums in an order of its own, so that equal filters give results that are not the same bits; a few percent are not
    worth that: a softmax turns the last bits of large numbers into other classes.
    """
    panels, first = [], 0
    chosen = _cheapest_panels(columns, depth, min(rows, MANY_ROWS), reads_runs, allowed)
    for kernel, width in sorted(chosen, key=lambda panel: (-panel[0].nr, -panel[1])):
        panels.append(Panel(kernel, first, width))
        first += width
    return panels


@lru_cache(maxsize=512)
def _cheapest_panels(
    columns: int, depth: int, rows: int, reads_runs: bool, allowed: int
) -> tuple[tuple[_core.Kernel, int], ...]:
    wide = kernels_of("gemm_f32", allowed)
    dots = kernels_of("gemm_dot_f32", allowed) if reads_runs else ()
    lanes = min(kernel.nr for kernel in wide)
    l1_bytes = _core.cache_sizes()[0]
    candidates = []
    for kernel in wide:
        is_near = depth * kernel.nr * FLOAT_BYTES <= l1_bytes
        each = cycles_per_depth(tile_rows(rows, kernel.mr), kernel.nr // lanes, is_near)
        candidates.append((kernel, depth * each))
    for kernel in dots:
        tile = tile_rows(rows, kernel.mr)
        each = max(tile * kernel.nr, SUM_LATENCY) / tile + DOT_LOADS
        candidates.append((kernel, depth / lanes * each + DOT_OVERHEAD))
    kinds = [candidates[: len(wide)], candidates[len(wide) :]]
    if reads_runs:
        split = _split_candidates(depth, rows, lanes, allowed)  # of all columns at once: their orders differ
        kinds += [[candidate] for candidate in split if candidate[0].nr >= columns]
    cost, panels = min((_shortest_cover(columns, kind) for kind in kinds if kind), key=lambda cover: cover[0])
    if dots:
        mixed_cost, mixed = _shortest_cover(columns, candidates)
        if mixed_cost < MIXED_ORDERS * cost:
            return mixed
    return panels


def _split_candidates(depth: int, rows: int, lanes: int, allowed: int) -> list[tuple[_core.Kernel, float]]:
    """The kernels that split sums over lanes, and their cost; none where they lack the instructions of the others."""
    kernels = kernels_of("gemm_split_f32", allowed)
    if kernels[0].isa != kernels_of("gemm_f32", allowed)[0].isa:
        return []
    found = []
    for kernel in kernels:
        step = kernel.k_step
        vectors = kernel.nr * step // lanes
        is_near = depth * kernel.nr * FLOAT_BYTES <= _core.cache_sizes()[0]
        each = cycles_per_depth(tile_rows(rows, kernel.mr), vectors, is_near)
        found.append((kernel, -(-depth // step) * each + vectors * SPLIT_OVERHEAD[step]))
    return found


def _shortest_cover(
    columns: int, candidates: list[tuple[_core.Kernel, float]]
) -> tuple[float, tuple[tuple[_core.Kernel, int], ...]]:
    """The cheapest cover of the columns by kernels with a cost each, and its cost. One panel may be
    narrower than its kernel: the others are whole, so they end a multiple of the widths' common divisor before the last
    column."""
    unit = gcd(*(kernel.nr for kernel, _ in candidates))
    best: list[tuple[float, tuple[tuple[_core.Kernel, int], ...]]] = [(0.0, ())]
    for end in range((columns - 1) % unit + 1, columns + 1, unit):
        options = []
        for kernel, cost in candidates:
            previous_cost, previous = best[max(0, len(best) - kernel.nr // unit)]
            options.append((previous_cost + cost + PANEL_COST, (*previous, (kernel, min(end, kernel.nr)))))
        best.append(min(options, key=lambda option: option[0]))
    return best[-1]


def depth_block(depth: int, rows: int, cut: list[Panel], cache_bytes: tuple[int, int]) -> int:
    """How much depth the kernels take at once: all of it, or equal blocks whose panel of weights, read again for each
    tile, stays in the first-level cache. Sums are kept in between: where they would take much of the second-level
    cache, or tiles are few, blocks are to stay in that one, and the next to be drawn in beside. A single tile reads
    nothing again. `cache_bytes`: of both levels."""
    l1_bytes, l2_bytes = cache_bytes
    widest = max(panel.kernel.nr for panel in cut)
    tile = min(panel.kernel.mr for panel in cut)
    panel_bytes = depth * widest * FLOAT_BYTES
    if rows > FEW_TILES * tile and rows * widest * FLOAT_BYTES <= l2_bytes // 4:
        largest, block_bytes = l1_bytes * 5 // 6, l1_bytes * 2 // 3
    else:
        largest, block_bytes = l2_bytes // 4, l2_bytes // 8
    if panel_bytes <= largest or rows <= tile:
        return depth
    blocks = -(-panel_bytes // block_bytes)
    return -(-depth // blocks)


def prefetch_distance(weight_bytes: int, rows: int, l2_bytes: int) -> int:
    """How many bytes before their use weights are drawn into the second-level cache. Between two runs of a network they
    mostly leave it. Few rows are done sooner than memory delivers the weights of their layer, so that those have to be
    on their way while earlier layers run; so have weights that need much of the cache. Where next to nothing is done
    with them, memory is behind anyway, and asking far ahead only slows down what the hardware foresees."""
    if rows <= STREAMED_ROWS and weight_bytes > l2_bytes:
        return STREAM_DISTANCE
    return l2_bytes // 8 if rows < PREFETCH_ROWS or weight_bytes > l2_bytes // 4 else 0


class RowPlan:
    """How output rows and panels are dealt out: both counts per task."""

    __slots__ = ("panels_per_task", "rows_per_task")

    def __init__(self, rows_per_task: int, panels_per_task: int):
        self.rows_per_task = rows_per_task
        self.panels_per_task = panels_per_task


def rows_in_cache(row_bytes: int, weight_bytes: int, row_multiple: int, l2_bytes: int) -> int:
    """How many rows all panels pass over before the next ones, `row_bytes` being read and written of each. Rows and
    weights share the second-level cache: where the weights are small enough to be passed over often, a few rows at a
    time are still near when the next panel, or group, returns to them."""
    often = weight_bytes <= l2_bytes // SMALL_WEIGHTS_PART
    part, tiles = (NEAR_ROWS_PART, NEAR_TILES) if often else (FAR_ROWS_PART, 1)
    return max(tiles * row_multiple, l2_bytes // part // row_bytes)


def plan_rows(
    rows: int, row_bytes: int, panels: int, weight_bytes: int, macs: int, threads: int, row_multiple: int, most: int
) -> RowPlan:
    """Blocks of at most about `most` rows, see `rows_in_cache`.

    With several threads, at least `TASKS_PER_THREAD` tasks for each where there is work for them: every task reads the
    input of its rows and the weights of its panels, so the larger of the two is what is dealt out, and the other only
    where that alone makes too few tasks."""
    block = min(rows, most)
    if threads == 1:
        return RowPlan(even(rows, block, row_multiple), panels)
    wanted = max(1, min(threads * TASKS_PER_THREAD, macs // SMALLEST_TASK_MACS))
    most_row_tasks = max(1, rows // (2 * row_multiple))
    if weight_bytes > rows * row_bytes:
        panel_tasks = min(panels, wanted)
        row_tasks = min(most_row_tasks, -(-wanted // panel_tasks))
    else:
        row_tasks = min(most_row_tasks, wanted)
        panel_tasks = min(panels, -(-wanted // row_tasks))
    if row_tasks >= threads:  # as many for each thread, and their tiles full
        counts = range(threads, row_tasks + 1, threads)
        fullest = max(fill(rows, count, row_multiple) for count in counts)
        row_tasks = max(count for count in counts if fill(rows, count, row_multiple) >= fullest - WORSE_FILL)
    block = min(even(rows, block, row_multiple), -(-rows // row_tasks))
    return RowPlan(block, -(-panels // panel_tasks))


def fill(rows: int, tasks: int, largest: int) -> float:
    """How full tiles of at most `largest` rows are when `rows` are dealt out over so many tasks."""
    each = -(-rows // tasks)
    return tile_rows(each, largest) / largest


class BandPlan:
    """Output rows of one image: those worked on at once, and those of a task."""

    __slots__ = ("band", "rows_per_task")

    def __init__(self, band: int, rows_per_task: int):
        self.band = band
        self.rows_per_task = rows_per_task


def plan_bands(
    output_rows: tuple[int, int],
    stride: int,
    window: int,
    wide_row_bytes: int,
    narrow_row_bytes: int,
    threads: int,
    l2_bytes: int,
) -> BandPlan:
    """How a bottleneck's output, `output_rows` being (images, rows), is worked through: about `TASKS_PER_THREAD` tasks
    a thread, and bands whose images in between take a quarter of the second-level cache. `window` and `stride` are the
    depthwise convolution's along y, in rows of the wide image."""
    images, height = output_rows
    rows_per_task = -(-height // pieces_of_image(images, height, threads))
    spare = l2_bytes // BAND_PART_OF_L2 - max(0, window - stride) * wide_row_bytes
    largest = max(ROW_PAIR, spare // (stride * wide_row_bytes + narrow_row_bytes))
    return BandPlan(even(rows_per_task, largest, ROW_PAIR), rows_per_task)


def pooled_rows_at_once(stride: int, row_bytes: int, l2_bytes: int) -> int:
    """How many rows of a pooling behind a convolution are worked on at once: `stride` and `row_bytes` of the
    convolution's output are new for each."""
    return max(1, l2_bytes // POOLED_PART_OF_L2 // (stride * row_bytes))


def pieces_of_image(images: int, height: int, threads: int) -> int:
    """Into how many tasks the rows of each image are dealt out."""
    return 1 if threads == 1 else min(height, -(-threads * TASKS_PER_THREAD // images))


def even(total: int, largest: int, multiple: int) -> int:
    """A block size of at most about `largest`, a multiple of `multiple`, that cuts `total` into nearly equal blocks."""
    count = -(-total // largest)
    size = -(-total // count)
    return min(total, -(-size // multiple) * multiple)
