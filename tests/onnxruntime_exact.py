"""onnxruntime as a reference for int8: sums that saturate on no CPU."""

from __future__ import annotations

from collections import Counter

import onnx
import onnxruntime
import pytest

import conv_infer


def session(model: onnx.ModelProto, fused: bool = True) -> onnxruntime.InferenceSession:
    """A session of one thread; with `fused` onnxruntime may apply its own graph optimisations.

    Where the CPU has no VNNI, onnxruntime adds products of uint8 and int8 in 16 bits, which saturate. Its option for
    exact sums rewrites weights by name: it fails on a weight that two nodes read, and where no tensor is uint8 at all.
    On x86-64 it computes most of what lies between int8 tensors in float32, unless another option tells it not to.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    types = {tensor.data_type for tensor in model.graph.initializer}
    if onnx.TensorProto.UINT8 in types:
        options.add_session_config_entry("session.x64quantprecision", "1")
    else:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    if not fused:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = _with_own_constants(model).SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def skip_where_signed_sums_saturate() -> None:
    """For networks of int8 activations, which the option for exact sums does not serve."""
    if onnxruntime.__version__ == "stored":
        return  # by another machine, which stored nothing if it saturated
    present = conv_infer.cpu()["present"]
    if not {"avxvnni", "avx512vnni", "dotprod"} & set(present):
        pytest.skip("onnxruntime's sums of int8 saturate on this CPU")


def _with_own_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with an initializer for each use."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    initializers = {tensor.name: tensor for tensor in copy.graph.initializer}
    uses: Counter[str] = Counter()
    for node in copy.graph.node:
        for position, name in enumerate(node.input):
            if name not in initializers:
                continue
            uses[name] += 1
            if uses[name] > 1:
                added = copy.graph.initializer.add()
                added.CopyFrom(initializers[name])
                added.name = node.input[position] = f"{name}/use{uses[name]}"
    return copy
