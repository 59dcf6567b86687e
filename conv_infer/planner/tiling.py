"""How a GEMM is cut up: panels of columns, blocks of rows, tasks. The cost model behind the choices is here."""

from __future__ import annotations

from functools import lru_cache

from .. import _core

FLOAT_BYTES = 4
TASKS_PER_THREAD = 3  # enough that an uneven step still ends together
SMALLEST_TASK_MACS = 100_000  # some microseconds: less is not worth handing to another thread
LOADS_PER_ISSUE = 1.15  # of a multiply-add: where loads are the bottleneck. Fitted, like the next two, to measurements
LOAD_COST = 0.15
FAR_LOADS = 3
DOT_OVERHEAD = 12  # of the dot kernels: summing across the lanes, in vector operations a row


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


def cycles_per_depth(kernel: _core.Kernel, lanes: int, depth: int, l1_bytes: int) -> float:
    """Half-cycles that one row of a full tile takes a depth step: multiply-adds, or loads where these are more, and a
    little for every load, more for those of weights that do not stay in the first-level cache."""
    vectors = kernel.nr // lanes
    loads = kernel.mr + vectors
    far = FAR_LOADS if depth * kernel.nr * FLOAT_BYTES > l1_bytes else 1
    cycles = max(kernel.mr * vectors, LOADS_PER_ISSUE * loads) + LOAD_COST * (kernel.mr + far * vectors)
    return cycles / kernel.mr


def split_columns(columns: int, depth: int, reads_runs: bool, allowed: int) -> list[Panel]:
    """The cheapest cover of the columns by panels of the kernels' widths (shortest path over vectors of columns).

    Columns past the last full vector go to a dot-product kernel where rows of A are contiguous and that is cheaper.
    """
    return [Panel(*panel) for panel in _cheapest_panels(columns, depth, reads_runs, allowed)]


@lru_cache(maxsize=512)
def _cheapest_panels(
    columns: int, depth: int, reads_runs: bool, allowed: int
) -> tuple[tuple[_core.Kernel, int, int], ...]:
    wide = kernels_of("gemm_f32", allowed)
    dots = kernels_of("gemm_dot_f32", allowed) if reads_runs else ()
    lanes = min(kernel.nr for kernel in wide)
    best: list[tuple[float, tuple[tuple[_core.Kernel, int, int], ...]]] = [(0.0, ())]
    l1_bytes = _core.cache_sizes()[0]
    candidates = [(kernel, depth * cycles_per_depth(kernel, lanes, depth, l1_bytes)) for kernel in wide]
    candidates += [(kernel, depth / lanes * kernel.nr + DOT_OVERHEAD) for kernel in dots]
    # Cover from the end, so that narrow kernels take the last columns and wide ones start at multiples of their width.
    for end in range(1, columns + 1):
        options = []
        for kernel, cost in candidates:
            start = max(0, end - kernel.nr)
            previous_cost, previous = best[start]
            options.append((previous_cost + cost + 4, (*previous, (kernel, start, end - start))))
        best.append(min(options, key=lambda option: option[0]))
    return best[columns][1]


def depth_block(depth: int, cut: list[Panel], l2_bytes: int) -> int:
    """How much depth the kernels take at once: all of it, or equal blocks whose panel of weights takes an eighth of the
    second-level cache, so that the next one can be drawn in beside it and what is read again for each tile stays."""
    widest = max(panel.kernel.nr for panel in cut)
    if depth * widest * FLOAT_BYTES <= l2_bytes // 4:
        return depth
    blocks = -(-depth * widest * FLOAT_BYTES * 8 // l2_bytes)
    return -(-depth // blocks)


class RowPlan:
    """How output rows and panels are dealt out: both counts per task."""

    __slots__ = ("panels_per_task", "rows_per_task")

    def __init__(self, rows_per_task: int, panels_per_task: int):
        self.rows_per_task = rows_per_task
        self.panels_per_task = panels_per_task


def plan_rows(
    rows: int, row_bytes: int, panels: int, macs: int, threads: int, row_multiple: int, l2_bytes: int
) -> RowPlan:
    """Blocks of rows whose input stays in half the second-level cache while all panels pass over it, and at least
    `TASKS_PER_THREAD` tasks a thread where there is work for them; panels are dealt out where rows are too few."""
    block = max(row_multiple, min(rows, l2_bytes // 2 // max(row_bytes, 1)))
    if threads == 1:
        return RowPlan(even(rows, block, row_multiple), panels)
    wanted = max(1, min(threads * TASKS_PER_THREAD, macs // SMALLEST_TASK_MACS))
    row_tasks = min(wanted, max(1, rows // (2 * row_multiple)))
    block = min(block, -(-rows // row_tasks))
    block = even(rows, block, row_multiple)
    row_tasks = -(-rows // block)
    panel_tasks = min(panels, -(-wanted // row_tasks))
    return RowPlan(block, -(-panels // panel_tasks))


def even(total: int, largest: int, multiple: int) -> int:
    """A block size of at most about `largest`, a multiple of `multiple`, that cuts `total` into nearly equal blocks."""
    count = -(-total // largest)
    size = -(-total // count)
    return min(total, -(-size // multiple) * multiple)
