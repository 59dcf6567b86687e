"""The copy, fill and channel gather steps against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strided import SETS, Operand, layouts, run_everywhere, run_step, shapes

from conv_infer import _core
from conv_infer.errors import ConvInferError

DTYPES = [np.uint8, np.int16, np.float32, np.int64]
FAST = settings(max_examples=60, deadline=None)


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def copy(shape, itemsize, x_view=None):
    def add(program, views, threads, allowed):
        _core.add_copy(
            program,
            element_bytes=itemsize,
            shape=shape,
            y=views[0],
            x=x_view or views[1],
            threads=threads,
            allowed=allowed,
        )

    return add


@pytest.mark.parametrize("isa", SETS)
@FAST
@given(data=st.data())
def test_copy_between_any_strides(isa, data):
    shape = data.draw(shapes())
    dtype = data.draw(st.sampled_from(DTYPES))
    x = Operand.of(numbers(shape, dtype), **data.draw(layouts(shape)))
    y = Operand(shape, dtype, **data.draw(layouts(shape)))
    assert np.array_equal(run_step(copy(shape, y.array.itemsize), [y, x], isa), x.array)


@pytest.mark.parametrize("isa", SETS)
@FAST
@given(data=st.data())
def test_copy_broadcasts(isa, data):
    shape = data.draw(shapes(min_rank=1))
    dtype = data.draw(st.sampled_from(DTYPES))
    narrow = tuple(1 if data.draw(st.booleans()) else size for size in shape)
    x = Operand.of(numbers(narrow, dtype), **data.draw(layouts(narrow)))
    y = Operand(shape, dtype, **data.draw(layouts(shape)))
    result = run_step(copy(shape, y.array.itemsize, x.view(3, shape)), [y, x], isa)
    assert np.array_equal(result, np.broadcast_to(x.array, shape))


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 64, 57, 56), (2, 3, 40, 41), (1, 17, 16, 16), (5, 130, 1, 33)])
@pytest.mark.parametrize("permutation", [(0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0)])
def test_transposes(isa, dtype, shape, permutation):
    x = Operand.of(numbers(shape, dtype))
    expected = x.array.transpose(permutation)
    y = Operand(expected.shape, dtype)
    ref, strides = x.view(3)
    turned = ref, tuple(strides[axis] for axis in permutation)
    assert np.array_equal(run_everywhere(copy(expected.shape, y.array.itemsize, turned), [y, x], isa), expected)


def test_copy_of_nothing_adds_no_step():
    program = _core.Program([0, 0, 64])
    _core.add_copy(program, element_bytes=4, shape=(3, 0), y=((2, 0), (1, 1)), x=((2, 0), (1, 1)), threads=1, allowed=1)
    assert len(program) == 0


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((4, 4), (4, 1), 4),
        ((4, 5), (4, 1), 0),
        ((2, 2), (-2, 1), 0),
        ((4,), (1,), -4),
        ((4,), (1,), 2),
        ((2,), (0,), 0),
    ],
)
def test_views_that_leave_their_buffer_are_refused(shape, strides, offset):
    program = _core.Program([0, 0, 64, 4096])
    good = (3, 2048), (100, 1)[-len(shape) :]
    with pytest.raises(ConvInferError):
        _core.add_copy(program, element_bytes=4, shape=shape, y=((2, offset), strides), x=good, threads=1, allowed=1)
    assert len(program) == 0


@FAST
@given(data=st.data())
def test_fill_of_a_frame(data):
    shape = data.draw(shapes(max_rank=4, min_rank=1))
    dtype = data.draw(st.sampled_from(DTYPES))
    y = Operand.of(numbers(shape, dtype), **data.draw(layouts(shape)))
    begin = tuple(data.draw(st.integers(0, size)) for size in shape)
    end = tuple(data.draw(st.integers(first, size)) for first, size in zip(begin, shape, strict=True))
    expected = np.full(shape, 42, dtype)
    inner = tuple(slice(*bounds) for bounds in zip(begin, end, strict=True))
    expected[inner] = y.array[inner]

    def add(program, views, threads, allowed):
        value = np.array(42, dtype).tobytes()
        _core.add_fill(program, value=value, shape=shape, y=views[0], inner_begin=begin, inner_end=end, threads=threads)

    assert np.array_equal(run_everywhere(add, [y], "scalar"), expected)


def test_fill_refuses_a_box_that_is_not_inside():
    program = _core.Program([0, 0, 64])
    with pytest.raises(ConvInferError):
        _core.add_fill(
            program, value=b"\0\0\0\0", shape=(16,), y=((2, 0), (1,)), inner_begin=(3,), inner_end=(17,), threads=1
        )


@pytest.mark.parametrize("isa", SETS)
@FAST
@given(data=st.data())
def test_channel_gather(isa, data):
    leading = data.draw(shapes(max_rank=3))
    dtype = data.draw(st.sampled_from(DTYPES))
    channels = data.draw(st.integers(1, 40))
    table = data.draw(
        st.one_of(
            st.lists(st.integers(0, channels - 1), min_size=1, max_size=50),
            st.integers(0, channels - 1).map(lambda cut: [*range(cut, channels), *range(cut)]),
        )
    )
    x = Operand.of(numbers((*leading, channels), dtype))
    y = Operand((*leading, len(table)), dtype)

    def add(program, views, threads, allowed):
        _core.add_gather(
            program,
            element_bytes=y.array.itemsize,
            shape=y.array.shape,
            y=views[0],
            x=views[1],
            x_channels=channels,
            channels=np.array(table, np.int32),
            threads=threads,
            allowed=allowed,
        )

    assert np.array_equal(run_everywhere(add, [y, x], isa), x.array[..., table])


def test_channel_gather_refuses_channels_that_are_not_there():
    program = _core.Program([0, 0, 64, 64])
    for bad in (-1, 4):
        with pytest.raises(ConvInferError):
            _core.add_gather(
                program,
                element_bytes=4,
                shape=(4, 2),
                y=((2, 0), (2, 1)),
                x=((3, 0), (4, 1)),
                x_channels=4,
                channels=np.array([0, bad], np.int32),
                threads=1,
                allowed=1,
            )
