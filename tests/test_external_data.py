"""External data: read where it belongs, refused everywhere else."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

from conv_infer.errors import ModelError
from conv_infer.importer import read_model

WEIGHTS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
BIAS = np.arange(7, dtype=np.int64)


def model_with(*tensors: TensorProto) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y], list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def external(array: np.ndarray, **entries: object) -> TensorProto:
    tensor = TensorProto(name="w", dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype))
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


@pytest.fixture
def folder(tmp_path):
    """A model's folder with weights in it, and the same weights outside it."""
    inside = tmp_path / "model"
    inside.mkdir()
    for place in (inside, tmp_path):
        (place / "weights.bin").write_bytes(b"\0" * 12 + WEIGHTS.tobytes() + b"\0" * 5)
    return inside


def load(folder, **entries):
    path = folder / "m.onnx"
    onnx.save(model_with(external(WEIGHTS, **entries)), path)
    return read_model(path).graph.constants["w"]


@pytest.mark.parametrize("one_file", [True, False])
def test_as_onnx_saves_it(tmp_path, one_file):
    model = model_with(numpy_helper.from_array(WEIGHTS, "w"), numpy_helper.from_array(BIAS, "b"))
    convert_model_to_external_data(model, one_file, "data.bin" if one_file else None, size_threshold=0)
    onnx.save(model, tmp_path / "m.onnx")
    constants = read_model(tmp_path / "m.onnx").graph.constants
    np.testing.assert_array_equal(constants["w"], WEIGHTS)
    np.testing.assert_array_equal(constants["b"], BIAS)


def test_offset_and_length(folder):
    np.testing.assert_array_equal(load(folder, location="weights.bin", offset=12, length=96), WEIGHTS)
    (folder / "deep").mkdir()
    os.rename(folder / "weights.bin", folder / "deep" / "w")
    np.testing.assert_array_equal(load(folder, location="deep/w", offset=12, length=96, checksum="abc"), WEIGHTS)


def test_relative_model_path(folder, monkeypatch):
    load(folder, location="weights.bin", offset=12, length=96)
    monkeypatch.chdir(folder)
    np.testing.assert_array_equal(read_model("m.onnx").graph.constants["w"], WEIGHTS)


def test_released_and_read_again(folder):
    load(folder, location="weights.bin", offset=12, length=96)
    model = read_model(folder / "m.onnx")
    model.source.release(model.graph.constants["w"])
    model.source.release_all()
    np.testing.assert_array_equal(model.graph.constants["w"], WEIGHTS)


def test_link_inside_the_folder(folder):
    (folder / "link").symlink_to("weights.bin")
    np.testing.assert_array_equal(load(folder, location="link", offset=12, length=96), WEIGHTS)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"location": "weights.bin", "offset": 12, "length": 92}, "holds 92 bytes, but its shape .* need 96"),
        ({"location": "weights.bin", "offset": 12}, "holds 101 bytes, .* need 96"),
        (
            {"location": "weights.bin", "offset": 20, "length": 96},
            "bytes 20 to 116 of 'weights.bin', which has only 113",
        ),
        ({"location": "weights.bin", "offset": 10**15, "length": 96}, "which has only 113"),
        ({"location": "weights.bin", "offset": 0, "length": 10**18}, "which has only 113"),
        ({"location": "weights.bin", "offset": -4, "length": 96}, "offset .* is '-4', not a size"),
        ({"location": "weights.bin", "offset": "1e1", "length": 96}, "offset .* is '1e1', not a size"),
        ({"location": "weights.bin", "offset": 12, "length": "9" * 5000}, "not a size"),
        ({"location": "missing.bin", "offset": 12, "length": 96}, "'missing.bin' cannot be read: No such file"),
        ({"location": "../weights.bin", "offset": 12, "length": 96}, "without '..'"),
        ({"location": "a/../../weights.bin", "offset": 12, "length": 96}, "without '..'"),
        ({"location": "..\\weights.bin", "offset": 12, "length": 96}, "without '..'"),
        ({"location": "/etc/hostname", "offset": 0, "length": 96}, "only files inside the model's folder"),
        ({"location": "a\0b", "offset": 0, "length": 96}, "only files inside the model's folder"),
        ({"location": ".", "offset": 0, "length": 96}, "is a folder"),
        ({"location": "", "offset": 0, "length": 96}, "names no file"),
        ({"offset": 0, "length": 96}, "names no file"),
        ({"location": "link", "offset": 12, "length": 96}, "a link that leads out"),
        ({"location": "linked/weights.bin", "offset": 12, "length": 96}, "a link that leads out"),
        ({"location": "pipe", "offset": 12, "length": 96}, "not a regular file"),
        ({"location": "empty", "offset": 0, "length": 96}, "is empty"),
    ],
)
def test_refused(folder, entries, reason):
    (folder / "link").symlink_to("../weights.bin")
    (folder / "linked").symlink_to("..")
    os.mkfifo(folder / "pipe")
    (folder / "empty").touch()
    with pytest.raises(ModelError, match=reason):
        load(folder, **entries)


def test_bytes_have_no_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    model = model_with(external(WEIGHTS, location="weights.bin", offset=12, length=96))
    for source in (model, model.SerializeToString()):
        with pytest.raises(ModelError, match=r"'w'.*'weights.bin'.*give the model's path"):
            read_model(source)


def test_a_model_proto_with_its_data_loaded(folder):
    load(folder, location="weights.bin", offset=12, length=96)
    model = onnx.load(folder / "m.onnx")
    np.testing.assert_array_equal(read_model(model).graph.constants["w"], WEIGHTS)
