"""The zoo's graphs are the architectures they claim to be, and the same each time."""

import numpy as np
import onnx
import pytest
from onnxruntime_sessions import open_session

from models import zoo

# Learned parameters as torchvision counts them (Caffe's AlexNet, which has the two groups; VGG-16 without its dense
# layers).
PARAMETERS = {
    "alexnet": 60_965_224,
    "vgg16": 14_714_688,
    "squeezenet1_1": 1_235_496,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "resnext50_32x4d": 25_028_904,
    "mobilenet_v2": 3_504_872,
    "shufflenet_v2": 2_278_604,
}


def all_outputs(model: onnx.ModelProto, feed: np.ndarray) -> dict[str, np.ndarray]:
    """What onnxruntime computes for every convolution and for the output, by tensor name."""
    names = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = open_session(model.SerializeToString())
    return dict(zip(["output", *names], session.run(None, {"input": feed}), strict=True))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_are_those_of_the_architectures(name):
    model = zoo.build(name, batch_norm=True)
    learned = [
        tensor for tensor in model.graph.initializer if tensor.name.startswith(("weight", "bias", "scale", "shift"))
    ]
    assert sum(int(np.prod(tensor.dims)) for tensor in learned) == PARAMETERS[name]


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", [name for name in zoo.NETWORKS if name not in ("alexnet", "vgg16", "resnet50")])
def test_activations_neither_vanish_nor_explode(name, batch_norm):
    outputs = all_outputs(zoo.build(name, batch_norm=batch_norm), zoo.sample_input(name))
    for tensor, array in outputs.items():
        assert np.isfinite(array).all(), tensor
        assert 0.05 < array.std() < 100, tensor


def test_alexnet_first_convolution():
    model = zoo.build("alexnet")
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    inferred = onnx.shape_inference.infer_shapes(model)
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inferred.graph.value_info
    }
    assert sizes[conv.output[0]] == [1, 96, 55, 55]
    assert [
        attr.i for node in model.graph.node if node.op_type == "Conv" for attr in node.attribute if attr.name == "group"
    ] == [1, 2, 1, 2, 2]


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
def test_shufflenet_v1_shuffles_in_every_unit(groups):
    operators = [node.op_type for node in zoo.build(f"shufflenet_v1_g{groups}").graph.node]
    assert operators.count("Transpose") == (16 if groups > 1 else 0)
    assert operators.count("Conv") == 1 + 16 * 3
    assert (operators.count("Add"), operators.count("Concat")) == (13, 3)


def test_graphs_are_deterministic_and_seeds_count():
    first, again, other = (zoo.build("shufflenet_v2", seed=seed).SerializeToString() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_symbolic_batch():
    model = zoo.build("shufflenet_v1_g3_x0.25", batch="N", size=64)
    feed = zoo.sample_input("shufflenet_v1_g3_x0.25", batch=3, size=64)
    together = all_outputs(model, feed)["output"]
    alone = all_outputs(zoo.build("shufflenet_v1_g3_x0.25", size=64), feed[1:2])["output"]
    assert together.shape == (3, 1000)
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-4, atol=1e-4)


def test_command_writes_a_file(tmp_path):
    path = tmp_path / "model.onnx"
    assert zoo.main(["shufflenet_v1_g8_x0.25", str(path), "--batch", "2", "--seed", "5"]) == 0
    assert path.read_bytes() == zoo.build("shufflenet_v1_g8_x0.25", batch=2, seed=5).SerializeToString()
