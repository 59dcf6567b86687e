"""Builds small ONNX models for tests, plans them, and compares with onnxruntime."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime_sessions import open_session
from planned_reference import run_graph

from conv_infer.graph import INTERNAL, Graph
from conv_infer.importer import read_model
from conv_infer.passes import run_passes
from conv_infer.specialise import specialise


class Net:
    """A model under construction: `net.op("Relu", x)` appends a node and returns its output."""

    def __init__(self, opset: int = 17, seed: int = 0, domains: dict[str, int] | None = None):
        self.opset = opset
        self.domains = domains or {}
        self.random = np.random.default_rng(seed)
        self.nodes: list = []
        self.initializers: list = []
        self.inputs: list = []
        self.feeds: dict[str, np.ndarray] = {}

    def input(self, shape, dtype=np.float32) -> str:
        name = f"x{len(self.inputs)}"
        array = self.random.standard_normal(shape)
        self.feeds[name] = (array * (1 if np.dtype(dtype).kind == "f" else 50)).astype(dtype)
        self.inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape))
        return name

    def const(self, values, dtype=None) -> str:
        array = np.asarray(values, dtype=dtype)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def normal(self, *shape) -> str:
        """A constant of normal values, scaled as weights are."""
        fan_in = max(1, int(np.prod(shape[1:]))) if len(shape) > 1 else 1
        return self.const(self.random.standard_normal(shape) / np.sqrt(fan_in))

    def op(self, op: str, *inputs: str, outputs: int = 1, **attrs):
        names = [f"t{len(self.nodes)}" + (f"_{index}" if outputs > 1 else "") for index in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, **attrs))
        return names[0] if outputs == 1 else names

    def conv(self, x: str, channels: int, outputs: int, kernel: int = 1, groups: int = 1, bias: bool = True, **attrs):
        inputs = [x, self.normal(outputs, channels // groups, kernel, kernel)]
        if bias:
            inputs.append(self.normal(outputs))
        pads = attrs.pop("pads", [kernel // 2] * 4)
        return self.op("Conv", *inputs, group=groups, pads=pads, **attrs)

    def batch_norm(self, x: str, channels: int) -> str:
        variance = self.const(self.random.uniform(0.5, 2, channels))
        return self.op("BatchNormalization", x, *(self.normal(channels) for _ in range(3)), variance)

    def model(self, *outputs: str) -> onnx.ModelProto:
        values = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", self.inputs, values, self.initializers)
        opsets = [helper.make_opsetid(domain, version) for domain, version in {"": self.opset, **self.domains}.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        inferred = {v.name: v for v in onnx.shape_inference.infer_shapes(model).graph.output}
        for value in model.graph.output:
            value.CopyFrom(inferred[value.name])
        return model

    def specialised(self, *outputs: str) -> Graph:
        shapes = {name: array.shape for name, array in self.feeds.items()}
        return specialise(read_model(self.model(*outputs).SerializeToString()).graph, shapes)

    def check(self, *outputs: str, tolerance: float = 1e-5) -> Graph:
        """Plans the model, asserts that it computes what onnxruntime computes, returns the planned graph."""
        graph = run_passes(self.specialised(*outputs))
        assert_same(self.model(*outputs), self.feeds, graph, tolerance)
        return graph


def expected(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What onnxruntime computes, its own graph optimisations off."""
    session = open_session(model.SerializeToString(), optimised=False)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def assert_same(model, feeds, graph: Graph, tolerance: float = 1e-5) -> None:
    """Asserts that a planned graph computes what onnxruntime computes, relative to the largest element."""
    results = run_graph(graph, feeds)
    for name, array in expected(model, feeds).items():
        assert results[name].shape == array.shape
        wanted = array.astype(np.float64)
        finite = np.isfinite(wanted)
        scale = np.abs(wanted[finite]).max(initial=1e-30)
        np.testing.assert_allclose(results[name].astype(np.float64), wanted, rtol=0, atol=tolerance * scale)


def counts(graph: Graph) -> Counter:
    """How many there are of each planned operator; asserts that nothing was left to the reference."""
    left = [node for node in graph.nodes if node.domain != INTERNAL]
    assert not left, f"left to the reference: {left}"
    return Counter(node.op for node in graph.nodes)


def only(graph: Graph, op: str):
    """The one node of that operator."""
    found = [node for node in graph.nodes if node.op == op]
    assert len(found) == 1, f"{len(found)} {op} nodes"
    return found[0]
