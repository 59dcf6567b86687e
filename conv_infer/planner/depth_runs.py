"""How the bytes of a patch are read by the int8 kernels: in runs, each in whole blocks of the kernel's k_step."""

from __future__ import annotations

import numpy as np


class DepthRuns:
    """The runs that cover a patch: where each begins, how long it is, and which element of the patch each of their
    bytes is (`order`; -1: none, a byte between two elements that is read along with them)."""

    __slots__ = ("blocks", "lengths", "offsets", "order")

    def __init__(self, offsets: np.ndarray, lengths: np.ndarray, order: np.ndarray, k_step: int):
        self.offsets = offsets
        self.lengths = lengths
        self.order = order
        self.blocks = int((-(-lengths // k_step)).sum())

    @property
    def has_gaps(self) -> bool:
        return bool((self.order < 0).any())


def cover(offsets: np.ndarray, k_step: int) -> DepthRuns:
    """The fewest blocks of `k_step` bytes that cover the bytes at `offsets` (int32 [depth], in any order).

    From the lowest byte on, each block begins at the first byte that none before it has reached: no other placing of
    intervals of one length on a line does with fewer. A byte that is wanted twice is covered twice.
    """
    starts: list[int] = []
    lengths: list[int] = []
    pieces: list[np.ndarray] = []
    pending = np.argsort(offsets, kind="stable").astype(np.int32)
    while pending.size:
        ordered = offsets[pending]
        again = np.zeros(ordered.size, bool)
        again[1:] = ordered[1:] == ordered[:-1]
        taken, pending = pending[~again], pending[again]
        place(offsets[taken].astype(np.int64), taken, k_step, starts, lengths, pieces)
    return DepthRuns(
        np.array(starts, np.int32), np.array(lengths, np.int32), np.concatenate(pieces).astype(np.int32), k_step
    )


def place(
    ordered: np.ndarray, elements: np.ndarray, k_step: int, starts: list[int], lengths: list[int], pieces: list
) -> None:
    """Appends the runs that cover ascending offsets, all different; `elements` says which of the patch they are."""
    cuts = np.flatnonzero(np.diff(ordered) != 1) + 1
    begins, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(ordered)]
    reached = None  # where the blocks of the last run end
    for begin, end in zip(begins, ends, strict=True):
        first = int(ordered[begin])
        if reached is not None and first < reached:
            gap = first - starts[-1] - lengths[-1]
            pieces.append(np.full(gap, -1, np.int32))
            lengths[-1] += gap + end - begin
        else:
            starts.append(first)
            lengths.append(end - begin)
        pieces.append(elements[begin:end])
        reached = starts[-1] + -(-lengths[-1] // k_step) * k_step
