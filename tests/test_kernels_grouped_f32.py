"""Every grouped float32 kernel against a float64 reference, through the step that runs it."""

import numpy as np
import pytest
from direct_conv import ACTIVATIONS, Case
from hypothesis import given, settings
from hypothesis import strategies as st
from placing import allowed_bits, each_kernel

from conv_infer import _core
from conv_infer.errors import ConvInferError

each = each_kernel("grouped_f32")


@each
@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17])
def test_channels_around_the_lanes(kernel, groups):
    channels = groups * kernel.nr
    Case(output=(1, 3, 5, channels), group=kernel.nr).check(kernel)
    Case(output=(1, 2, 4, channels), group=kernel.nr, residual="in place").check(kernel)


@each
@pytest.mark.parametrize("width", range(1, 10))
@pytest.mark.parametrize("height", [1, 2, 31])
def test_sizes_around_the_tiles(kernel, height, width):
    geometry = {"extra": (1, 2), "pixel_gap": 3, "row_gap": 5, "offset": 3, "residual": "in place"}
    Case(output=(2, height, width, 24), group=kernel.nr, **geometry).check(kernel)


@each
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("residual", [False, "in place", "apart"])
def test_epilogues(kernel, activation, residual):
    Case(output=(1, 3, 6, 40), group=kernel.nr, activation=activation, residual=residual).check(kernel)


@st.composite
def cases(draw, kernel):
    small = st.integers(1, 3)
    return Case(
        output=(draw(small), draw(st.integers(1, 6)), draw(st.integers(1, 11)), kernel.nr * draw(st.integers(1, 20))),
        group=kernel.nr,
        kernel_shape=(draw(st.integers(1, 7)), draw(st.integers(1, 7))),
        strides=(draw(small), draw(small)),
        dilations=(draw(small), draw(small)),
        extra=(draw(st.integers(0, 2)), draw(st.integers(0, 2))),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        residual=draw(st.sampled_from([False, "in place", "apart"])),
        pixel_gap=draw(st.integers(0, 5)),
        row_gap=draw(st.integers(0, 5)),
        offset=draw(st.integers(0, 5)),
        seed=draw(st.integers(0, 1000)),
    )


@each
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_geometry(kernel, data):
    data.draw(cases(kernel)).check(kernel)


@each
def test_nan_and_infinity_stay_in_their_windows_and_groups(kernel):
    case = Case(output=(1, 6, 7, 40), group=kernel.nr)
    case.input[0, 3, 3, 5] = np.nan
    case.input[0, 4, 5, 38] = np.inf
    with np.errstate(invalid="ignore"):
        expected = case.reference()
    found = case.run(kernel)
    assert np.isnan(expected[0, :, :, 5]).any()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-4, atol=1e-4)


@each
@pytest.mark.parametrize("residual", [False, "in place"])
def test_the_number_of_threads_changes_no_bit(kernel, residual):
    case = Case(output=(2, 61, 40, 24), group=kernel.nr, residual=residual)
    alone = case.run(kernel)
    for threads in (2, 3):
        np.testing.assert_array_equal(case.run(kernel, threads), alone)


def test_widths_without_a_kernel_have_none():
    assert [_core.grouped_f32_kernel(width, allowed_bits()) is not None for width in (1, 2, 3, 4, 8, 16)] == [
        False, True, False, True, True, False,
    ]  # fmt: skip
    assert _core.grouped_f32_kernel(4, allowed_bits("scalar")).isa == "scalar"


@each
def test_impossible_parameters_are_refused(kernel):
    good = {"output": (1, 4, 4, 16), "group": kernel.nr}
    Case(**good).run(kernel)
    case = Case(**good)
    case.input = case.input[:, :-1]  # the last window would end below the input
    with pytest.raises(ConvInferError, match="geometry"):
        case.run(kernel)
    case = Case(**good)
    case.input = case.input[..., :8]
    with pytest.raises(ConvInferError, match="geometry"):
        case.run(kernel)
    case = Case(**good)
    case.packed_weights = lambda: np.zeros(4, np.float32)
    with pytest.raises(ConvInferError, match="buffer"):
        case.run(kernel)
    with pytest.raises(ConvInferError, match="geometry"):
        _core.packed_grouped_f32_elems(kernel.nr + 1, kernel.nr, (3, 3))
