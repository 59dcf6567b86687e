"""All passes over whole networks: planned graphs compute what onnxruntime computes."""

from collections import Counter

import numpy as np
import onnxruntime
import pytest
from planned_reference import run_graph

from conv_infer.graph import INTERNAL
from conv_infer.importer import read_model
from conv_infer.passes import run_passes
from conv_infer.specialise import specialise
from models import zoo


def expected(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def planned(model, feeds):
    shapes = {name: array.shape for name, array in feeds.items()}
    return run_passes(specialise(read_model(model.SerializeToString()).graph, shapes))


def assert_same(model, feeds, graph, tolerance=1e-4):
    results = run_graph(graph, feeds)
    for name, array in expected(model, feeds).items():
        assert results[name].shape == array.shape
        np.testing.assert_allclose(results[name], array, rtol=0, atol=tolerance * max(1e-30, np.abs(array).max()))


def counts(graph):
    assert all(node.domain == INTERNAL for node in graph.nodes), "a node was left to the reference operators"
    return Counter(node.op for node in graph.nodes)


@pytest.mark.parametrize(
    ("name", "batch_norm"),
    [
        ("squeezenet1_1", False),
        ("resnet18", True),
        ("resnext50_32x4d", False),
        ("mobilenet_v2", True),
        ("shufflenet_v1_g3", True),
        ("shufflenet_v1_g4_x0.5", False),
        ("shufflenet_v2", True),
    ],
)
def test_zoo(name, batch_norm):
    model = zoo.build(name, size=64, batch_norm=batch_norm)
    feeds = {"input": zoo.sample_input(name, size=64)}
    graph = planned(model, feeds)
    found = counts(graph)
    assert_same(model, feeds, graph)
    # normalisations, activations, residual additions, layout changes and (in version 1) shuffles are gone
    allowed = {"Conv", "MaxPool", "AveragePool", "Concat", "Reduce", "Reshape"}
    if name == "shufflenet_v2":
        allowed.add("ChannelGather")
        gathers = [node.attrs["channels"] for node in graph.nodes if node.op == "ChannelGather"]
        assert len(gathers) == 13  # the identity half of each unit
        assert all((np.diff(channels) > 0).all() for channels in gathers)
    assert set(found) <= allowed, found
