"""Tensors: every element type in every storage form, against onnx.numpy_helper."""

import mmap

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conv_infer.element_types import ELEMENT_TYPES, element_dtype, element_name, element_number
from conv_infer.errors import ModelError, UnsupportedError
from conv_infer.importer import read_model

SUPPORTED = [number for number, (_, dtype) in ELEMENT_TYPES.items() if dtype is not None]
UNSUPPORTED = [number for number, (_, dtype) in ELEMENT_TYPES.items() if dtype is None]
SHAPES = [(), (1,), (5,), (2, 3), (100,), (2, 0, 3)]


def model_with(tensor: TensorProto, *, used: bool = True) -> onnx.ModelProto:
    """A model that passes its input on, and reads the initializer `tensor` where `used`."""
    nodes = [helper.make_node("Identity", ["x"], ["y"], name="pass")]
    if used:
        nodes.append(helper.make_node("Identity", [tensor.name], ["z"], name="reader"))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], [tensor])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def constant(tensor: TensorProto) -> np.ndarray:
    return read_model(model_with(tensor).SerializeToString()).graph.constants[tensor.name]


def values_of(dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(1)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    if dtype.kind == "c":
        return (random.normal(size=shape) + 1j * random.normal(size=shape)).astype(dtype)
    return np.asarray(random.normal(size=shape)).astype(dtype)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("number", SUPPORTED, ids=element_name)
def test_the_table_agrees_with_onnx(number):
    assert helper.tensor_dtype_to_np_dtype(number) == element_dtype(number)
    assert element_number(element_dtype(number)) == number


def test_the_table_is_complete():
    assert set(ELEMENT_TYPES) == set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("number", SUPPORTED, ids=element_name)
def test_raw(number, shape):
    array = values_of(element_dtype(number), shape)
    assert_same(constant(numpy_helper.from_array(array, "w")), array)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("number", SUPPORTED, ids=element_name)
def test_typed(number, shape):
    array = values_of(element_dtype(number), shape)
    tensor = helper.make_tensor("w", number, shape, array.reshape(-1).tolist())
    assert not tensor.raw_data
    assert_same(constant(tensor), array)


@pytest.mark.parametrize("number", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.INT8])
def test_typed_but_not_packed(number):
    """Older writers store every value as a field of its own."""
    array = values_of(element_dtype(number), (70,))
    field = {TensorProto.FLOAT: 4, TensorProto.DOUBLE: 10, TensorProto.INT64: 7, TensorProto.INT8: 5}[number]
    loose = b""
    for value in array:
        if field in (4, 10):
            loose += bytes([field << 3 | (5 if field == 4 else 1)]) + value.tobytes()
        else:
            loose += bytes([field << 3]) + varint_of(int(value) % 2**64)
    head = TensorProto(name="w", data_type=number, dims=array.shape).SerializeToString()
    assert numpy_helper.to_array(TensorProto.FromString(head + loose)).tolist() == array.tolist()
    model = model_with(TensorProto(name="w"))
    del model.graph.initializer[:]
    graph = model.graph.SerializeToString() + field_of(5, head + loose)
    model.ClearField("graph")
    assert_same(read_model(model.SerializeToString() + field_of(7, graph)).graph.constants["w"], array)


def varint_of(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field_of(number: int, payload: bytes) -> bytes:
    return varint_of(number << 3 | 2) + varint_of(len(payload)) + payload


@pytest.mark.parametrize("number", UNSUPPORTED, ids=element_name)
def test_unsupported_types_matter_only_where_used(number):
    tensor = TensorProto(name="w", data_type=number, dims=[2], raw_data=b"\0\0\0\0")
    if number == TensorProto.STRING:
        tensor = helper.make_tensor("w", number, [2], ["a", "b"])
    assert "w" not in read_model(model_with(tensor, used=False)).graph.constants
    with pytest.raises(UnsupportedError, match=rf"'reader' \(Identity, ai.onnx 21\).*'w'.*{element_name(number)}"):
        read_model(model_with(tensor))


def test_weights_of_a_file_are_views_of_its_map(tmp_path):
    array = np.arange(100_000, dtype=np.float32)
    onnx.save(model_with(numpy_helper.from_array(array, "w")), tmp_path / "m.onnx")
    model = read_model(tmp_path / "m.onnx")
    weights = model.graph.constants["w"]
    base = weights
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)
    assert not weights.flags.writeable
    np.testing.assert_array_equal(weights, array)
    model.source.release(weights)
    np.testing.assert_array_equal(weights, array)
    model.source.release_all()
    np.testing.assert_array_equal(weights, array)
    model.source.release(np.zeros(3))  # not a view of the map: nothing happens


def resident_bytes(path: str) -> int:
    """How much of a mapped file is in memory now, as Linux counts it for this process."""
    total, ours = 0, False
    with open("/proc/self/smaps") as lines:
        for line in lines:
            if "-" in line.split()[0] and not line.split()[0].endswith(":"):
                ours = line.rstrip().endswith(path)
            elif ours and line.startswith("Rss:"):
                total += int(line.split()[1]) * 1024
    return total


def test_release_hands_memory_back(tmp_path):
    path = str(tmp_path / "m.onnx")
    onnx.save(model_with(numpy_helper.from_array(np.ones(1 << 20, np.float32), "w")), path)
    model = read_model(path)
    weights = model.graph.constants["w"]
    if not resident_bytes(path):
        pytest.skip("this system does not tell what is in memory")
    weights.sum()
    before = resident_bytes(path)
    model.source.release(weights)
    assert before >= weights.nbytes
    assert resident_bytes(path) < before // 8


def test_models_given_as_bytes_release_nothing():
    model = read_model(model_with(numpy_helper.from_array(np.ones(5000, np.float32), "w")).SerializeToString())
    model.source.release(model.graph.constants["w"])
    model.source.release_all()
    assert model.graph.constants["w"].sum() == 5000


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (TensorProto(name="w", data_type=1, dims=[4], raw_data=bytes(12)), "needs 16 bytes, but raw_data holds 12"),
        (TensorProto(name="w", data_type=1, dims=[2], raw_data=bytes(12)), "needs 8 bytes, but raw_data holds 12"),
        (TensorProto(name="w", data_type=1, dims=[4]), "it holds no data"),
        (TensorProto(name="w", data_type=1, dims=[4], float_data=[1, 2]), "float_data holds 8"),
        (TensorProto(name="w", data_type=7, dims=[4], int64_data=[1, 2]), "int64_data holds 2"),
        (TensorProto(name="w", data_type=7, dims=[2], float_data=[1, 2]), "belongs in int64_data"),
        (TensorProto(name="w", data_type=1, dims=[1], float_data=[1], raw_data=bytes(4)), "twice"),
        (TensorProto(name="w", data_type=6, dims=[1], int32_data=[1], int64_data=[1]), "twice"),
        (TensorProto(name="w", data_type=2, dims=[1], int32_data=[256]), "does not fit element type uint8"),
        (TensorProto(name="w", data_type=3, dims=[1], int32_data=[-129]), "does not fit element type int8"),
        (TensorProto(name="w", data_type=1, dims=[-1], raw_data=bytes(4)), "negative size"),
        (TensorProto(name="w", data_type=1, dims=[2**40, 2**40], raw_data=bytes(4)), "more bytes than memory"),
        (TensorProto(name="w", data_type=1, dims=[0, 2**62, 2**62]), "more bytes than memory"),
        (TensorProto(name="w", data_type=1, dims=[2**33], raw_data=bytes(4)), "needs 34359738368 bytes"),
        (TensorProto(name="w", data_type=1, dims=[1] * 33, raw_data=bytes(4)), "more than 32 dimensions"),
        (TensorProto(name="w", dims=[1], raw_data=bytes(4)), "states no element type"),
    ],
)
def test_contradictions(tensor, reason):
    with pytest.raises(ModelError, match=reason) as error:
        constant(tensor)
    if "dimensions" not in reason:
        assert "'w'" in str(error.value)


def test_segments_are_not_supported():
    tensor = TensorProto(name="w", data_type=1, dims=[1], raw_data=bytes(4), segment=TensorProto.Segment(begin=0))
    with pytest.raises(UnsupportedError, match="segments"):
        constant(tensor)
