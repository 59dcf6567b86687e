"""The wire reader against protobuf's own encoder, and on damaged bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, NodeProto, TensorProto

from conv_infer.errors import ModelError
from conv_infer.wire import LENGTH_DELIMITED, VARINT, Varints, fields, float32, key, signed, text, varint

INT64 = st.integers(-(2**63), 2**63 - 1)


def encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def walk(data: bytes) -> list[tuple[int, int, int]]:
    return list(fields(data, 0, len(data)))


@given(st.lists(st.text()), st.text(), st.text())
def test_strings(inputs, name, doc):
    data = NodeProto(input=inputs, name=name, doc_string=doc).SerializeToString()
    found = [(number, text(data, first, last)) for number, first, last in walk(data)]
    assert [value for number, value in found if number == key(1, LENGTH_DELIMITED)] == inputs
    assert [value for number, value in found if number == key(3, LENGTH_DELIMITED)] == [name] * bool(name) or not name


@given(INT64, st.floats(width=32))
def test_scalars(integer, number):
    data = AttributeProto(i=integer, f=number).SerializeToString()
    (float_key, first, last), (int_key, value, _) = walk(data)
    assert (float_key, int_key) == (key(2, 5), key(3, VARINT))
    assert last - first == 4
    np.testing.assert_equal(float32(data, first), np.float32(number).item())
    assert signed(value) == integer


@given(st.lists(INT64, max_size=200))
def test_packed_integers(values):
    data = TensorProto(int64_data=values).SerializeToString()
    gathered = Varints()
    for _, first, last in walk(data):
        gathered.add_packed(data, first, last)
    assert gathered.signed_list() == values
    np.testing.assert_array_equal(gathered.values().view(np.int64), np.array(values, np.int64))


def test_packed_integers_of_several_blocks():
    values = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 300_000)
    data = TensorProto(int64_data=values.tolist()).SerializeToString()
    ((_, first, last),) = walk(data)
    gathered = Varints()
    gathered.add(7)
    gathered.add_packed(data, first, last)
    gathered.add(9)
    np.testing.assert_array_equal(gathered.values().view(np.int64), [7, *values, 9])


@given(st.binary(max_size=300), st.data())
def test_any_bytes_end_in_fields_or_a_model_error(data, draw):
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    try:
        for number, first, last in fields(data, start, end):
            assert number >= 8
            assert first <= last <= end or number & 7 == VARINT
            assert last > start
    except ModelError as error:
        assert "byte" in str(error)


@given(st.binary(max_size=300))
def test_any_packed_bytes_end_in_numbers_or_a_model_error(data):
    small, large = Varints(), Varints()
    outcomes = []
    for gathered, padding in ((small, b""), (large, b"\x01" * 64)):
        # The second is long enough for the NumPy form; both must agree on what is legal.
        try:
            gathered.add_packed(padding + data, 0, len(padding + data))
            outcomes.append(gathered.values()[len(padding) :].tolist())
        except ModelError:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x0a", "ends inside a field"),
        (b"\x0a\x05abc", "holds 5 bytes, but only 3 are left"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "bytes, but only 0 are left"),
        (b"\x08\x80", "ends inside a field"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "longer than 64 bits"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "longer than 64 bits"),
        (b"\x0d\x00\x00", "runs past the end"),
        (b"\x09\x00\x00", "runs past the end"),
        (b"\x0b", "wire type 3"),
        (b"\x0c", "wire type 4"),
        (b"\x0e", "wire type 6"),
        (b"\x00\x01", "field number 0"),
        (b"\xff\xff\xff\xff\xff\x01", "not legal"),
    ],
)
def test_damage_is_named(data, reason):
    with pytest.raises(ModelError, match=reason) as error:
        walk(data)
    assert "damaged at byte" in str(error.value)


def test_a_field_may_not_leave_its_message():
    data = b"\x08\xff\x01\x0a\x03abc"
    with pytest.raises(ModelError, match="past the end"):
        list(fields(data, 0, 2))  # the varint goes on behind the message's end
    with pytest.raises(ModelError, match="only 1 are left"):
        list(fields(data, 3, 6))


@given(st.integers(0, 2**64 - 1))
def test_varint(value):
    data = encoded(value)
    assert varint(data, 0) == (value, len(data))
