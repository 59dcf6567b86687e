"""What the operator table holds about one operator, and how its signature is read and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..graph import Node, TensorType
from .checks import check_sizes, model_error

# Element types that the first letter of a signature's variable admits; a variable stands for one type throughout.
_KINDS = {
    "T": None,  # any
    "N": "fiu",
    "F": "f",
    "I": "i",
    "Q": "iu",
    "E": "iu",
    "B": "b",
}
_FIXED = {name: np.dtype(name) for name in ("bool", "int64", "int32", "int8", "uint8", "float32", "float64")}


class Operator:
    """One operator: its signature, its rules, and how it is lowered.

    `signature`: element types of inputs and outputs, as in `"F F F? -> F"`. A name is a variable (one type wherever it
    stands; the first letter says which types: T any, N numbers, F floating, I signed integers, Q integers, E integers
    of eight bits, B bool), a type of NumPy's, or `*` for any type, unchecked. `?` marks an optional tensor, `...` any
    number of them, `@13` one that exists from opset 13 on, `@-12` one that exists up to opset 12.

    `attributes`: the attributes that the operator knows, with the same version marks.

    `shapes(node, shapes, constants)`: the shapes of the outputs from static input shapes (None: an input left out) and
    the arrays of constant inputs; None stands for a shape that depends on data, None as a size likewise.

    `dtypes(node, dtypes)`: the element types of the outputs where the signature cannot say (`*`).

    `evaluate(node, arrays)`: the outputs as NumPy computes them, exactly as ONNX defines them, or None where the node
    must be left as it is; without the entry the reference is asked.

    `shape_only`: the outputs follow from the shapes of the inputs alone.

    `lower(lowering, node)`: appends the planned operators that do the same to a `layout.Lowering`; False where there
    are none for this node, which then stays. None where the operator has no planned form at all.
    """

    __slots__ = (
        "_inputs",
        "_known",
        "_outputs",
        "attributes",
        "dtypes",
        "evaluate",
        "lower",
        "shape_only",
        "shapes",
        "signature",
    )

    def __init__(
        self,
        signature: str,
        attributes: str,
        shapes: Callable,
        *,
        dtypes: Callable | None = None,
        evaluate: Callable | None = None,
        lower: Callable | None = None,
        shape_only: bool = False,
    ):
        self.signature = signature
        self.attributes = attributes
        self.shapes = shapes
        self.dtypes = dtypes
        self.evaluate = evaluate
        self.lower = lower
        self.shape_only = shape_only
        self._inputs: list[_Slot] | None = None  # parsed at first use: most models use few operators
        self._outputs: list[_Slot] = []
        self._known: dict[str, tuple[int, int]] = {}

    def infer(
        self, node: Node, types: Sequence[TensorType | None], constants: Sequence[np.ndarray | None]
    ) -> list[TensorType]:
        """The types of the node's outputs.

        `types` and `constants` go with `node.inputs` (None: left out, or not constant). Where an input is not static
        the outputs have unknown shapes. Raises `ModelError` where the node contradicts the operator's definition.
        """
        dtypes = self._check(node, types)
        shapes: list = []
        for tensor_type in types:
            if tensor_type is None:
                shapes.append(None)
            elif tensor_type.is_static:
                shapes.append(tensor_type.shape)
            else:
                return [TensorType(dtype, None) for dtype in dtypes]
        results = self.shapes(node, shapes, constants)
        for index, shape in enumerate(results):
            if shape is not None:
                check_sizes(node, index, shape)
        return [TensorType(dtype, shape) for dtype, shape in zip(dtypes, results, strict=False)]

    def _check(self, node: Node, types: Sequence[TensorType | None]) -> list[np.dtype]:
        """Checks attributes, number and element types of the inputs; the element types of the outputs."""
        if self._inputs is None:
            self._parse()
        for name in node.attrs:
            versions = self._known.get(name)
            if versions is None:
                raise model_error(
                    node, f"attribute '{name}' is unknown; the operator has {self._list_attributes(node)}"
                )
            if not versions[0] <= node.version <= versions[1]:
                raise model_error(
                    node,
                    f"attribute '{name}' does not exist in opset {node.version}; "
                    f"the operator has {self._list_attributes(node)}",
                )
        bound: dict[str, np.dtype] = {}
        slots = self._inputs
        last = len(slots) - 1 if slots else -1
        for index, tensor_type in enumerate(types):
            if index > last and not (slots and slots[last].repeated):
                if not node.inputs[index]:
                    continue
                raise model_error(node, f"it has {len(types)} inputs; the operator takes {self._expected(node)}")
            slot = slots[index if index < last else last]
            if tensor_type is None:
                if not slot.optional and slot.first <= node.version <= slot.final:
                    raise model_error(node, f"input {index} is left out; the operator takes {self._expected(node)}")
            elif slot.plain or slot.first <= node.version <= slot.final:
                if tensor_type.dtype is not None:
                    slot.bind(node, index, tensor_type.dtype, bound)
            else:
                raise model_error(
                    node,
                    f"input {index} ('{node.inputs[index]}') does not exist in opset {node.version}; "
                    f"the operator takes {self._expected(node)}",
                )
        for slot in slots[len(types) :]:
            if not slot.optional and slot.first <= node.version <= slot.final:
                raise model_error(node, f"it has {len(types)} inputs; the operator takes {self._expected(node)}")
        return self._result_dtypes(node, types, bound)

    def _result_dtypes(
        self, node: Node, types: Sequence[TensorType | None], bound: dict[str, np.dtype]
    ) -> list[np.dtype]:
        outputs = self._outputs
        if len(node.outputs) > len(outputs) and not outputs[-1].repeated:
            raise model_error(node, f"it has {len(node.outputs)} outputs; the operator gives {len(outputs)}")
        if self.dtypes is not None:
            return self.dtypes(node, [None if item is None else item.dtype for item in types])
        last = len(outputs) - 1
        results = []
        for index in range(len(node.outputs)):
            slot = outputs[min(index, last)]
            results.append(slot.fixed if slot.fixed is not None else bound.get(slot.variable))
        return results

    def _parse(self) -> None:
        inputs, _, outputs = self.signature.partition("->")
        self._outputs = [_Slot(text) for text in outputs.split()]
        self._known = {}
        for text in self.attributes.split():
            name, first, final = _versions(text)
            self._known[name] = (first, final)
        self._inputs = [_Slot(text) for text in inputs.split()]

    def _expected(self, node: Node) -> str:
        least = sum(1 for slot in self._inputs if not slot.optional and slot.first <= node.version <= slot.final)
        most = sum(1 for slot in self._inputs if slot.first <= node.version <= slot.final)
        if self._inputs and self._inputs[-1].repeated:
            return f"{least} or more"
        return str(most) if least == most else f"{least} to {most}"

    def _list_attributes(self, node: Node) -> str:
        names = [name for name, (first, final) in self._known.items() if first <= node.version <= final]
        return ", ".join(names) or "none"


class _Slot:
    """One input or output of a signature."""

    __slots__ = ("final", "first", "fixed", "kinds", "optional", "plain", "repeated", "variable")

    def __init__(self, text: str):
        text, self.first, self.final = _versions(text)
        self.plain = self.first == 0 and self.final >= _NEVER
        self.repeated = text.endswith("...")
        text = text.removesuffix("...")
        self.optional = text.endswith("?")
        self.variable = text.removesuffix("?")  # "*" stands for any type, unchecked
        self.fixed = _FIXED.get(self.variable)
        self.kinds = None if self.fixed is not None else _KINDS.get(self.variable[:1])

    def bind(self, node: Node, index: int, dtype: np.dtype, bound: dict[str, np.dtype]) -> None:
        """Checks the element type of an input against the slot and against what its variable stands for already."""
        expected = self.fixed
        if expected is None:
            if self.variable == "*":
                return
            wrong = self.kinds is not None and dtype.kind not in self.kinds
            if wrong or (self.variable[0] == "E" and dtype.itemsize != 1):
                raise model_error(
                    node, f"input '{node.inputs[index]}' is {dtype}; {_MEANING[self.variable[0]]} is expected"
                )
            expected = bound.setdefault(self.variable, dtype)
        if dtype is not expected and dtype != expected:
            raise model_error(node, f"input '{node.inputs[index]}' is {dtype}; {expected} is expected")


_NEVER = 10**6
_MEANING = {
    "N": "a number",
    "F": "a floating-point type",
    "I": "a signed integer",
    "Q": "an integer",
    "E": "int8 or uint8",
    "B": "bool",
}


def _versions(text: str) -> tuple[str, int, int]:
    """Splits a version mark from a name: `axes@-12` -> ("axes", 0, 12), `allowzero@14` -> ("allowzero", 14, never)."""
    name, mark, versions = text.partition("@")
    if not mark:
        return name, 0, _NEVER
    first, _, final = versions.partition("-")
    return name, int(first or 0), int(final or _NEVER)
