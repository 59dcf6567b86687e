"""Whole int8 networks through sessions: onnxruntime's levels, and the same bits however they are run."""

import json

import numpy as np
import pytest
from agreement import assert_agrees, assert_same_bits
from onnxruntime_exact import session as reference_session
from onnxruntime_exact import skip_where_signed_sums_saturate
from quantised_networks import quantised_zoo, real_network, zoo_input

import conv_infer

BATCH = 3
IDENTICAL = 0.999

# Stored from onnxruntime with convolutions in float32: test_parity_int8_tensors.py compares this one on integers
STORED_IN_FLOAT32 = "yunet_n_320__qdq_s8s8_pc"
ENDS_IN_FLOAT32 = "mnist_quantized"  # its integers under every instruction set: there as well

REAL = (
    "fastestdet__qdq_s8s8_pc",
    "fastestdet__qop_u8s8_pc",
    "mnist_quantized",
    "nanodet_m_320__qdq_s8s8_pc",
    "nanodet_m_320__qop_u8s8_pc",
    "squeezenet_fp32_from_fp16__qdq_s8s8_pc",
    "squeezenet_fp32_from_fp16__qop_u8s8_pc",
    "ultraface_slim_320_simplified__qdq_s8s8_pc",
    "ultraface_slim_320_simplified__qdq_u8s8_pt",
    "ultraface_slim_320_simplified__qop_u8s8_pc",
    "yunet_n_320__qdq_s8s8_pc",
    "yunet_n_320__qdq_u8s8_pt",
    "yunet_n_320__qop_u8s8_pc",
)

ZOO = (
    ("alexnet", "QDQ", "u8"),
    ("mobilenet_v2", "QDQ", "s8"),
    ("mobilenet_v2", "QOperator", "u8"),
    ("resnet18", "QDQ", "u8"),
    ("resnet18", "QOperator", "u8"),
    ("resnext50_32x4d", "QDQ", "s8"),
    ("shufflenet_v1_g3", "QDQ", "u8"),
    ("shufflenet_v1_g3", "QDQ", "s8"),
    ("shufflenet_v1_g8", "QOperator", "u8"),
    ("shufflenet_v2", "QDQ", "u8"),
    ("shufflenet_v2", "QOperator", "u8"),
    ("squeezenet1_1", "QDQ", "u8"),
    ("squeezenet1_1", "QDQ", "s8"),
)


def run(model, feeds, **options) -> dict[str, np.ndarray]:
    return conv_infer.run(model, feeds, strict=True, **options)


def assert_same_levels(ours, reference) -> None:
    """At least 99.9 % identical, none more than a level away, the same largest. Outputs are levels times a scale."""
    assert list(ours) == list(reference)
    for name, wanted in reference.items():
        found = ours[name]
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        levels = np.unique(wanted)
        step = np.diff(levels).min() if levels.size > 1 else 0.0
        difference = np.abs(found.astype(np.float64) - wanted)
        assert (difference == 0).mean() >= IDENTICAL, f"{name}: {(difference == 0).mean():.2%} are identical"
        assert difference.max() <= 1.01 * step, f"{name}: {difference.max() / step:.0f} levels away"
        assert wanted.reshape(-1)[found.argmax()] == wanted.max()


def assert_same_however_it_runs(model, feeds, expected, monkeypatch) -> None:
    assert_same_bits(run(model, feeds, threads=2), expected)
    for isa in conv_infer.cpu()["allowed"]:
        monkeypatch.setenv("CONV_INFER_ISA", isa)
        assert_same_bits(run(model, feeds, threads=1), expected)


def test_every_quantised_model_is_listed(outside_data):
    marks = ("__qdq", "__qop", "quantized")
    folders = sorted(path.name for path in (outside_data / "models").iterdir() if path.is_dir())
    assert [name for name in folders if any(mark in name for mark in marks)] == list(REAL)


@pytest.mark.parametrize("name", REAL)
def test_trained_networks(outside_data, name, monkeypatch):
    model, feeds, stored = real_network(outside_data / "models" / name)
    source = model.SerializeToString()
    ours = run(source, feeds, threads=1)
    if name == ENDS_IN_FLOAT32:
        assert_agrees(ours, {key: stored[key] for key in ours}, 1e-6)
        return
    if name != STORED_IN_FLOAT32:
        assert_same_levels(ours, {key: stored[key] for key in ours})
    assert_same_however_it_runs(source, feeds, ours, monkeypatch)


def test_opencv_importer_cases(outside_data, monkeypatch):
    """Of single operators the stored bits, natively."""
    folder = outside_data / "golden" / "opencv_onnx"
    manifest = json.loads((folder / "manifest.json").read_text())
    marks = ("QLinear", "QuantizeLinear")
    names = [name for name, entry in manifest.items() if any(mark in op for op in entry["ops"] for mark in marks)]
    assert len(names) == 13
    for name in names:
        model = (folder / name / "model.onnx").read_bytes()
        (entry,) = conv_infer.load(model).get_inputs()
        feeds = {entry.name: np.load(folder / name / "input_0.npy")}
        ours = run(model, feeds, threads=1)
        (result,) = ours.values()
        np.testing.assert_array_equal(result, np.load(folder / name / "output_0.npy"), name)
        assert_same_however_it_runs(model, feeds, ours, monkeypatch)
        monkeypatch.delenv("CONV_INFER_ISA")


@pytest.mark.parametrize(("name", "form", "activations"), ZOO)
def test_zoo(name, form, activations, monkeypatch):
    model, feeds = quantised_zoo(name, form, activations), zoo_input(name, BATCH)
    source = model.SerializeToString()
    together = run(source, feeds, threads=1)
    assert_same_however_it_runs(source, feeds, together, monkeypatch)
    monkeypatch.delenv("CONV_INFER_ISA")
    for index in range(BATCH):
        alone = run(source, {"input": feeds["input"][index : index + 1]}, threads=1)
        assert_same_bits(alone, {key: array[index : index + 1] for key, array in together.items()})
    if activations == "s8":
        skip_where_signed_sums_saturate()
    names = list(together)
    assert_same_levels(together, dict(zip(names, reference_session(model).run(names, feeds), strict=True)))
