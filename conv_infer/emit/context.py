"""What an emitter sees: where tensors live, the program to append to, and the weights slot to fill."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import _core
from ..graph import Graph, Node
from ..planner.arena import round_up

ARENA_SLOT = 0
WEIGHTS_SLOT = 1
NO_BUFFER = (-1, 0)
NO_ACTIVATION = ("clamp", -np.inf, np.inf)


class View:
    """Where a tensor lies: `ref` is (slot, byte offset of its first element), `strides` are in elements."""

    __slots__ = ("dtype", "ref", "shape", "strides")

    def __init__(self, ref: tuple[int, int], shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype):
        self.ref = ref
        self.shape = shape
        self.strides = strides
        self.dtype = dtype

    @property
    def is_contiguous(self) -> bool:
        """True where the elements follow one another in row-major order."""
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return True

    def moved(self, elements: int) -> tuple[int, int]:
        """The ref of the element that many elements from the first."""
        return self.ref[0], self.ref[1] + elements * self.dtype.itemsize


class StepInfo:
    """What the plan says of a step: which kernel, which lowering, multiply-accumulates, bytes of packed weights."""

    __slots__ = ("kernel", "lowering", "macs", "note", "weight_bytes")

    def __init__(self, kernel: str = "", lowering: str = "", macs: int = 0, weight_bytes: int = 0, note: str = ""):
        self.kernel = kernel
        self.lowering = lowering
        self.macs = macs
        self.weight_bytes = weight_bytes
        self.note = note


class Weights:
    """The weights slot while it is being laid out: pieces are reserved first, and filled once its size is known."""

    __slots__ = ("_fillers", "_placed", "nbytes")

    def __init__(self) -> None:
        self.nbytes = 0
        self._fillers: list[tuple[int, Callable[[_core.Memory, int], None]]] = []
        self._placed: dict[object, int] = {}

    def reserve(self, nbytes: int, fill: Callable[[_core.Memory, int], None], key: object = None) -> int:
        """Reserves `nbytes`; `fill(memory, offset)` writes them later. The same `key` is stored once only."""
        if key is not None and key in self._placed:
            return self._placed[key]
        offset = self.nbytes
        self.nbytes += round_up(nbytes)
        self._fillers.append((offset, fill))
        if key is not None:
            self._placed[key] = offset
        return offset

    def fill(self) -> _core.Memory:
        """The slot, every piece written; what the pieces were made from can be let go afterwards."""
        memory = _core.Memory(self.nbytes)
        while self._fillers:
            offset, fill = self._fillers.pop(0)
            fill(memory, offset)
        return memory


class EmitContext:
    """Handed to every emitter. `allowed` holds the instruction sets that may be used, as bits. `spares_memory`: the
    caller has set a limit, and larger forms of weights are not to be taken for speed."""

    __slots__ = ("_release", "_views", "allowed", "graph", "program", "spares_memory", "threads", "weights")

    def __init__(
        self,
        graph: Graph,
        views: dict[str, View],
        weights: Weights,
        allowed: int,
        threads: int,
        release: Callable[[np.ndarray], None],
        spares_memory: bool = False,
    ):
        self.graph = graph
        self.allowed = allowed
        self.threads = threads
        self.weights = weights
        self.spares_memory = spares_memory
        self.program: _core.Program | None = None
        self._views = views
        self._release = release

    def view(self, name: str) -> View:
        """Where a tensor lives; a constant is put into the weights slot when it is first asked for."""
        found = self._views.get(name)
        if found is None:
            array = self.graph.constants[name]
            ref = self.add_weights(array, key=name)
            found = self._views[name] = View(ref, array.shape, row_major(array.shape), array.dtype)
        return found

    def optional_view(self, node: Node, index: int) -> View | None:
        """The view of a node's input, or None where it was left out."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        return self.view(name) if name else None

    def constant(self, name: str) -> np.ndarray:
        return self.graph.constants[name]

    def add_weights(self, array: np.ndarray, key: object = None) -> tuple[int, int]:
        """Puts an array (row-major) into the weights slot; returns its ref."""

        def fill(memory: _core.Memory, offset: int) -> None:
            np.ndarray(array.shape, array.dtype, memory, offset)[...] = array
            self._release(array)

        return self.reserve_weights(array.nbytes, fill, key)

    def reserve_weights(
        self, nbytes: int, fill: Callable[[_core.Memory, int], None], key: object = None
    ) -> tuple[int, int]:
        """Reserves bytes in the weights slot, written later by `fill(memory, offset)`; returns their ref."""
        offset = self.weights.reserve(nbytes, fill, key)
        if self.program is not None:
            self.program.grow_slot(WEIGHTS_SLOT, self.weights.nbytes)
        return WEIGHTS_SLOT, offset

    def release(self, array: np.ndarray) -> None:
        """Says that an array of the model was packed and is not read again."""
        self._release(array)


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in elements of a contiguous array."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))
