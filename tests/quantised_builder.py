"""Builds small quantised ONNX models for tests and compares their plans with onnxruntime, level by level."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper
from onnx_builder import Net
from onnxruntime_exact import session
from planned_reference import run_graph

from conv_infer.graph import MICROSOFT, Graph
from conv_infer.passes import PASSES, run_passes
from conv_infer.passes.store_unsigned import store_unsigned

INT8, UINT8 = np.dtype(np.int8), np.dtype(np.uint8)


class QuantisedNet(Net):
    """A model on levels: `net.levels(shape, dtype)` is an input, `net.dq` and `net.q` are the usual pair."""

    def __init__(self, opset: int = 17, seed: int = 0):
        super().__init__(opset, seed, {MICROSOFT: 1})

    def levels(self, shape, dtype=INT8, low=None, high=None) -> str:
        """A graph input of random levels over the whole range."""
        name = super().input(shape, dtype)
        limits = np.iinfo(dtype)
        low, high = limits.min if low is None else low, limits.max if high is None else high
        self.feeds[name] = self.random.integers(low, high + 1, shape).astype(dtype)
        return name

    def scale(self, low=0.01, high=0.1, size=None) -> str:
        return self.const(np.asarray(self.random.uniform(low, high, size), np.float32))

    def zero(self, dtype=INT8, value=None, size=None) -> str:
        limits = np.iinfo(dtype)
        value = self.random.integers(limits.min, limits.max + 1, size) if value is None else value
        return self.const(np.broadcast_to(np.asarray(value, dtype), () if size is None else (size,)))

    def dq(self, x: str, scale: str, zero: str = "", **attrs) -> str:
        return self.op("DequantizeLinear", *([x, scale, zero] if zero else [x, scale]), **attrs)

    def q(self, x: str, scale: str, zero: str, **attrs) -> str:
        return self.op("QuantizeLinear", x, scale, zero, **attrs)

    def ms(self, op: str, *inputs: str, **attrs) -> str:
        return self.op(op, *inputs, domain=MICROSOFT, **attrs)

    def integers(self, shape, dtype=INT8, low=None, high=None) -> str:
        limits = np.iinfo(dtype)
        low, high = limits.min if low is None else low, limits.max if high is None else high
        return self.const(self.random.integers(low, high + 1, shape).astype(dtype))

    def model(self, *outputs: str) -> onnx.ModelProto:
        """Shape inference knows none of com.microsoft's operators: onnxruntime infers what is not declared."""
        values = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", self.inputs, values, self.initializers)
        opsets = [helper.make_opsetid(domain, version) for domain, version in {"": self.opset, **self.domains}.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        types = {output.name: output.type for output in session(model, False).get_outputs()}
        shapes = {output.name: output.shape for output in session(model, False).get_outputs()}
        for value in model.graph.output:
            value.CopyFrom(helper.make_tensor_value_info(value.name, _ELEMENTS[types[value.name]], shapes[value.name]))
        return model

    def check_levels(self, *outputs: str, fused: bool = True, within: int = 0, varied: bool = True) -> Graph:
        """Plans the model and asserts that it gives onnxruntime's levels, or ones at most `within` from them.

        With `fused` onnxruntime may apply its own graph optimisations; `varied` results are not all alike. Returns
        the graph before int8 tensors are stored as unsigned bytes: levels and bounds are still those of the model.
        """
        specialised = self.specialised(*outputs)
        graph = specialised
        for apply in PASSES:
            graph = graph if apply is store_unsigned else apply(graph)
        wanted = session(self.model(*outputs), fused).run(list(outputs), self.feeds)
        for planned in (graph, run_passes(specialised)):
            results = run_graph(planned, self.feeds, np.float32)
            for name, array in zip(outputs, wanted, strict=True):
                assert not varied or array.size < 4 or len(np.unique(array)) > 1, f"{name}: one value only"
                _assert_same(name, results[name], array, within)
        return graph


def _assert_same(name: str, found: np.ndarray, wanted: np.ndarray, within: int) -> None:
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())
    else:
        difference = np.abs(found.astype(np.int64) - wanted.astype(np.int64))
        assert difference.max(initial=0) <= within, f"{name}: {(difference > 0).sum()} of {found.size} differ"


_ELEMENTS = {
    "tensor(float)": onnx.TensorProto.FLOAT,
    "tensor(int8)": onnx.TensorProto.INT8,
    "tensor(uint8)": onnx.TensorProto.UINT8,
    "tensor(int32)": onnx.TensorProto.INT32,
    "tensor(int64)": onnx.TensorProto.INT64,
}
