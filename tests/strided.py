"""Runs single steps over strided arrays, and sees that they write their output and not a byte beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import strategies as st

from conv_infer import _core

GUARD = 64  # bytes before and behind every buffer
ISA_NAMES = _core.isa_names()
SETS = sorted({kernel.isa for kernel in _core.kernels() if kernel.operation == "activation_f32"}, key=ISA_NAMES.index)


def isa_bits(name: str) -> int:
    """The bits of an instruction set and all that it implies; skips where this machine has not got it."""
    if name not in _core.isa_built() or name not in _core.isa_present():
        pytest.skip(f"{name} is not available here")
    return sum(1 << ISA_NAMES.index(implied) for implied in _core.isa_allowed(name))


class Operand:
    """An array that is a strided view of a guarded buffer of its own."""

    def __init__(self, shape: Iterable[int], dtype, order: Iterable[int] = (), steps: Iterable[int] = ()):
        """`order`: the axes from the outermost in memory to the innermost; `steps`: elements apart, may be negative."""
        shape = tuple(shape)
        order = tuple(order) or tuple(range(len(shape)))
        steps = tuple(steps) or (1,) * len(shape)
        dtype = np.dtype(dtype)
        stored = [shape[axis] * abs(steps[axis]) for axis in order]
        nbytes = int(np.prod(stored, dtype=np.int64)) * dtype.itemsize
        self.buffer = np.random.default_rng(7).integers(0, 256, nbytes + 2 * GUARD, np.uint8)
        whole = self.buffer[GUARD : GUARD + nbytes].view(dtype).reshape(stored).transpose(np.argsort(order))
        self.array = whole[(..., *(slice(None, None, step) for step in steps))]  # ... keeps rank 0 an array
        assert self.array.shape == shape

    @classmethod
    def of(cls, values: np.ndarray, **layout) -> Operand:
        operand = cls(values.shape, values.dtype, **layout)
        operand.array[...] = values
        return operand

    def view(self, slot: int, shape: tuple[int, ...] | None = None) -> tuple[tuple[int, int], tuple[int, ...]]:
        """(ref, strides in elements); broadcast to `shape` where one is given."""
        array = self.array if shape is None else np.broadcast_to(self.array, shape)
        offset = array.__array_interface__["data"][0] - self.buffer.__array_interface__["data"][0]
        return (slot, offset), tuple(stride // array.itemsize for stride in array.strides)

    def untouched(self, before: np.ndarray) -> bool:
        """True where every byte that is not the array's is as it was."""
        written = np.zeros(self.buffer.shape, np.uint8)
        mask = Operand.__new__(Operand)
        mask.buffer = written
        offset = self.array.__array_interface__["data"][0] - self.buffer.__array_interface__["data"][0]
        view = np.lib.stride_tricks.as_strided(
            written[offset:], (*self.array.shape, self.array.itemsize), (*self.array.strides, 1)
        )
        if self.array.size:
            view[...] = 1
        return bool(np.array_equal(self.buffer[written == 0], before[written == 0]))


Adder = Callable[..., None]


def run_step(add: Adder, operands: list[Operand], isa: str, threads: int = 1) -> np.ndarray:
    """Adds steps by `add(program, views, threads=, allowed=)` and runs them; operand 0 is the output, returned as a
    copy. The others must come out as they went in."""
    before = [operand.buffer.copy() for operand in operands]
    program = _core.Program([0, 0, *(operand.buffer.nbytes for operand in operands)])
    views = [operand.view(2 + index) for index, operand in enumerate(operands)]
    add(program, views, threads=threads, allowed=isa_bits(isa))
    memory = _core.Memory(max(1, program.scratch_bytes) * threads)
    program.run(_core.Memory(0), _core.Memory(0), [operand.buffer for operand in operands], memory, threads)
    assert operands[0].untouched(before[0]), "bytes outside the output were written"
    for operand, was in zip(operands[1:], before[1:], strict=True):
        assert np.array_equal(operand.buffer, was), "an input was written"
    result = operands[0].array.copy()
    operands[0].buffer[...] = before[0]
    return result


def run_everywhere(add: Adder, operands: list[Operand], isa: str) -> np.ndarray:
    """The result with one thread, after seeing that two threads give the same bits."""
    one, two = run_step(add, operands, isa, 1), run_step(add, operands, isa, 2)
    assert one.tobytes() == two.tobytes(), "the result depends on the number of threads"
    return one


@st.composite
def layouts(draw, shape: tuple[int, ...], steps: tuple[int, ...] = (1, 1, 1, 2, -1)) -> dict:
    """An order of axes and steps for an Operand of this shape."""
    rank = len(shape)
    return {
        "order": tuple(draw(st.permutations(range(rank)))),
        "steps": tuple(draw(st.sampled_from(steps)) for _ in range(rank)),
    }


def shapes(max_rank: int = 5, max_size: int = 9, min_rank: int = 0, min_size: int = 1):
    return st.lists(st.integers(min_size, max_size), min_size=min_rank, max_size=max_rank).map(tuple)
