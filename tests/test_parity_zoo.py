"""Every architecture of the zoo, end to end, against onnxruntime: values, batch, threads, instruction sets, memory."""

import numpy as np
import pytest
from agreement import assert_agrees, assert_same_arg_max, assert_same_bits

import conv_infer
from conv_infer.parity import reference_outputs
from models import zoo

BATCH = 3
FULL_SIZE = ("alexnet", "squeezenet1_1", "mobilenet_v2", "shufflenet_v1_g3", "shufflenet_v2")
SMALL_SIZE = {"vgg16": 64, "resnet50": 96, "resnext50_32x4d": 96}


class Case:
    """A network, a batch of inputs and what onnxruntime makes of it."""

    def __init__(self, name: str):
        self.name = name
        self.size = None if name in FULL_SIZE else SMALL_SIZE.get(name, 128)
        self.model = zoo.build(name, batch="N", size=self.size).SerializeToString()
        self.feeds = {"input": zoo.sample_input(name, batch=BATCH, size=self.size)}
        self.expected = reference_outputs(self.model, self.feeds)
        self.session = conv_infer.load(self.model, threads=1, strict=True)

    def run(self, session=None, feeds=None) -> dict[str, np.ndarray]:
        return {"output": (session or self.session).run(None, feeds or self.feeds)[0]}

    def entry(self, index: int) -> dict[str, np.ndarray]:
        return {"input": self.feeds["input"][index : index + 1]}


@pytest.fixture(scope="module", params=zoo.NETWORKS)
def case(request):
    return Case(request.param)


def test_agrees_with_onnxruntime(case):
    ours = case.run()
    assert_agrees(ours, case.expected)
    for image, reference in zip(ours["output"], case.expected["output"], strict=True):
        assert_same_arg_max(image, reference)


def test_a_single_image_is_an_entry_of_the_batch(case):
    together = case.run()["output"]
    for index in range(BATCH):
        alone = case.run(feeds=case.entry(index))
        assert_agrees(alone, {"output": case.expected["output"][index : index + 1]})
        # A batch may be lowered otherwise and so be summed in another order.
        assert_agrees(alone, {"output": together[index : index + 1]}, 1e-5)


def test_same_bits_at_any_number_of_threads_and_from_run_to_run(case):
    feeds = case.entry(0)
    first = case.run(feeds=feeds)
    assert_same_bits(case.run(feeds=feeds), first)
    for threads in (2, 3):
        session = conv_infer.load(case.model, threads=threads, strict=True)
        assert_same_bits(case.run(session, feeds), first)
        assert_same_bits(case.run(session, feeds), first)


def test_memory_is_close_to_what_lives_at_one_time(case):
    for batch in (1, BATCH):
        case.session.prepare({"input": (batch, *case.feeds["input"].shape[1:])})
        memory = case.session.memory
        assert 0 < memory.live <= memory.arena <= 1.25 * memory.live
        assert memory.peak == memory.weights + memory.arena + memory.scratch


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "shufflenet_v1_g3", "shufflenet_v1_g8_x0.25"])
def test_fixed_batch_and_batch_normalisations(name):
    model = zoo.build(name, batch=2, size=96, batch_norm=True, seed=1).SerializeToString()
    feeds = {"input": zoo.sample_input(name, batch=2, size=96, seed=1)}
    ours = conv_infer.run(model, feeds, strict=True)
    assert_agrees(ours, reference_outputs(model, feeds))


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512", "neon", "a53"])
@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2", "shufflenet_v1_g4", "shufflenet_v2", "resnet18"])
def test_instruction_sets(name, isa, monkeypatch):
    if isa not in conv_infer.cpu()["allowed"]:
        pytest.skip(f"{isa} is not available here")
    monkeypatch.setenv("CONV_INFER_ISA", isa)
    model = zoo.build(name, size=64).SerializeToString()
    feeds = {"input": zoo.sample_input(name, size=64)}
    first = conv_infer.run(model, feeds, threads=1, strict=True)
    assert_agrees(first, reference_outputs(model, feeds))
    assert_same_bits(conv_infer.run(model, feeds, threads=2, strict=True), first)
