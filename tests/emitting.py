"""Runs one planned operator through its emitter, without importer, passes or planner."""

from __future__ import annotations

import numpy as np
from strided import Operand

from conv_infer import _core
from conv_infer.emit import EMITTERS
from conv_infer.emit.context import EmitContext, View, Weights
from conv_infer.graph import INTERNAL, Graph, Node, TensorType

ALLOWED = sum(1 << _core.isa_names().index(name) for name in _core.isa_allowed())


def run_node(
    op: str,
    inputs: list[Operand | np.ndarray | None],
    output: Operand,
    attrs: dict,
    constants: tuple[int, ...] = (),
    threads: int = 2,
) -> np.ndarray:
    """The output of `op`; the inputs whose positions `constants` names are constants of the graph, None is left out."""
    names = ["" if value is None else f"x{index}" for index, value in enumerate(inputs)]
    arrays = {
        name: (value.array if isinstance(value, Operand) else value)
        for name, value in zip(names, inputs, strict=True)
        if name
    }
    known = {names[index]: arrays[names[index]] for index in constants}
    types = {name: TensorType(array.dtype, array.shape) for name, array in arrays.items()}
    types["y"] = TensorType(output.array.dtype, output.array.shape)
    node = Node(op, names, ["y"], attrs, domain=INTERNAL, name="tested")
    graph = Graph([node], [name for name in arrays if name not in known], ["y"], types, known, {})

    operands = [output]
    views = {}
    for name in graph.inputs:
        value = inputs[names.index(name)]
        operands.append(value if isinstance(value, Operand) else Operand.of(value))
        views[name] = as_view(operands[-1], len(operands) + 1)
    views["y"] = as_view(output, 2)
    weights = Weights()
    context = EmitContext(graph, views, weights, ALLOWED, threads, lambda array: None)
    context.program = _core.Program([0, 0, *(operand.buffer.nbytes for operand in operands)])
    EMITTERS[op](context, node)
    before = [operand.buffer.copy() for operand in operands]
    scratch = _core.Memory(max(1, context.program.scratch_bytes) * threads)
    buffers = [operand.buffer for operand in operands]
    context.program.run(_core.Memory(0), weights.fill(), buffers, scratch, threads)
    assert output.untouched(before[0]), "bytes outside the output were written"
    return output.array.copy()


def as_view(operand: Operand, slot: int) -> View:
    ref, strides = operand.view(slot)
    return View(ref, operand.array.shape, strides, operand.array.dtype)
