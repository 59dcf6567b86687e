"""The onnx package's own node tests, run as models: as they are, and with all inputs but the first made constants."""

import warnings
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

import conv_infer
from conv_infer.errors import ConvInferError, ModelError, UnsupportedError

RANDOM = ("bernoulli", "training_dropout")  # outputs drawn at random
# Operators that onnx.reference, too, lacks or fails in; what holds no tensors; operator sets before 6.
REFUSED = {
    "test_not_2d",
    "test_not_3d",
    "test_not_4d",
    "test_optional_get_element_optional_tensor",
    "test_optional_has_element_optional_input",
    "test_optional_has_element_tensor_input",
    "test_scan_sum",
    "test_scatter_with_axis",
    "test_scatter_without_axis",
    "test_upsample_nearest",
}
# Element types that NumPy has no arrays of, and text.
FOREIGN_TYPES = ("bfloat16", "float8", "float4", "int4", "int2", "string")
# onnxruntime and this library compute the sizes of the other definition, as both do for trained networks.
OTHERWISE = {"test_resize_downsample_scales_linear_align_corners"}
QUANTISED = ("ConvInteger", "DequantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul", "QuantizeLinear")


def arrays(values):
    """Test data as arrays; None where a value is no tensor."""
    found = []
    for value in values:
        if isinstance(value, TensorProto):
            value = numpy_helper.to_array(value)
        if value is None or isinstance(value, (list, dict)):
            return None
        found.append(np.asarray(value))
    return found


@pytest.fixture(scope="module")
def cases():
    """(case, inputs by name, outputs) of every float or integer case whose outputs are not drawn at random."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collected = collect_testcases(None)
    found = []
    for case in collected:
        if any(mark in case.name for mark in RANDOM):
            continue
        if {node.op_type for node in case.model.graph.node} & set(QUANTISED):
            continue
        for inputs, outputs in case.data_sets:
            inputs, outputs = arrays(inputs), arrays(outputs)
            if inputs is not None and outputs is not None:
                names = [value.name for value in case.model.graph.input]
                found.append((case, dict(zip(names, inputs, strict=True)), outputs))
    return found


def with_constants(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The model with all its inputs but the first made initializers."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    changed.graph.initializer.extend(numpy_helper.from_array(inputs[name], name) for name in list(inputs)[1:])
    del changed.graph.input[1:]
    return changed


def departure(case, ours, expected) -> str:
    """What is wrong with the outputs; nothing where all agree within the case's own tolerance."""
    for array, reference in zip(ours, expected, strict=True):
        if (array.shape, array.dtype) != (reference.shape, reference.dtype):
            return f"{array.dtype}{array.shape}, expected {reference.dtype}{reference.shape}"
        if reference.dtype.kind in "fc":
            tolerance = {"rtol": max(case.rtol, 1e-3), "atol": max(case.atol, 1e-6)}
            if not np.allclose(array.astype(complex), reference.astype(complex), **tolerance, equal_nan=True):
                return "values"
        elif not np.array_equal(array, reference):
            return "values"
    return ""


def run_all(cases, constants: bool):
    """How many cases ended how, which departed and which were refused, by name."""
    outcomes, departed, refused = Counter(), {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case, inputs, expected in cases:
            model, feeds = case.model, inputs
            if constants:
                if len(inputs) < 2 or not all(inputs):
                    continue
                model, feeds = with_constants(model, inputs), dict(list(inputs.items())[:1])
            try:
                session = conv_infer.load(model, threads=1)
                ours = session.run(None, feeds)
            except (ModelError, UnsupportedError) as error:
                refused[case.name] = str(error)
                continue
            is_native = not any(step.is_reference for step in session.plan)
            outcomes["native" if is_native else "reference"] += 1
            wrong = departure(case, ours, expected)
            if wrong:
                departed[case.name] = wrong
    return outcomes, departed, refused


def not_of_foreign_types(refused: dict[str, str]) -> set[str]:
    return {
        name
        for name, message in refused.items()
        if "element type" not in message or not any(foreign in message for foreign in FOREIGN_TYPES)
    }


def test_as_they_are(cases):
    outcomes, departed, refused = run_all(cases, constants=False)
    assert departed == {}
    assert not_of_foreign_types(refused) == REFUSED
    assert outcomes["native"] >= 350
    assert outcomes.total() >= 1550


def test_with_constants(cases):
    """Weights, shapes and scales are constants in most networks: so more operators run natively."""
    outcomes, departed, refused = run_all(cases, constants=True)
    assert set(departed) == OTHERWISE
    assert not_of_foreign_types(refused) <= REFUSED
    assert outcomes["native"] >= 320
    assert outcomes.total() >= 1100


def test_float32_window_operators_run_natively(cases):
    """Convolutions and pooling of one and two spatial dimensions, none of which may fall back unseen."""
    operators = {"Conv", "ConvTranspose", "AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool"}
    fell_back = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case, inputs, _ in cases:
            nodes = case.model.graph.node
            if len(nodes) != 1 or nodes[0].op_type not in operators:
                continue
            first = next(iter(inputs.values()))
            if first.dtype == np.float32 and first.ndim < 5:
                model = with_constants(case.model, inputs) if len(inputs) > 1 else case.model
                try:
                    conv_infer.load(model, strict=True)
                except ConvInferError:
                    fell_back.add(case.name)
    assert fell_back == {
        "test_averagepool_2d_dilations",
        "test_maxpool_with_argmax_2d_precomputed_pads",  # indices
        "test_maxpool_with_argmax_2d_precomputed_strides",
    }
