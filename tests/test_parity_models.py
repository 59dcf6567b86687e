"""Models that others made, end to end: trained networks, onnx's light models, OpenCV's importer tests."""

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from agreement import TOLERANCE, assert_agrees, assert_same_bits

import conv_infer
from conv_infer.errors import ConvInferError, InputError
from conv_infer.parity import reference_outputs

# ---- trained networks

FLOAT_MODELS = (
    "fastestdet",
    "mnist_8",
    "nanodet_m_320",
    "shufflenet_v1_g4_random",
    "squeezenet_fp16",
    "squeezenet_fp32_from_fp16",
    "super_resolution_10",
    "ultraface_rfb_320",
    "ultraface_slim_320_simplified",
    "yunet_n_320",
    "yunet_n_dynamic",
)


class Network:
    """A model of the outside test data with its inputs, its expected outputs and onnxruntime's."""

    def __init__(self, folder: Path):
        self.path = str(folder / "model.onnx")
        with np.load(folder / "inputs.npz") as arrays:
            self.feeds = dict(arrays)
        with np.load(folder / "expected.npz") as arrays:
            self.stored = dict(arrays)
        self.reference = reference_outputs(self.path, self.feeds)


@pytest.fixture(scope="module", params=FLOAT_MODELS)
def network(request, outside_data):
    return Network(outside_data / "models" / request.param)


def run_with(session, feeds) -> dict[str, np.ndarray]:
    return dict(zip([entry.name for entry in session.get_outputs()], session.run(None, feeds), strict=True))


def test_every_float_model_is_listed(outside_data):
    quantised = ("__qdq", "__qop", "quantized")
    names = [folder.name for folder in sorted((outside_data / "models").iterdir()) if folder.is_dir()]
    assert [name for name in names if not any(mark in name for mark in quantised)] == list(FLOAT_MODELS)


def test_trained_networks(network):
    """All natively. Of float16, only the outputs are rounded; onnxruntime rounds more often."""
    ours = conv_infer.run(network.path, network.feeds, threads=1, strict=True)
    tolerance = 2e-3 if "fp16" in network.path and "fp32" not in network.path else TOLERANCE
    assert_agrees(ours, network.reference, tolerance)
    assert_agrees(ours, {name: network.stored[name] for name in ours}, tolerance)


def test_trained_networks_give_the_same_bits_on_two_threads(network):
    session = conv_infer.load(network.path, threads=2, strict=True)
    first = run_with(session, network.feeds)
    assert_same_bits(run_with(session, network.feeds), first)
    assert_same_bits(conv_infer.run(network.path, network.feeds, threads=1), first)


def test_trained_networks_stay_within_their_arena(network):
    session = conv_infer.load(network.path, threads=1, strict=True)
    session.prepare({name: array.shape for name, array in network.feeds.items()})
    assert session.memory.arena <= 1.25 * session.memory.live


@pytest.fixture(scope="module")
def yunet(outside_data) -> Network:
    """A face detector for images of any size, with a photograph of faces."""
    return Network(outside_data / "models" / "yunet_n_dynamic")


@pytest.mark.parametrize("size", [(64, 64), (100, 100), (160, 320), (33, 65), (416, 256)], ids=str)
def test_yunet_of_any_size(yunet, size):
    photo = yunet.feeds["input"]
    rows, columns = (np.arange(wanted) * old // wanted for wanted, old in zip(size, photo.shape[2:], strict=True))
    resized = np.ascontiguousarray(photo[:, :, rows][:, :, :, columns])
    session = conv_infer.load(yunet.path, strict=True)
    for batch in (1, 2):
        feeds = {"input": np.concatenate([resized, 255 - resized])[:batch]}
        assert_agrees(run_with(session, feeds), reference_outputs(yunet.path, feeds))


def test_yunet_of_a_size_that_its_pyramid_has_no_room_for(yunet):
    session = conv_infer.load(yunet.path)
    with pytest.raises(ConvInferError, match=r"MaxPool_32.*MaxPool.*kernel 2x2"):
        session.run(None, {"input": np.zeros((1, 3, 16, 16), np.float32)})
    with pytest.raises(ConvInferError, match=r"Add_44.*Add.*14x2.* does not broadcast"):
        session.run(None, {"input": np.zeros((1, 3, 250, 33), np.float32)})
    with pytest.raises(InputError, match="input 'input': expected the shape"):
        session.run(None, {"input": np.zeros((1, 1, 96, 96), np.float32)})
    assert_agrees(run_with(session, yunet.feeds), yunet.reference)


# ---- onnx's light models: known architectures whose weights are all one number

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
LIGHT_MODELS = sorted(path.stem.removeprefix("light_") for path in LIGHT.glob("*.onnx"))


def test_there_are_nine_light_models():
    assert len(LIGHT_MODELS) == 9


@pytest.mark.parametrize("name", LIGHT_MODELS)
def test_light_models(name):
    """Their activations grow up to 1e31, and only because all classes are summed in one order are they equal."""
    path = str(LIGHT / f"light_{name}.onnx")
    session = conv_infer.load(path, threads=1, strict=True)
    (entry,) = session.get_inputs()
    feeds = {entry.name: np.random.default_rng(0).standard_normal(entry.shape, dtype=np.float32)}
    assert_agrees(run_with(session, feeds), reference_outputs(path, feeds))
    assert session.memory.arena <= 1.25 * session.memory.live


# ---- OpenCV's importer tests

QUANTISED = ("QLinear", "QuantizeLinear", "DequantizeLinear")

# What runs through onnx.reference, by operator and reason; the rest is native. A smaller set is good news.
NOT_NATIVE = {
    "argmin": {"ArgMin"},  # indices
    "conv3d": {"Conv"},  # three spatial dimensions, in the following too
    "conv3d_bias": {"Conv"},
    "conv3d_depthwise_bias": {"Conv"},
    "deconv3d": {"ConvTranspose"},
    "deconv3d_adjpad": {"ConvTranspose"},
    "deconv3d_bias": {"ConvTranspose"},
    "deconv3d_pad": {"ConvTranspose"},
    "max_pool3d": {"MaxPool"},
    "pool_conv_3d": {"Conv", "MaxPool"},
    "conv_variable_w_0": {"Conv"},  # weights that are computed, in the following too
    "conv_variable_wb_0": {"Conv"},
    "conv_variable_wb_1": {"Conv"},
    "equal": {"Equal"},  # comparisons
    "greater_or_equal": {"GreaterOrEqual"},
    "greater_same_dims": {"Greater"},
    "less": {"Less"},
    "less_same_dims": {"Less"},
    "not": {"Less", "Not"},
    "less_or_equal": {"LessOrEqual"},
}


def opencv_cases(folder: Path) -> dict[str, Path]:
    """Folders of the cases without quantised operators, by name."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return {
        name: folder / name
        for name, entry in manifest.items()
        if not any(operator.startswith(QUANTISED) for operator in entry["ops"])
    }


def test_opencv_importer_cases(outside_data):
    cases = opencv_cases(outside_data / "golden" / "opencv_onnx")
    not_native = {}
    for name, folder in cases.items():
        model = onnx.load(folder / "model.onnx")
        filled = {tensor.name for tensor in model.graph.initializer}
        names = [value.name for value in model.graph.input if value.name not in filled]
        feeds = {entry: np.load(folder / f"input_{index}.npy") for index, entry in enumerate(names)}
        session = load_quietly(folder / "model.onnx")
        ours = run_with(session, feeds)
        try:
            assert_agrees(ours, reference_outputs(str(folder / "model.onnx"), feeds))
            for index, array in enumerate(ours.values()):
                stored = np.load(folder / f"output_{index}.npy")
                # Stored as OpenCV's matrices are, which have two dimensions at least.
                assert_agrees({"": array.reshape(stored.shape)}, {"": stored}, 1e-3)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None
        left = {step.operator for step in session.plan if step.is_reference}
        if left:
            not_native[name] = left
    assert not_native == NOT_NATIVE
    assert len(cases) == 118


def load_quietly(path):
    """A session whose warnings of reference nodes are not shown: the test counts the nodes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return conv_infer.load(path, threads=1)
