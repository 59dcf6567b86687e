"""A loaded network: onnxruntime's surface, and memory, plan and profile beside it."""

from __future__ import annotations

import os
import sys
import threading
import warnings
import weakref
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

import numpy as np

from . import _core
from .arrays import as_declared, checked_feeds, quoted
from .errors import ConvInferError, InputError, UnsupportedError
from .graph import INTERNAL, Graph, Node
from .importer import read_model
from .isa import allowed_isa_bits
from .model import Model, ValueInfo
from .operators.quantisation import check_fed_scales
from .passes import run_passes
from .planner.plan import Plan, PlanStep, build_plan
from .specialise import specialise
from .threads import MACS_PER_THREAD, MOST_THREADS, default_threads, is_team_lost, note_team

PLANS_KEPT = 8  # plans of different input shapes that a session remembers

Shapes = dict[str, tuple[int, ...]]


class MemoryUse:
    """Bytes that a network takes: packed weights, the arena of intermediate tensors, the threads' scratch, and their
    sum (`peak`, while it runs; the caller's own inputs and outputs are not counted). `live` is the largest sum of
    tensors alive at one time, the least that an arena could be."""

    __slots__ = ("arena", "live", "peak", "scratch", "weights")

    def __init__(self, plan: Plan):
        self.weights = plan.weights_bytes
        self.arena = plan.arena_bytes
        self.scratch = plan.scratch_bytes
        self.live = plan.live_bytes
        self.peak = plan.weights_bytes + plan.arena_bytes + plan.scratch_bytes

    def __repr__(self) -> str:
        return (
            f"MemoryUse(weights={self.weights:,}, arena={self.arena:,}, scratch={self.scratch:,}, peak={self.peak:,})"
        )


class ModelMeta:
    """What the file says of itself, by onnxruntime's names; `custom_metadata_map` is a dict of strings."""

    __slots__ = (
        "custom_metadata_map",
        "description",
        "domain",
        "graph_description",
        "graph_name",
        "producer_name",
        "version",
    )

    def __init__(self, model: Model):
        self.producer_name = model.producer_name
        self.graph_name = model.graph.name
        self.domain = model.domain
        self.description = model.doc
        self.graph_description = model.graph_doc
        self.version = model.version
        self.custom_metadata_map = dict(model.metadata)


class StepTime:
    """What `Session.profile` says of one line of the plan."""

    __slots__ = ("seconds", "step")

    def __init__(self, step: PlanStep, seconds: float):
        self.step = step
        self.seconds = seconds


class Session:
    """A network ready to run.

    `model` is a path, bytes or a ModelProto; `threads` the number of threads (None: physical cores, one for a tiny
    network); `max_memory` a limit in bytes on weights, arena and scratch; `strict` refuses networks with operators
    that would run through onnx.reference.

    Raises `ModelError`, `UnsupportedError`, `MemoryLimitError`, all of them `ConvInferError`. A session may be used
    from several Python threads (runs take turns), survives fork, and pickles.
    """

    def __init__(self, model: Any, *, threads: int | None = None, max_memory: int | None = None, strict: bool = False):
        if threads is not None and not 1 <= whole_number(threads) <= MOST_THREADS:
            raise InputError(f"threads={threads!r}: expected a whole number from 1 to {MOST_THREADS}, or None")
        if max_memory is not None and whole_number(max_memory) < 1:
            raise InputError(f"max_memory={max_memory!r}: expected a positive number of bytes, or None")
        is_path = isinstance(model, (str, os.PathLike))
        self._source = os.path.abspath(model) if is_path else model  # for a pickle that is read elsewhere
        self._options = {"threads": threads, "max_memory": max_memory, "strict": strict}
        self._threads = threads
        self._max_memory = max_memory
        self._strict = strict
        self._model: Model = read_model(model)
        self._allowed = allowed_isa_bits()
        self._plans: dict[tuple, Plan] = {}
        self._arena = self._scratch = _core.Memory(0)
        self._lock = threading.Lock()  # makes runs take turns
        _sessions.add(self)
        self._warned: set[str] = set()
        declared = self._declared_shapes()
        self._latest: Plan | None = self._plan_for(declared) if declared is not None else None

    # ---- what onnxruntime's InferenceSession offers

    def run(
        self, output_names: Sequence[str] | None, feeds: Mapping[str, Any], run_options: object = None
    ) -> list[np.ndarray]:
        """The outputs in the order of `output_names` (None: all, in the model's order).

        `feeds` holds an array for each input by name, in the model's own layout and element type; any strides and byte
        order. `run_options` is accepted for onnxruntime's sake and not used. Raises `InputError`.
        """
        names = self._requested(output_names)
        with self._lock:
            arrays = checked_feeds(self._model.inputs, feeds)
            results = self._run(self._plan_for(shapes_of(arrays)), arrays, None)
        return [results[name] for name in names]

    def get_inputs(self) -> list[ValueInfo]:
        """The declared inputs: `.name`, `.shape` (sizes, names of symbolic ones, None where unknown), `.type`."""
        return list(self._model.inputs)

    def get_outputs(self) -> list[ValueInfo]:
        """The declared outputs, likewise."""
        return list(self._model.outputs)

    def get_modelmeta(self) -> ModelMeta:
        """Producer, versions, description and the metadata (`custom_metadata_map`) that the model carries."""
        return ModelMeta(self._model)

    # ---- and beyond it

    def prepare(self, shapes: Mapping[str, Sequence[int]]) -> Session:
        """Plans for inputs of these shapes, so that `memory` and `plan` speak of them; returns the session itself.

        Inputs whose declared shape is fixed may be left out. Raises `InputError`.
        """
        with self._lock:
            wanted: Shapes = {}
            for entry in self._model.inputs:
                shape = shapes.get(entry.name, entry.shape)
                if shape is None or not all(isinstance(size, (int, np.integer)) for size in shape):
                    raise InputError(f"input '{entry.name}': a shape of whole numbers is needed, got {shape}")
                wanted[entry.name] = tuple(int(size) for size in shape)
            unknown = [name for name in shapes if name not in wanted]
            if unknown:
                raise InputError(f"there is no input named {quoted(unknown)}; inputs: {quoted(wanted)}")
            self._plan_for(wanted)
        return self

    @property
    def memory(self) -> MemoryUse:
        """Bytes of the plan made last. Known before the first run; for dynamic inputs after `prepare`."""
        return MemoryUse(self._current())

    @property
    def plan(self) -> list[PlanStep]:
        """The plan made last, a line for each node."""
        return self._current().steps

    @property
    def threads(self) -> int:
        """Threads that the plan made last uses."""
        return self._current().threads

    def profile(self, feeds: Mapping[str, Any]) -> list[StepTime]:
        """Runs once and says how many seconds each line of the plan took."""
        with self._lock:
            arrays = checked_feeds(self._model.inputs, feeds)
            plan = self._plan_for(shapes_of(arrays))
            times: list[np.ndarray] = []
            self._run(plan, arrays, times)
        return [
            StepTime(step, float(times[step.segment][step.steps.start : step.steps.stop].sum()))
            if not step.is_reference
            else StepTime(step, float(times[step.segment][0]))
            for step in plan.steps
        ]

    def __getstate__(self) -> dict[str, Any]:
        source = self._source
        if hasattr(source, "SerializeToString"):
            source = source.SerializeToString()
        elif not isinstance(source, (str, bytes)):
            source = bytes(source)
        return {"source": source, "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["source"], **state["options"])  # type: ignore[misc]

    # ---- planning

    def _current(self) -> Plan:
        if self._latest is None:
            names = quoted(entry.name for entry in self._model.inputs)
            raise ConvInferError(
                f"the shapes of the inputs ({names}) are not fixed by the model: call prepare({{name: shape}}) or run "
                "first"
            )
        return self._latest

    def _declared_shapes(self) -> Shapes | None:
        shapes: Shapes = {}
        for entry in self._model.inputs:
            if entry.shape is None or not all(isinstance(size, int) for size in entry.shape):
                return None
            shapes[entry.name] = tuple(entry.shape)
        return shapes

    def _plan_for(self, shapes: Shapes) -> Plan:
        key = tuple(sorted(shapes.items()))
        plan = self._plans.pop(key, None) or self._make_plan(shapes)
        self._plans[key] = plan  # the most recently used is last
        while len(self._plans) > PLANS_KEPT:
            del self._plans[next(iter(self._plans))]
        self._latest = plan
        return plan

    def _make_plan(self, shapes: Shapes) -> Plan:
        graph = run_passes(specialise(self._model.graph, shapes))
        refuse_empty(graph)
        self._report_reference(graph)
        plan = build_plan(
            graph,
            allowed=self._allowed,
            threads=self._thread_count(graph),
            max_memory=self._max_memory,
            release=self._model.source.release,
        )
        self._share_weights(plan)
        if plan.arena_bytes > self._arena.nbytes:
            self._arena = _core.Memory(plan.arena_bytes)
        if plan.scratch_bytes > self._scratch.nbytes:
            self._scratch = _core.Memory(plan.scratch_bytes)
        return plan

    def _share_weights(self, plan: Plan) -> None:
        """Plans of other shapes mostly pack the same weights: one copy then serves them all."""
        for other in self._plans.values():
            if other.weights_bytes == plan.weights_bytes and np.array_equal(
                np.frombuffer(other.weights, np.uint8), np.frombuffer(plan.weights, np.uint8)
            ):
                plan.weights = other.weights
                return

    def _thread_count(self, graph: Graph) -> int:
        if self._threads is not None:
            return self._threads
        return max(1, min(default_threads(), count_macs(graph) // MACS_PER_THREAD))

    def _report_reference(self, graph: Graph) -> None:
        outside = [node for node in graph.nodes if node.domain != INTERNAL]
        if not outside:
            return
        described = "; ".join(
            f"node '{node.label}': {node.domain or 'ai.onnx'} {node.op} (operator set {node.version})"
            for node in outside
        )
        if self._strict:
            raise UnsupportedError(f"strict: {len(outside)} nodes have no native implementation: {described}")
        fresh = sorted({node.op for node in outside} - self._warned)
        if fresh:
            self._warned.update(fresh)
            warnings.warn(
                f"{', '.join(fresh)}: no native implementation here, run through onnx.reference (slow, correct); "
                "session.plan marks the nodes, strict=True refuses them",
                stacklevel=callers_level(),
            )

    # ---- running

    def _requested(self, output_names: Sequence[str] | None) -> list[str]:
        known = [entry.name for entry in self._model.outputs]
        if output_names is None:
            return known
        if isinstance(output_names, str):
            raise InputError(f"output_names: expected a list of names or None, got the string {output_names!r}")
        unknown = [name for name in output_names if name not in known]
        if unknown:
            raise InputError(f"there is no output named {quoted(unknown)}; outputs: {quoted(known)}")
        return list(output_names)

    def _run(self, plan: Plan, arrays: dict[str, np.ndarray], times: list[np.ndarray] | None) -> dict[str, np.ndarray]:
        graph = plan.graph
        values = dict(arrays)
        for name in plan.slots:
            if name not in values:
                values[name] = np.empty(graph.shape(name), graph.dtype(name))
        externals = [values[name] for name in plan.slots]
        threads = 1 if is_team_lost() else plan.threads
        if threads > 1:
            note_team()
        for segment in plan.segments:
            if isinstance(segment, _core.Program):
                seconds = None if times is None else np.zeros(max(len(segment), 1))
                segment.run(self._arena, plan.weights, externals, self._scratch, threads, seconds)
            else:
                seconds = self._run_reference(plan, segment, values, externals)
            if times is not None:
                times.append(seconds)
        results = {}
        for entry in self._model.outputs:
            name = entry.name
            value = graph.constants.get(name)
            if value is None:
                value = values[name]
            is_shared = name in graph.constants or name in arrays
            results[name] = np.array(value) if is_shared else as_declared(entry, value)
        return results

    def _run_reference(self, plan: Plan, node: Node, values: dict[str, Any], externals: list[np.ndarray]) -> np.ndarray:
        """Runs a node through onnx.reference; answers its time."""
        from time import perf_counter

        from .reference import run_node

        start = perf_counter()
        graph = plan.graph
        memories = [self._arena, plan.weights, *externals]

        def stored(name: str) -> np.ndarray:
            view = plan.views[name]
            strides = tuple(stride * view.dtype.itemsize for stride in view.strides)
            return np.ndarray(view.shape, view.dtype, memories[view.ref[0]], view.ref[1], strides)

        inputs = []
        for name in node.inputs:
            if not name:
                inputs.append(None)
            elif name in graph.constants:
                inputs.append(graph.constants[name])
            elif name in plan.views:
                inputs.append(np.array(stored(name)))
            else:
                inputs.append(values[name])
        check_fed_scales(node, inputs, values.keys() & set(graph.inputs))
        for name, result in zip(node.outputs, run_node(node, inputs, graph.opsets), strict=False):
            if not name:
                continue
            if name in plan.views:
                target = stored(name)
                if target.shape != result.shape:
                    raise ConvInferError(
                        f"node '{node.label}' ({node.op}): onnx.reference gave '{name}' the shape {result.shape}, "
                        f"expected {target.shape}"
                    )
                np.copyto(target, result, casting="same_kind")
            else:
                values[name] = result
        return np.array([perf_counter() - start])


def whole_number(value: Any) -> int:
    """The value as a Python number; 0 where it is not a whole number (True is none)."""
    try:
        return 0 if isinstance(value, bool) else index(value)
    except TypeError:
        return 0


def shapes_of(arrays: dict[str, np.ndarray]) -> Shapes:
    return {name: array.shape for name, array in arrays.items()}


def refuse_empty(graph: Graph) -> None:
    """Raises `UnsupportedError` where a native step would have tensors of no elements; the reference takes them."""
    for node in graph.nodes:
        for name in (*node.inputs, *node.outputs):
            if name and node.domain == INTERNAL and 0 in (graph.types[name].shape or ()):
                raise UnsupportedError(
                    f"node '{node.label}' ({node.op}): tensor '{name}' of shape {graph.shape(name)} has no elements"
                )


def count_macs(graph: Graph) -> int:
    """Multiply-accumulates of the convolutions."""
    total = 0
    for node in graph.nodes:
        if node.domain == INTERNAL and node.op in ("Conv", "ConvTranspose"):
            weights = graph.shape(node.inputs[1])
            pixels = graph.shape(node.outputs[0] if node.op == "Conv" else node.inputs[0])
            total += pixels[0] * pixels[1] * pixels[2] * int(np.prod(weights))
    return total


def callers_level() -> int:
    """The `stacklevel` at which a warning points to the code that called this package."""
    package, level, frame = __name__.partition(".")[0], 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    return level


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _after_fork() -> None:
    """Another thread may have held a lock when the process was copied; it will not give it back here."""
    for session in _sessions:
        session._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
