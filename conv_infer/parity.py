"""Compares results with onnxruntime's, for whole models and tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .errors import InputError, ModelError
from .threads import default_threads


class Comparison:
    """How far one tensor is from the reference.

    largest_error: the largest absolute difference. magnitude: the largest absolute value of the reference. matches:
    same shape and type, same places of NaN and infinities, and the error within tolerance * magnitude.
    """

    __slots__ = ("largest_error", "magnitude", "matches", "name", "reason", "shape")

    def __init__(self, name: str, ours: Any, reference: Any, tolerance: float):
        ours, reference = np.asarray(ours), np.asarray(reference)
        self.name = name
        self.shape = reference.shape
        self.largest_error = self.magnitude = 0.0
        self.reason = ""
        if ours.dtype != reference.dtype:
            self.reason = f"type {ours.dtype}, expected {reference.dtype}"
        elif ours.shape != reference.shape:
            self.reason = f"shape {list(ours.shape)}, expected {list(reference.shape)}"
        elif not np.issubdtype(reference.dtype, np.number):
            self.reason = "" if np.array_equal(ours, reference) else "values differ"
        elif reference.size:
            self._measure(ours, reference, tolerance)
        self.matches = not self.reason

    def _measure(self, ours: np.ndarray, reference: np.ndarray, tolerance: float) -> None:
        if np.issubdtype(reference.dtype, np.inexact):
            finite = np.isfinite(reference)
            if not np.array_equal(ours[~finite], reference[~finite], equal_nan=True):
                self.reason = "NaN or infinity in other places"
            if not np.isfinite(ours[finite]).all():
                self.reason = "NaN or infinity where a number is expected"
                return
            ours, reference = ours[finite].astype(np.float64), reference[finite].astype(np.float64)
        else:
            ours, reference = ours.astype(object), reference.astype(object)  # exact, whatever the width
        if not reference.size:
            return
        self.largest_error = float(np.abs(ours - reference).max())
        self.magnitude = float(np.abs(reference).max())
        if self.largest_error > tolerance * self.magnitude:
            self.reason = self.reason or "error above the tolerance"

    @property
    def relative_error(self) -> float:
        """The largest error over the magnitude; 0 where both are 0."""
        if self.largest_error == 0:
            return 0.0
        return self.largest_error / self.magnitude if self.magnitude else float("inf")


def import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise InputError("comparing needs onnxruntime; install it with: pip install onnxruntime") from None
    return onnxruntime


def reference_outputs(model: str | bytes, feeds: dict[str, np.ndarray]) -> dict[str, Any]:
    """What onnxruntime computes: output name -> array. Raises `ModelError` where it refuses the model."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = default_threads()  # its own count passes over containers' quotas
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [tensor.name for tensor in session.get_outputs()]
        return dict(zip(names, session.run(None, feeds), strict=True))
    except Exception as error:  # its exceptions have no common base of their own
        raise ModelError(f"onnxruntime refuses the model or the inputs: {error}") from None


def compare(ours: dict[str, Any], reference: dict[str, Any], tolerance: float) -> list[Comparison]:
    return [Comparison(name, ours[name], array, tolerance) for name, array in reference.items()]


class LayeredModel:
    """A model whose intermediate tensors can be asked for."""

    def __init__(self, path: str):
        import onnx

        self._onnx = onnx
        self._model = onnx.load(path)
        graph = self._model.graph
        outputs = {value.name for value in graph.output}
        self.tensors = [name for node in graph.node for name in node.output if name and name not in outputs]

    def with_outputs(self, tensors: Iterable[tuple[str, np.dtype | None]]) -> bytes:
        """The model with more outputs: (name, element type), the type left open where it is None."""
        model = self._onnx.ModelProto()
        model.CopyFrom(self._model)
        helper = self._onnx.helper
        for name, dtype in tensors:
            if dtype is None:
                value = helper.make_empty_tensor_value_info(name)
            else:
                value = helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), None)
            model.graph.output.append(value)
        return model.SerializeToString()


def first_departure(
    path: str,
    feeds: dict[str, np.ndarray],
    run: Callable[[bytes, dict[str, np.ndarray]], dict[str, Any]],
    tolerance: float,
    progress: Callable[[list[str], str], Iterable[str]],
) -> tuple[list[Comparison], bool]:
    """The comparisons of all intermediate tensors in the order of the model, and whether they were asked for alone.

    First all at once. Asking for a tensor keeps it from being fused away, which can hide a fault of the fusion: where
    none departs so, each is asked for alone, up to the first that departs.
    """
    layered = LayeredModel(path)
    reference = reference_outputs(layered.with_outputs((name, None) for name in layered.tensors), feeds)
    typed = {
        name: array.dtype
        for name, array in reference.items()
        if isinstance(array, np.ndarray) and name in set(layered.tensors)
    }
    ours = run(layered.with_outputs(typed.items()), feeds)
    found = [Comparison(name, ours[name], reference[name], tolerance) for name in typed]
    if not all(comparison.matches for comparison in found):
        return found, False
    alone = []
    for name in progress(list(typed), "tensors"):
        result = run(layered.with_outputs([(name, typed[name])]), feeds)
        alone.append(Comparison(name, result[name], reference[name], tolerance))
        if not alone[-1].matches:
            return alone, True
    return alone or found, True
