"""The emitters of copies against NumPy."""

import numpy as np
import pytest
from emitting import run_node
from hypothesis import given, settings
from hypothesis import strategies as st
from strided import Operand, layouts, shapes

FAST = settings(max_examples=60, deadline=None)
DTYPES = [np.uint8, np.float16, np.float32, np.int64]


def operand(data, shape):
    values = np.random.default_rng(1).integers(0, 100, shape)
    return Operand.of(values.astype(data.draw(st.sampled_from(DTYPES))), **data.draw(layouts(shape)))


def check(data, op, source, expected, attrs):
    output = Operand(expected.shape, expected.dtype, **data.draw(layouts(expected.shape)))
    np.testing.assert_array_equal(run_node(op, [source], output, attrs), expected)


@FAST
@given(data=st.data())
def test_transpose(data):
    source = operand(data, data.draw(shapes(min_rank=1)))
    perm = data.draw(st.permutations(range(source.array.ndim)))
    check(data, "Transpose", source, source.array.transpose(perm), {"perm": tuple(perm)})


@FAST
@given(data=st.data())
def test_slice(data):
    source = operand(data, data.draw(shapes(min_rank=1)))
    steps = [data.draw(st.sampled_from([1, 2, 3, -1, -2])) for _ in source.array.shape]
    starts = [data.draw(st.integers(0, size - 1)) for size in source.array.shape]
    expected = source.array[tuple(slice(start, None, step) for start, step in zip(starts, steps, strict=True))]
    check(data, "Slice", source, expected, {"starts": starts, "steps": steps})


@FAST
@given(data=st.data())
def test_concat(data):
    shape = data.draw(shapes(min_rank=1, max_rank=4))
    axis = data.draw(st.integers(0, len(shape) - 1))
    pieces = []
    for size in data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)):
        piece = (*shape[:axis], size, *shape[axis + 1 :])
        pieces.append(Operand.of(np.random.default_rng(size).normal(size=piece), **data.draw(layouts(piece))))
    expected = np.concatenate([piece.array for piece in pieces], axis)
    output = Operand(expected.shape, expected.dtype)
    np.testing.assert_array_equal(run_node("Concat", pieces, output, {"axis": axis}), expected)


@FAST
@given(data=st.data())
def test_expand(data):
    shape = data.draw(shapes())
    narrow = tuple(1 if data.draw(st.booleans()) else size for size in shape)
    source = operand(data, narrow)
    check(data, "Expand", source, np.broadcast_to(source.array, shape), {})


@FAST
@given(data=st.data())
def test_tile(data):
    source = operand(data, data.draw(shapes(max_rank=4)))
    repeats = [data.draw(st.integers(1, 3)) for _ in source.array.shape]
    check(data, "Tile", source, np.tile(source.array, repeats), {"repeats": repeats})


@FAST
@given(data=st.data())
def test_reshape(data):
    source = operand(data, data.draw(shapes(max_rank=3)))
    sizes = list(source.array.shape)
    while len(sizes) > 1 and data.draw(st.booleans()):
        last = sizes.pop()
        sizes[-1] *= last
    expected = source.array.reshape(sizes)
    output = Operand(expected.shape, expected.dtype)
    np.testing.assert_array_equal(run_node("Reshape", [source], output, {}), expected)
    back = Operand(source.array.shape, expected.dtype, **data.draw(layouts(source.array.shape)))
    np.testing.assert_array_equal(run_node("Reshape", [Operand.of(expected)], back, {}), source.array)


def test_reshape_between_two_padded_tensors():
    source = Operand.of(np.arange(2 * 6 * 20, dtype=np.float32).reshape(2, 6, 20), order=(0, 1, 2), steps=(2, 1, 2))
    output = Operand((2, 3, 2, 4, 5), np.float32, order=(0, 1, 2, 3, 4), steps=(1, 2, 1, 1, 1))
    np.testing.assert_array_equal(run_node("Reshape", [source], output, {}), source.array.reshape(output.array.shape))


@FAST
@given(data=st.data(), mode=st.sampled_from(["constant", "reflect", "edge", "wrap"]))
def test_pad(data, mode):
    source = operand(data, data.draw(shapes(min_rank=1, max_rank=4)))
    before, after = [], []
    for size in source.array.shape:
        most = size - 1 if mode in ("reflect", "wrap") else 4
        before.append(data.draw(st.integers(-(size - 1) // 2, most)))
        after.append(data.draw(st.integers(-(size - 1) // 2, most)))
    cropped = source.array[
        tuple(
            slice(max(0, -first), size - max(0, -last))
            for first, last, size in zip(before, after, source.array.shape, strict=True)
        )
    ]
    pads = [(max(0, first), max(0, last)) for first, last in zip(before, after, strict=True)]
    if mode == "reflect" and any(max(pad) >= size for pad, size in zip(pads, cropped.shape, strict=True)):
        return
    options = {"constant_values": 7} if mode == "constant" else {}
    expected = np.pad(cropped, pads, mode, **options)
    check(data, "Pad", source, expected, {"pads": before + after, "value": 7.0, "mode": mode})


def test_constant_padding_that_crops_everything():
    source = Operand.of(np.ones((3, 4), np.float32))
    output = Operand((2, 4), np.float32)
    attrs = {"pads": [-3, 0, 2, 0], "value": -np.inf, "mode": "constant"}
    np.testing.assert_array_equal(run_node("Pad", [source], output, attrs), np.full((2, 4), -np.inf))


@FAST
@given(data=st.data())
def test_channel_gather(data):
    source = operand(data, data.draw(shapes(min_rank=1, max_rank=4, max_size=12)))
    channels = data.draw(st.lists(st.integers(0, source.array.shape[-1] - 1), min_size=1, max_size=20))
    check(data, "ChannelGather", source, source.array[..., channels], {"channels": np.array(channels, np.int32)})


@pytest.mark.parametrize("groups", [2, 3])
def test_channel_shuffle(groups):
    x = np.random.default_rng(0).normal(size=(1, 14, 14, 60)).astype(np.float32)
    channels = np.arange(60).reshape(groups, -1).T.reshape(-1)
    output = Operand(x.shape, np.float32)
    result = run_node("ChannelGather", [Operand.of(x)], output, {"channels": channels})
    np.testing.assert_array_equal(result, x[..., channels])


@FAST
@given(data=st.data())
def test_channel_gather_of_bytes(data):
    """Sixteen at a time, out of windows of sixteen: near and far apart, at either end of the row, repeated."""
    size = data.draw(st.integers(1, 90))
    indices = st.integers(0, size - 1)
    order = data.draw(st.sampled_from(["any", "ascending", "repeated", "strided"]))
    if order == "strided":
        channels = np.arange(data.draw(indices), size, data.draw(st.integers(1, 5)))
    elif order == "repeated":
        channels = np.repeat(np.arange(size), data.draw(st.integers(1, 4)))
    else:
        channels = np.array(data.draw(st.lists(indices, min_size=1, max_size=70)))
        channels = np.sort(channels) if order == "ascending" else channels
    array = np.random.default_rng(0).integers(0, 256, (3, 2, size), dtype=np.uint8)
    check(data, "ChannelGather", Operand.of(array), array[..., channels], {"channels": channels.astype(np.int32)})
