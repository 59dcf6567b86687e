"""The operator table against the onnx package's own node tests: shapes, element types, and the values of folding."""

from random import Random

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from conv_infer.errors import ConvInferError, UnsupportedError
from conv_infer.graph import Graph, TensorType
from conv_infer.importer import read_model
from conv_infer.operators import OPERATORS
from conv_infer.specialise import REFERENCE_LIMIT, specialise

# Operators whose output sizes only the data can tell.
DATA_DEPENDENT = {"Compress", "NonMaxSuppression", "NonZero"}
# Einsum with repeated or no letters is left to the reference.
UNKNOWN = {"test_einsum_batch_diagonal", "test_einsum_inner_prod"}
# The reference has no implementation of some of these; training and quantisation by blocks are never folded.
NOT_FOLDED = {
    "BatchNormalization", "DequantizeLinear", "Dropout", "QuantizeLinear", "Scatter", "Upsample",
}  # fmt: skip
# Expected values that are written down to four digits.
ROUGH = {"AveragePool": 1e-3, "GridSample": 1e-3, "RoiAlign": 1e-3}


def arrays(values):
    """Test data as arrays; None where a value is no tensor that NumPy holds."""
    result = []
    for value in values:
        if isinstance(value, TensorProto):
            value = numpy_helper.to_array(value)
        if value is None or isinstance(value, (list, dict)):
            return None
        result.append(np.asarray(value))
    return result


@pytest.fixture(scope="module")
def cases():
    """(name, operators, graph, input arrays by name, expected arrays) of every case that the table covers."""
    found = []
    for case in collect_testcases(None):
        operators = {(node.domain, node.op_type) for node in case.model.graph.node}
        if not operators <= OPERATORS.keys() | {("", "Constant")}:
            continue
        try:
            graph = read_model(case.model).graph
        except UnsupportedError:  # element types without arrays
            continue
        names = [value.name for value in case.model.graph.input]
        for inputs, outputs in case.data_sets:
            inputs, outputs = arrays(inputs), arrays(outputs)
            if inputs is not None and outputs is not None:
                found.append(
                    (case.name, {op for _, op in operators}, graph, dict(zip(names, inputs, strict=True)), outputs)
                )
    return found


def with_constants(graph, constants):
    """The graph with some of its inputs made constants."""
    types = {**graph.types, **{name: TensorType(array.dtype, array.shape) for name, array in constants.items()}}
    inputs = [name for name in graph.inputs if name not in constants]
    return Graph(graph.nodes, inputs, graph.outputs, types, {**graph.constants, **constants}, graph.opsets)


def test_every_operator_has_a_case_or_another_test(cases):
    covered = set().union(*(operators for _, operators, *_ in cases))
    elsewhere = {"LpPool", "MeanVarianceNormalization", "Upsample", "Scatter", "GlobalLpPool"}
    assert {op for domain, op in OPERATORS if domain == ""} - covered <= elsewhere


def test_shapes_and_element_types(cases):
    assert len(cases) > 1000
    wrong = []
    for name, operators, graph, inputs, outputs in cases:
        # All inputs but the first are constant, so that shapes, axes and scales are known.
        open_names = list(inputs)[:1]
        fixed = {key: array for key, array in inputs.items() if key not in open_names}
        special = specialise(with_constants(graph, fixed), {key: inputs[key].shape for key in open_names})
        special.validate()
        for output, expected in zip(graph.outputs, outputs, strict=True):
            found = special.types[output]
            if found.dtype != expected.dtype:
                wrong.append(f"{name}: {output} is {found}, not {expected.dtype}")
            if found.is_static:
                if found.shape != expected.shape:
                    wrong.append(f"{name}: {output} is {found}, not {expected.shape}")
            elif not operators & DATA_DEPENDENT and name not in UNKNOWN and inputs[open_names[0]].ndim > 1:
                wrong.append(f"{name}: the shape of {output} is not known")
    assert not wrong


def test_folded_values(cases):
    wrong = []
    for name, operators, graph, inputs, outputs in cases:
        if not inputs:
            continue
        special = specialise(with_constants(graph, inputs), {})
        for output, expected in zip(graph.outputs, outputs, strict=True):
            found = special.constants.get(output)
            if found is None:
                small = all(0 < array.size <= REFERENCE_LIMIT for array in (*inputs.values(), expected))
                if small and not operators & NOT_FOLDED:
                    wrong.append(f"{name}: {output} is not folded")
                continue
            if (found.dtype, found.shape) != (expected.dtype, expected.shape):
                wrong.append(f"{name}: {output} is {found.dtype}{found.shape}, not {expected.dtype}{expected.shape}")
            exact = expected.dtype.kind != "f"
            tolerance = 0 if exact else max(ROUGH.get(op, 1e-5) for op in operators)
            if not np.allclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=not exact):
                wrong.append(f"{name}: {output} differs by {np.abs(found - expected).max()}")
    assert not wrong


def damaged(random, graph):
    """The graph with one attribute, input, size or element type of its first node replaced."""
    node, types = graph.nodes[0], dict(graph.types)
    attrs, inputs = dict(node.attrs), list(node.inputs)
    kind = random.choice(["attribute", "input", "size", "type"])
    if kind == "attribute" and attrs:
        name = random.choice(sorted(attrs))
        attrs[name] = random.choice([0, -1, 7, 2**40, 0.5, "", "word", [], [0], [-1, 2], [1, 1, 1], float("nan"), None])
        if attrs[name] is None:
            del attrs[name]
    elif kind == "input" and inputs:
        index = random.randrange(len(inputs))
        if random.random() < 0.5:
            inputs[index] = random.choice(["", *inputs])
        else:
            del inputs[index]
    elif inputs and types.get(inputs[0]) is not None and types[inputs[0]].shape:
        dtype, shape = types[inputs[0]].dtype, list(types[inputs[0]].shape)
        if kind == "type":
            dtype = np.dtype(random.choice(["float16", "int8", "int64", "bool", "float64"]))
        elif random.random() < 0.5:
            shape[random.randrange(len(shape))] = random.choice([0, 1, 3, 17, 2**20])
        else:
            shape = random.choice([shape[1:], [1, *shape], [*shape, 2], []])
        types[inputs[0]] = TensorType(dtype, tuple(shape))
    node = node.replace(attrs=attrs, inputs=inputs)
    return Graph([node, *graph.nodes[1:]], graph.inputs, graph.outputs, types, graph.constants, graph.opsets)


def test_damaged_nodes_raise_our_errors_or_none(cases):
    random = Random(2)
    refused = 0
    for name, _, graph, inputs, _ in cases:
        if not graph.nodes or not inputs or "expanded" in name:
            continue
        open_name = next(iter(inputs))
        small = {key: array for key, array in inputs.items() if key != open_name and array.size < 1000}
        for _ in range(5):
            hurt = damaged(random, with_constants(graph, small))
            try:
                specialise(hurt, {key: hurt.types[key].shape for key in hurt.inputs})
            except ConvInferError:
                refused += 1
    assert refused > 1000


@pytest.mark.parametrize("constant", [False, True])
def test_damaged_constants_raise_our_errors_or_none(cases, constant):
    random = Random(3)
    values = [np.nan, np.inf, -np.inf, 0, -1, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 1e38]
    refused = 0
    for name, _, graph, inputs, _ in cases:
        if len(inputs) < 2 or "expanded" in name:
            continue
        open_names = [] if constant else list(inputs)[:1]
        fixed = {key: array.copy() for key, array in inputs.items() if key not in open_names}
        for _ in range(3):
            array = fixed[random.choice(sorted(fixed))]
            if array.size:
                with np.errstate(all="ignore"):
                    array.reshape(-1)[random.randrange(array.size)] = np.array(random.choice(values)).astype(
                        array.dtype
                    )
            try:
                specialise(with_constants(graph, fixed), {key: inputs[key].shape for key in open_names})
            except ConvInferError:
                refused += 1
    assert refused > 100
