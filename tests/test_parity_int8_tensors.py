"""Every integer tensor inside quantised networks of full size: exact, and onnxruntime's.

A network's tensors are the results of its QuantizeLinear nodes, made outputs. Three engines compute them: this package,
the exact reference (tests/exact_graph.py), onnxruntime on integers. All agree. What onnxruntime computes in float32, as
it does where it fuses nothing, differs: sums of float32 next to the middle between two levels round the other way. Fed
with the same levels step by step it is off by one level in a few of a million; in a cascade that adds up.
"""

import numpy as np
import onnx
import pytest
from agreement import assert_agrees, assert_same_arg_max, assert_same_bits
from exact_graph import quantised_names, run_exactly
from onnxruntime_exact import session, skip_where_signed_sums_saturate
from quantised_networks import real_network

import conv_infer
from models import zoo
from models.quantise import quantise

IDENTICAL = 0.999
NEXT_TO_A_TIE = 1e-4  # levels: what sums of float32 may be off

ZOO = (
    ("shufflenet_v1_g3", "s8"),
    ("shufflenet_v1_g3", "u8"),
    ("mobilenet_v2", "s8"),
    ("mobilenet_v2", "u8"),
    ("squeezenet1_1", "s8"),
    ("resnext50_32x4d", "s8"),
)
REAL = ("yunet_n_320__qdq_s8s8_pc", "yunet_n_320__qdq_u8s8_pt")


def of_zoo(name: str, activations: str) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    feeds = {"input": zoo.sample_input(name)}
    return quantise(zoo.build(name), [feeds], activations=activations), feeds


def showing(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """The model with more outputs."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    shown.graph.output.extend(known[name] for name in names)
    return shown


def assert_same_levels(theirs: dict[str, np.ndarray], exact: dict[str, np.ndarray]) -> None:
    """Each tensor within a level, at least 99.9 % of it identical."""
    for name, wanted in exact.items():
        difference = np.abs(theirs[name].astype(np.int64) - wanted)
        assert difference.max() <= 1, f"{name}: {difference.max()} levels away"
        assert (difference == 0).mean() >= IDENTICAL, f"{name}: {(difference == 0).mean():.2%} are identical"


def check(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> None:
    names = quantised_names(model)
    shown = showing(model, names)
    quantised, results = run_exactly(model, feeds)
    exact = {name: found.levels for name, found in quantised.items()}

    assert_same_bits(conv_infer.run(model.SerializeToString(), feeds, strict=True), results)
    ours = conv_infer.run(shown.SerializeToString(), feeds, strict=True)
    assert_same_bits(ours, {**results, **exact})

    as_written = dict(zip(names, session(shown, fused=False).run(names, feeds), strict=True))
    step_by_step, _ = run_exactly(model, feeds, as_written)
    assert_same_levels(as_written, {name: found.levels for name, found in step_by_step.items()})
    for name, found in step_by_step.items():
        assert found.distance_to_tie(as_written[name] != found.levels) < NEXT_TO_A_TIE, name

    if all(levels.dtype == np.int8 for levels in exact.values()):
        skip_where_signed_sums_saturate()
    theirs = dict(zip(ours, session(shown).run(list(ours), feeds), strict=True))
    assert_same_levels(theirs, exact)
    for name, wanted in results.items():
        assert_same_arg_max(theirs[name], wanted, name)


@pytest.mark.parametrize(("name", "activations"), ZOO)
def test_zoo(name, activations):
    check(*of_zoo(name, activations))


@pytest.mark.parametrize("name", REAL)
def test_trained_networks(outside_data, name):
    model, feeds, _ = real_network(outside_data / "models" / name)
    check(model, feeds)


def test_integers_between_floats(outside_data, monkeypatch):
    """A network of ConvInteger and MatMulInteger: between them float32, whose last bits depend on the instruction set.

    The integers do not; its outputs are float32.
    """
    model, feeds, _ = real_network(outside_data / "models" / "mnist_quantized")
    integer = {"QuantizeLinear", "ConvInteger", "MatMulInteger"}
    names = [node.output[0] for node in model.graph.node if node.op_type in integer]
    constant = "Parameter193_reshape1_quantized"
    names.remove(constant)
    shown = showing(model, names)
    expected = dict(zip(names, session(shown, fused=False).run(names, feeds), strict=True))
    assert len(names) == 6
    first = conv_infer.run(model.SerializeToString(), feeds, strict=True, threads=1)
    for isa in conv_infer.cpu()["allowed"]:
        monkeypatch.setenv("CONV_INFER_ISA", isa)
        for threads in (1, 2):
            found = conv_infer.run(shown.SerializeToString(), feeds, strict=True, threads=threads)
            assert_same_bits({name: found[name] for name in names}, expected)
            assert_agrees({name: found[name] for name in first}, first, 1e-6)
