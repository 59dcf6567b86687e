"""All passes over whole networks: planned graphs compute what onnxruntime computes, and nothing needless is left."""

import numpy as np
import onnx
import pytest
from onnx_builder import assert_same, counts

from conv_infer.importer import read_model
from conv_infer.passes import run_passes
from conv_infer.specialise import specialise
from models import zoo

PLAIN = {"Conv", "MaxPool", "AveragePool", "Concat", "Reduce", "Reshape"}


def planned(model, feeds):
    shapes = {name: array.shape for name, array in feeds.items()}
    return run_passes(specialise(read_model(model.SerializeToString()).graph, shapes))


@pytest.mark.parametrize(
    ("name", "batch_norm"),
    [
        ("squeezenet1_1", False),
        ("resnet18", True),
        ("resnext50_32x4d", False),
        ("mobilenet_v2", True),
        ("shufflenet_v1_g3", True),
        ("shufflenet_v1_g4_x0.5", False),
        ("shufflenet_v1_g8", False),
        ("shufflenet_v2", True),
    ],
)
def test_zoo(name, batch_norm):
    model = zoo.build(name, size=64, batch_norm=batch_norm)
    feeds = {"input": zoo.sample_input(name, size=64)}
    graph = planned(model, feeds)
    found = counts(graph)
    assert_same(model, feeds, graph, tolerance=1e-4)
    # normalisations, activations, residual additions, layout changes and (in version 1) shuffles are gone
    assert set(found) <= PLAIN | ({"ChannelGather"} if name == "shufflenet_v2" else set())
    if name == "shufflenet_v2":
        gathers = [node.attrs["channels"] for node in graph.nodes if node.op == "ChannelGather"]
        assert len(gathers) == 13  # the identity half of each unit
        assert all((np.diff(channels) > 0).all() for channels in gathers)


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("fastestdet", {"Slice", "Pad", "Activation", "Binary", "Reshape"}),
        ("nanodet_m_320", {"Transpose", "Pad"}),
        ("yunet_n_320", {"Transpose", "ChannelGather", "Activation"}),
        ("ultraface_rfb_320", {"Transpose", "Affine"}),
        ("shufflenet_v1_g4_random", {"ChannelGather", "Transpose", "Activation", "Affine", "Binary"}),
        ("super_resolution_10", {"Activation"}),
        ("mnist_8", {"Binary", "Affine", "Activation"}),
        ("squeezenet_fp16", {"Transpose", "Activation"}),
    ],
)
def test_real_networks(outside_data, name, gone):
    folder = outside_data / "models" / name
    model = onnx.load(folder / "model.onnx")
    arrays = dict(np.load(folder / "inputs.npz"))
    initializers = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in initializers]
    feeds = {key: arrays[key] for key in names} if set(names) <= set(arrays) else dict(zip(names, arrays.values()))  # noqa: B905
    graph = planned(model, feeds)
    assert not gone & set(counts(graph))
    for node in graph.nodes:
        if node.op == "ChannelGather":  # what is left of shuffles are copies of a few runs of channels
            steps = np.diff(node.attrs["channels"])
            assert (steps > 0).all()
            assert (steps != 1).sum() < 8
    assert_same(model, feeds, graph, tolerance=1e-4 if name != "squeezenet_fp16" else 1e-2)
