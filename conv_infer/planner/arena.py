"""Places buffers in one arena so that those alive at the same time never overlap."""

from __future__ import annotations

ALIGNMENT = 64  # bytes: a cache line, and the widest vector
GOOD_ENOUGH = 1.05  # times what is alive at one time: no further attempt is worth its while
ATTEMPTS = 12


class Interval:
    """A buffer to be placed: its size, and the first and last step that touch it."""

    __slots__ = ("first", "last", "nbytes", "offset")

    def __init__(self, nbytes: int, first: int, last: int):
        self.nbytes = nbytes
        self.first = first
        self.last = last
        self.offset = 0


def place(intervals: list[Interval]) -> int:
    """Sets the offset of every interval; returns the bytes of the arena.

    The largest first, each in the lowest gap between those it meets in time (greedy by size: Pisarchyk and Lee,
    "Efficient Memory Management for Deep Neural Net Inference", 2020). Where that leaves gaps, the interval that ends
    highest comes first in another attempt; the best of a few is taken.
    """
    order = sorted(intervals, key=lambda interval: (-interval.nbytes, interval.first))
    best_total, best = place_in_order(order), [interval.offset for interval in intervals]
    enough = GOOD_ENOUGH * live_peak(intervals)
    for _ in range(ATTEMPTS):
        if best_total <= enough:
            break
        highest = max(order, key=lambda interval: interval.offset + interval.nbytes)
        order.remove(highest)
        order.insert(0, highest)
        total = place_in_order(order)
        if total < best_total:
            best_total, best = total, [interval.offset for interval in intervals]
    for interval, offset in zip(intervals, best, strict=True):
        interval.offset = offset
    return best_total


def place_in_order(intervals: list[Interval]) -> int:
    """Gives each interval in turn the lowest gap; returns the bytes up to the end of the last one."""
    placed: list[Interval] = []
    total = 0
    for interval in intervals:
        size = round_up(interval.nbytes)
        offset = 0
        for other in placed:  # in order of offset
            if other.first > interval.last or other.last < interval.first:
                continue
            if other.offset >= offset + size:
                break
            offset = max(offset, other.offset + round_up(other.nbytes))
        interval.offset = offset
        position = len(placed)
        while position and placed[position - 1].offset > offset:
            position -= 1
        placed.insert(position, interval)
        total = max(total, offset + size)
    return total


def live_peak(intervals: list[Interval]) -> int:
    """The largest sum of the sizes of intervals that are alive at one step: no arena can be smaller."""
    changes: dict[int, int] = {}
    for interval in intervals:
        changes[interval.first] = changes.get(interval.first, 0) + round_up(interval.nbytes)
        changes[interval.last + 1] = changes.get(interval.last + 1, 0) - round_up(interval.nbytes)
    peak = current = 0
    for step in sorted(changes):
        current += changes[step]
        peak = max(peak, current)
    return peak


def round_up(nbytes: int) -> int:
    return (nbytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
