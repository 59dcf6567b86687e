"""Every depthwise float32 kernel against a float64 reference, through the step that runs it."""

import numpy as np
import pytest
from direct_conv import ACTIVATIONS, LATE, Case
from hypothesis import given, settings
from hypothesis import strategies as st
from placing import allowed_bits, each_kernel

from conv_infer import _core
from conv_infer.errors import ConvInferError

each = each_kernel("depthwise_f32")


def special(kernel) -> tuple[int, int] | None:
    """(kernel size, stride) that a variant such as 3x3s1 is made for."""
    return None if kernel.variant == "any" else (int(kernel.variant[0]), int(kernel.variant[-1]))


def geometry_of(kernel) -> dict:
    size, stride = special(kernel) or (3, 1)
    return {"kernel_shape": (size, size), "strides": (stride, stride)}


@each
@pytest.mark.parametrize("channels", [1, 7, 8, 9, 15, 16, 17, 24, 31, 33, 58, 60])
def test_channels_around_the_lanes(kernel, channels):
    Case(output=(1, 3, 5, channels), **geometry_of(kernel)).check(kernel)
    Case(output=(1, 2, 4, channels), **geometry_of(kernel), residual="in place").check(kernel)


@each
@pytest.mark.parametrize("width", range(1, 10))
@pytest.mark.parametrize("height", [1, 2, 5])
def test_sizes_around_the_tiles(kernel, height, width):
    case = Case(output=(2, height, width, 19), **geometry_of(kernel), extra=(1, 2), pixel_gap=3, row_gap=5, offset=3)
    case.check(kernel)


@each
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("residual", [False, "in place", "apart"])
def test_epilogues(kernel, activation, residual):
    Case(output=(1, 3, 6, 21), **geometry_of(kernel), activation=activation, residual=residual).check(kernel)


@each
def test_late_activation_over_many_rows(kernel):
    """More than are finished before the activation passes over them."""
    Case(output=(1, 9, 40, 96), **geometry_of(kernel), activation=LATE, residual="apart", row_gap=4).check(kernel)


@st.composite
def cases(draw, kernel):
    small = st.integers(1, 3)
    if special(kernel):
        geometry = geometry_of(kernel)
        multiplier = 1
    else:
        geometry = {
            "kernel_shape": (draw(st.integers(1, 7)), draw(st.integers(1, 7))),
            "strides": (draw(small), draw(small)),
            "dilations": (draw(small), draw(small)),
        }
        multiplier = draw(st.sampled_from([1, 1, 2, 3, 5, 24]))
    channels = multiplier * draw(st.integers(1, 40))
    return Case(
        output=(draw(small), draw(st.integers(1, 6)), draw(st.integers(1, 11)), channels),
        **geometry,
        multiplier=multiplier,
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
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_and_infinity_stay_in_their_windows(kernel, activation):
    case = Case(output=(1, 6, 7, 35), **geometry_of(kernel), activation=activation)
    case.input[0, 3, 3, 5] = np.nan
    case.input[0, 4, 5, 34] = np.inf
    case.input[0, 0, 0, 17] = -np.inf
    with np.errstate(invalid="ignore"):
        expected = case.reference()
    found = case.run(kernel)
    assert np.isnan(expected[0, :, :, 5]).any()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-4, atol=1e-4)


@each
@pytest.mark.parametrize("channels", [60, 7])
@pytest.mark.parametrize("residual", [False, "in place"])
def test_the_number_of_threads_changes_no_bit(kernel, channels, residual):
    case = Case(output=(2, 61, 40, channels), **geometry_of(kernel), residual=residual)
    alone = case.run(kernel)
    for threads in (2, 3):
        np.testing.assert_array_equal(case.run(kernel, threads), alone)


def test_the_most_special_kernel_is_chosen():
    best = allowed_bits()
    variant = _core.depthwise_f32_kernel((3, 3), (1, 1), (1, 1), 1, best).variant
    assert variant == ("any" if _core.isa_allowed() == ["scalar"] else "3x3s1")
    for geometry in [((3, 3), (1, 1), (2, 1), 1), ((3, 3), (1, 2), (1, 1), 1), ((3, 3), (1, 1), (1, 1), 2)]:
        assert _core.depthwise_f32_kernel(*geometry, best).variant == "any"
    assert _core.depthwise_f32_kernel((3, 3), (2, 2), (1, 1), 1, allowed_bits("scalar")).isa == "scalar"


@each
def test_impossible_parameters_are_refused(kernel):
    good = {"output": (1, 4, 4, 8), **geometry_of(kernel)}
    Case(**good).run(kernel)
    case = Case(**good)
    case.input = case.input[:, :-1]  # the last window would end below the input
    with pytest.raises(ConvInferError, match="geometry"):
        case.run(kernel)
    case = Case(**good)
    case.strides = (0, 1)
    with pytest.raises(ConvInferError, match="geometry"):
        case.run(kernel)
    case = Case(**good)
    case.activation = (5, 1.0, 0.0)  # not applied by the kernel, and no other is given
    with pytest.raises(ConvInferError, match="geometry"):
        case.run(kernel)
    if special(kernel):
        with pytest.raises(ConvInferError, match="geometry"):
            Case(**{**good, "kernel_shape": (2, 2)}).run(kernel)
