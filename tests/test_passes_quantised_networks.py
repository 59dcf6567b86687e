"""Whole quantised networks through all passes: the outputs of onnxruntime, and no float32 step that need not be."""

import numpy as np
import onnx
import pytest
from onnx_builder import counts
from onnxruntime_exact import session, skip_where_signed_sums_saturate
from planned_reference import run_graph
from quantised_networks import quantised_zoo, real_network, zoo_input

from conv_infer.importer import read_model
from conv_infer.passes import run_passes
from conv_infer.specialise import specialise

LAYERS = {"QConv", "QBinary", "QLookup", "QMean", "QAveragePool", "QSoftmax", "MaxPool", "Resize"}
COPIES = {"Concat", "Slice", "ChannelGather", "Transpose", "Reshape", "Pad"}
INTEGER = LAYERS | COPIES | {"Quantize", "Dequantize"}


def planned(model, feeds):
    shapes = {name: array.shape for name, array in feeds.items()}
    return run_passes(specialise(read_model(model.SerializeToString()).graph, shapes))


def floats(graph):
    """The nodes that compute on float32 tensors, without the ends of the integer part and copies."""
    found = []
    for node in graph.nodes:
        names = [name for name in (*node.inputs, *node.outputs) if name]
        if any(graph.types[name].dtype == np.float32 for name in names):
            assert node.op != "Transpose", "levels are cheaper to move"
            if node.op not in COPIES | {"Quantize", "Dequantize"}:
                found.append(node)
    return found


# network, operators that stay in float32, share of equal elements that onnxruntime's rounding allows
REAL = [
    ("ultraface_slim_320_simplified__qop_u8s8_pc", set(), 1.0),
    ("ultraface_slim_320_simplified__qdq_u8s8_pt", set(), 1.0),
    ("ultraface_slim_320_simplified__qdq_s8s8_pc", set(), 1.0),
    ("yunet_n_320__qop_u8s8_pc", set(), 1.0),
    ("yunet_n_320__qdq_u8s8_pt", set(), 1.0),
    # onnxruntime runs 21 of these convolutions in float32, where sums next to a half may round the other way; what
    # follows makes more of the difference
    ("yunet_n_320__qdq_s8s8_pc", set(), 0.995),
    ("fastestdet__qop_u8s8_pc", set(), 1.0),
    ("fastestdet__qdq_s8s8_pc", set(), 1.0),
    ("nanodet_m_320__qop_u8s8_pc", {"Cast", "Resize"}, 1.0),
    ("nanodet_m_320__qdq_s8s8_pc", {"Resize"}, 1.0),
    ("squeezenet_fp32_from_fp16__qop_u8s8_pc", set(), 1.0),
    ("squeezenet_fp32_from_fp16__qdq_s8s8_pc", set(), 1.0),
]


@pytest.mark.parametrize(("name", "in_float32", "equal"), REAL, ids=[name for name, _, _ in REAL])
def test_real_networks(outside_data, name, in_float32, equal):
    model, feeds, expected = real_network(outside_data / "models" / name)
    graph = planned(model, feeds)
    assert {node.op for node in floats(graph)} == in_float32
    assert set(counts(graph)) <= INTEGER | in_float32
    results = run_graph(graph, feeds, np.float32)
    for output, wanted in expected.items():
        levels = np.unique(wanted)
        step = np.diff(levels).min() if levels.size < 300 else 0.0  # the outputs are levels times a scale
        difference = np.abs(results[output] - wanted)
        assert (difference == 0).mean() >= equal
        assert difference.max() <= (0.0 if equal == 1.0 else 4.01) * step


def test_a_network_of_integer_convolutions(outside_data):
    model, feeds, expected = real_network(outside_data / "models" / "mnist_quantized")
    graph = planned(model, feeds)
    assert counts(graph)["QConv"] == 3
    results = run_graph(graph, feeds, np.float32)
    for output, wanted in expected.items():
        np.testing.assert_allclose(results[output], wanted, rtol=1e-5, atol=1e-5)


GOLDEN = [
    "qlinearsoftmax_v11",
    "quantized_concat",
    "quantized_conv_int8_weights_qdq",
    "quantized_conv_per_channel_weights_qdq",
    "quantized_conv_uint8_weights_qdq",
    "quantized_eltwise",
    "quantized_matmul_uint8_weights",
    "quantized_maxpool",
    "quantized_resize_bilinear",
    "quantized_resize_bilinear_align",
    "quantized_resize_nearest",
    "quantized_split",
    "quantized_transpose",
]


@pytest.mark.parametrize("name", GOLDEN)
def test_models_that_opencv_is_tested_with(outside_data, name):
    folder = outside_data / "golden" / "opencv_onnx" / name
    model = onnx.load(folder / "model.onnx")
    feeds = {model.graph.input[0].name: np.load(folder / "input_0.npy")}
    graph = planned(model, feeds)
    expected_floats = {"Cast", "Resize"} if "bilinear" in name else {"Binary"} if name == "quantized_split" else set()
    assert {node.op for node in floats(graph)} == expected_floats
    results = run_graph(graph, feeds, np.float32)
    (result,) = results.values()
    np.testing.assert_array_equal(result, np.load(folder / "output_0.npy"))


@pytest.mark.parametrize(
    ("name", "form", "activations", "additions"),
    [
        ("resnet18", "QOperator", "u8", 8),
        ("mobilenet_v2", "QDQ", "s8", 10),
        ("shufflenet_v1_g3", "QDQ", "u8", 13),
        ("shufflenet_v1_g3", "QDQ", "s8", 13),
        ("shufflenet_v2", "QDQ", "u8", 0),
        ("squeezenet1_1", "QDQ", "u8", 0),
    ],
)
def test_zoo(name, form, activations, additions):
    if activations == "s8":
        skip_where_signed_sums_saturate()
    feeds = zoo_input(name)
    model = quantised_zoo(name, form, activations)
    graph = planned(model, feeds)
    found = counts(graph)
    # nothing in float32, residual additions in the convolutions, no layout change but the image's
    assert not floats(graph) and found["Quantize"] == found["Dequantize"] == 1
    assert sum(node.op == "QConv" and node.attrs["add"] is not None for node in graph.nodes) == additions
    assert found["Transpose"] == 1 and "QBinary" not in found
    assert found["ChannelGather"] == (13 if name == "shufflenet_v2" else 0)
    assert not [node for node in graph.nodes if node.attrs.get("note")]
    (result,) = run_graph(graph, feeds, np.float32).values()
    wanted = session(model, fused=True).run(None, feeds)[0]
    np.testing.assert_array_equal(result, wanted)
