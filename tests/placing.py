"""Arrays placed in guarded buffers, for tests of single steps: misaligned, with gaps between pixels and rows."""

import numpy as np
import pytest

from conv_infer import _core

NO_BUFFER = (-1, 0)


class Placed:
    """An array in a buffer of its own that ends with the array's last element.

    `gaps` elements are left free behind each step of an axis, `offset` elements before the first one. Whatever lies
    between is random bytes (for floats: mostly large numbers and NaN), which must neither matter nor change.
    """

    def __init__(self, values: np.ndarray, gaps: tuple[int, ...] = (), offset: int = 0):
        gaps = gaps or (0,) * values.ndim
        size = values.itemsize
        self.strides = []
        step = 1
        for length, gap in zip(reversed(values.shape), reversed(gaps), strict=True):
            self.strides.insert(0, step)
            step = step * length + gap
        self.strides = tuple(self.strides)
        self.offset = offset * size
        last = sum((length - 1) * stride for length, stride in zip(values.shape, self.strides, strict=True))
        self.buffer = np.random.default_rng(1).integers(0, 256, (offset + last + 1) * size, np.uint8)
        byte_strides = tuple(stride * size for stride in self.strides)
        self.view = np.ndarray(values.shape, values.dtype, self.buffer, self.offset, byte_strides)
        self.view[...] = values
        self.before = self.buffer.copy()
        self.free = np.ones(self.buffer.shape, bool)
        np.ndarray((*values.shape, size), bool, self.free, self.offset, (*byte_strides, 1))[...] = False

    def assert_guards_hold(self) -> None:
        assert (self.buffer == self.before)[self.free].all(), "memory outside the output was written"


class Steps:
    """A program over placed arrays: `refs` names them, `run` runs what was added."""

    def __init__(self, *arrays: Placed):
        self.arrays = arrays
        self.program = _core.Program([0, 0, *(array.buffer.nbytes for array in arrays)])
        self.refs = [(slot + 2, array.offset) for slot, array in enumerate(arrays)]

    def run(self, threads: int = 1, seconds: np.ndarray | None = None) -> None:
        scratch = _core.Memory(threads * self.program.scratch_bytes)
        buffers = [array.buffer for array in self.arrays]
        self.program.run(_core.Memory(0), _core.Memory(0), buffers, scratch, threads, seconds)


def each_kernel(operation: str) -> pytest.MarkDecorator:
    """Runs a test with every kernel that was built for an operation as `kernel`; one that cannot run here skips."""
    return pytest.mark.parametrize(
        "kernel",
        [
            pytest.param(
                kernel,
                id=kernel.name,
                marks=pytest.mark.skipif(
                    kernel.isa not in _core.isa_allowed(), reason=f"this machine lacks {kernel.isa}"
                ),
            )
            for kernel in _core.kernels()
            if kernel.operation == operation
        ],
    )


def allowed_bits(best: str | None = None) -> int:
    """The instruction sets that may be used, as the steps take them."""
    names = _core.isa_names()
    return sum(1 << names.index(name) for name in _core.isa_allowed(best))


def activate(x: np.ndarray, activation: tuple[int, float, float]) -> np.ndarray:
    """The activations that kernels apply themselves, as ci_activation_kind numbers them, and the sigmoid."""
    kind, alpha, beta = activation
    if kind == 0:
        return np.clip(x, alpha, beta)
    if kind == 1:
        return np.where(x < 0, alpha * x, x)
    if kind == 4:
        return 1 / (1 + np.exp(-x))
    gate = np.clip(alpha * x + beta, 0, 1)
    return x * gate if kind == 2 else gate
