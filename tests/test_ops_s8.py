"""The int8 operators against int64 NumPy over random geometry, and their refusals."""

import inspect

import numpy as np
import pytest
from exact_s8 import by_multiplier
from hypothesis import given, settings
from hypothesis import strategies as st

from conv_infer import _core, ops
from conv_infer.errors import InputError
from conv_infer.ops_s8_conv import ConvolutionS8, arguments_of

SETS = _core.isa_allowed()
BITS = {name: 1 << _core.isa_names().index(name) for name in SETS}


def allowed_up_to(name: str) -> int:
    return sum(BITS[implied] for implied in _core.isa_allowed(name))


def reference(x, w, bias, p, *, depthwise=False):
    """Convolution in int64. x NHWC, w OHWI, or HWO where depthwise."""
    images, height, width, channels = x.shape
    if depthwise:
        window, columns = w.shape[:2], w.shape[2]
    else:
        window, columns, groups = w.shape[1:3], w.shape[0], channels // w.shape[3]
    bottom = (p["output_height"] - 1) * p["stride_y"] + (window[0] - 1) * p["dilation_y"] + 1 - p["pad_y"] - height
    right = (p["output_width"] - 1) * p["stride_x"] + (window[1] - 1) * p["dilation_x"] + 1 - p["pad_x"] - width
    pads = ((0, 0), (p["pad_y"], max(bottom, 0)), (p["pad_x"], max(right, 0)), (0, 0))
    padded = np.pad(x.astype(np.int64) + p["input_offset"], pads)
    sums = np.zeros((images, p["output_height"], p["output_width"], columns), np.int64)
    for ky in range(window[0]):
        for kx in range(window[1]):
            y, x0 = ky * p["dilation_y"], kx * p["dilation_x"]
            taken = padded[:, y :: p["stride_y"], x0 :: p["stride_x"]][:, : p["output_height"], : p["output_width"]]
            if depthwise:
                sums += np.repeat(taken, columns // channels, axis=3) * w[ky, kx]
            else:
                parts = zip(
                    np.split(taken, groups, axis=3), np.split(w[:, ky, kx].astype(np.int64), groups), strict=True
                )
                sums += np.concatenate([part @ weights.T for part, weights in parts], axis=3)
    return finish(sums + bias, p)


def finish(sums, p):
    values = by_multiplier(sums, p["multiplier"], p["shift"], p["output_offset"])
    return np.clip(values, p["activation_min"], p["activation_max"]).astype(np.int8)


def quantisation(rng, columns, depth):
    scale = rng.uniform(0.3, 2, columns) * 60 / (74 * 74 * max(depth, 1) ** 0.5)
    mantissa, exponent = np.frexp(scale)
    return {
        "input_offset": int(rng.integers(-127, 129)),
        "output_offset": int(rng.integers(-128, 128)),
        "multiplier": np.minimum(np.rint(mantissa * 2**31), 2**31 - 1).astype(np.int64),
        "shift": exponent.astype(np.int64),
        "activation_min": int(rng.integers(-128, 0)),
        "activation_max": int(rng.integers(0, 128)),
    }


@st.composite
def geometry(draw):
    small = st.integers(1, 3)
    sizes = {"input_height": draw(st.integers(1, 9)), "input_width": draw(st.integers(1, 9))}
    window = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    p = {name: draw(small) for name in ("stride_y", "stride_x", "dilation_y", "dilation_x")}
    p |= {"pad_y": draw(st.integers(0, 3)), "pad_x": draw(st.integers(0, 3))}
    p |= {"output_height": draw(st.integers(1, 8)), "output_width": draw(st.integers(1, 8))}
    return sizes, window, p, draw(st.integers(0, 2**32))


@settings(max_examples=60, deadline=None)
@given(geometry(), st.integers(1, 3), st.integers(1, 20), st.integers(1, 9), st.sampled_from(SETS))
def test_convolve(geometry, groups, channels, columns, isa):
    sizes, window, p, seed = geometry
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (2, sizes["input_height"], sizes["input_width"], groups * channels), dtype=np.int8)
    w = rng.integers(-128, 128, (groups * columns, *window, channels), dtype=np.int8)
    bias = rng.integers(-5000, 5000, groups * columns)
    p = p | quantisation(rng, groups * columns, window[0] * window[1] * channels)
    result = ops.convolve_s8(x, w, bias, groups=groups, allowed=allowed_up_to(isa), **p)
    expected = reference(x, w, bias, p)
    np.testing.assert_array_equal(result, expected)
    for form in (*_core.lowering_forms(), "auto"):
        given = {"groups": groups, "allowed": allowed_up_to(isa), "lowering": form, **p}
        scratch = np.full(ops.conv2d_s8_scratch_bytes(x, w, bias, **given) + 9, 0x5A, np.uint8)
        got = ops.conv2d_s8(x, w, bias, scratch=scratch[4:-5], **given)
        np.testing.assert_array_equal(got, expected, err_msg=form)
        assert (scratch[:4] == 0x5A).all() and (scratch[-5:] == 0x5A).all(), form


@pytest.mark.parametrize("form", [*_core.lowering_forms(), "auto"])
def test_the_small_worked_case(form):
    """3x3 input, 2x2 kernel; sums 37, 47, 67, 77, halved with ties upwards."""
    x = np.arange(1, 10, dtype=np.int8).reshape(1, 3, 3, 1)
    w = np.array([1, 2, 3, 4], np.int8).reshape(1, 2, 2, 1)
    got = ops.conv2d_s8(x, w, input_offset=0, output_offset=0, multiplier=2**30, shift=0, lowering=form)
    np.testing.assert_array_equal(got[0, ..., 0], [[19, 24], [34, 39]])


def test_auto_is_one_of_the_forms_and_named():
    x, w = np.zeros((1, 8, 8, 16), np.int8), np.zeros((16, 3, 3, 16), np.int8)
    convolution = ConvolutionS8(arguments_of(x, w, pad_y=1, pad_x=1, **GOOD), "auto")
    assert convolution.lowering in _core.lowering_forms()
    with pytest.raises(InputError, match="lowering: 'winograd' is not one of auto, im2row"):
        ops.conv2d_s8(x, w, lowering="winograd", **GOOD)
    needed = ops.conv2d_s8_scratch_bytes(x, w, lowering="mec", **GOOD)
    with pytest.raises(InputError, match=f"scratch: .* {needed} are needed"):
        ops.conv2d_s8(x, w, lowering="mec", scratch=np.zeros(needed - 1, np.uint8), **GOOD)


@settings(max_examples=60, deadline=None)
@given(geometry(), st.integers(1, 3), st.integers(1, 40), st.sampled_from(SETS))
def test_depthwise(geometry, multiplier, channels, isa):
    sizes, window, p, seed = geometry
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (2, sizes["input_height"], sizes["input_width"], channels), dtype=np.int8)
    w = rng.integers(-128, 128, (*window, channels * multiplier), dtype=np.int8)
    bias = rng.integers(-5000, 5000, channels * multiplier)
    p = p | quantisation(rng, channels * multiplier, window[0] * window[1])
    result = ops.depthwise_conv_s8(x, w, bias, allowed=allowed_up_to(isa), **p)
    np.testing.assert_array_equal(result, reference(x, w, bias, p, depthwise=True))


@settings(max_examples=60, deadline=None)
@given(geometry(), st.integers(1, 20), st.integers(1, 9), st.sampled_from(SETS))
def test_transpose_conv(geometry, channels, columns, isa):
    sizes, window, p, seed = geometry
    rng = np.random.default_rng(seed)
    height, width = sizes["input_height"], sizes["input_width"]
    x = rng.integers(-128, 128, (2, height, width, channels), dtype=np.int8)
    w = rng.integers(-128, 128, (columns, *window, channels), dtype=np.int8)
    bias = rng.integers(-5000, 5000, columns)
    p = {name: value for name, value in p.items() if "dilation" not in name}
    p |= quantisation(rng, columns, window[0] * window[1] * channels)
    whole = np.zeros((2, 64, 64, columns), np.int64)
    products = np.einsum("nyxc,okjc->nyxkjo", x.astype(np.int64) + p["input_offset"], w.astype(np.int64))
    for y in range(height):
        for column in range(width):
            top, left = y * p["stride_y"], column * p["stride_x"]
            whole[:, top : top + window[0], left : left + window[1]] += products[:, y, column]
    sums = whole[:, p["pad_y"] :, p["pad_x"] :][:, : p["output_height"], : p["output_width"]] + bias
    result = ops.transpose_conv_s8(x, w, bias, allowed=allowed_up_to(isa), **p)
    np.testing.assert_array_equal(result, finish(sums, p))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 90), st.integers(1, 40), st.integers(-127, 128), st.sampled_from(SETS))
def test_fully_connected(batch, channels, columns, filter_offset, isa):
    rng = np.random.default_rng([batch, channels, columns])
    x = rng.integers(-128, 128, (batch, channels), dtype=np.int8)
    w = rng.integers(-128, 128, (columns, channels), dtype=np.int8)
    bias = rng.integers(-5000, 5000, columns)
    p = quantisation(rng, columns, channels)
    result = ops.fully_connected_s8(x, w, bias, filter_offset=filter_offset, allowed=allowed_up_to(isa), **p)
    sums = (x.astype(np.int64) + p["input_offset"]) @ (w.astype(np.int64) + filter_offset).T + bias
    np.testing.assert_array_equal(result, finish(sums, p))


@pytest.mark.parametrize("size", [1, 2, 3, 17, 400, 4096])
def test_softmax_is_near_the_real_one(size):
    """Bit-exactness is the golden vector's business; here every size is, within the format's step."""
    rng = np.random.default_rng(size)
    x = rng.integers(-128, 128, (3, size), dtype=np.int8)
    scale = 0.1  # an input step; 2**5 integer values in Q5.26
    mantissa, exponent = np.frexp(scale * 2**26)
    result = ops.softmax_s8(x, multiplier=int(mantissa * 2**31), shift=int(exponent), diff_min=-310)
    e = np.exp((x - x.max(axis=1, keepdims=True).astype(np.float64)) * scale)
    expected = e / e.sum(axis=1, keepdims=True) * 256 - 128
    np.testing.assert_allclose(result, np.clip(expected, -128, 127), atol=0.51 + 0.01)


GOOD = {"input_offset": 0, "output_offset": 0, "multiplier": 2**30, "shift": 0}
X, W = np.zeros((1, 4, 4, 4), np.int8), np.zeros((2, 3, 3, 4), np.int8)


@pytest.mark.parametrize(
    "change",
    [
        {"input_offset": 129}, {"output_offset": -129}, {"multiplier": -1}, {"multiplier": 2**31}, {"shift": 31},
        {"shift": -32}, {"activation_min": 5, "activation_max": 4}, {"activation_max": 128}, {"stride_y": 0},
        {"dilation_x": 0}, {"pad_y": -1}, {"groups": 3}, {"groups": 0}, {"dilation_y": 2}, {"multiplier": [1, 2, 3]},
        {"output_height": 0}, {"output_height": 2**30}, {"multiplier": 0.5}, {"stride_x": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_parameters(change):
    named = {"dilation_y": "filter", "output_height": "output"}.get(next(iter(change)), "|".join(change))
    with pytest.raises(InputError, match=named):
        ops.convolve_s8(X, W, **(GOOD | change))


def test_parameters_that_are_missing_or_unknown():
    for function in (ops.convolve_s8, ops.conv2d_s8, ops.depthwise_conv_s8, ops.transpose_conv_s8):
        with pytest.raises(TypeError, match=rf"^{function.__name__}\(\): missing .*'input_offset'"):
            function(X, W)
        assert "multiplier" in inspect.signature(function).parameters
    with pytest.raises(TypeError, match=r"^fully_connected_s8\(\): .*'stride_y'"):
        ops.fully_connected_s8(X[0, 0], X[0, 0], stride_y=1, **GOOD)


def test_bad_arrays():
    with pytest.raises(InputError, match="input: not an array"):
        ops.convolve_s8([[1], [2, 3]], W, **GOOD)
    with pytest.raises(InputError, match="allowed"):
        ops.convolve_s8(X, W, allowed=-1, **GOOD)
    with pytest.raises(InputError, match="input"):
        ops.convolve_s8(X.astype(np.uint8), W, **GOOD)
    with pytest.raises(InputError, match="filter"):
        ops.convolve_s8(X, W[0], **GOOD)
    with pytest.raises(InputError, match="bias"):
        ops.convolve_s8(X, W, np.zeros(3, np.int32), **GOOD)
    with pytest.raises(InputError, match="channels"):
        ops.convolve_s8(X[..., :3], W, **GOOD)
    with pytest.raises(InputError, match="scratch"):
        ops.convolve_s8(X, W, scratch=np.zeros(10, np.int8), **GOOD)
    with pytest.raises(InputError, match="int32"):
        ops.fully_connected_s8(np.zeros((1, 140000), np.int8), np.full((1, 140000), 127, np.int8), **GOOD)


def test_bad_pools():
    good = {"filter_height": 2, "filter_width": 2}
    with pytest.raises(InputError, match="pad_y"):
        ops.avgpool_s8(X, **good, pad_y=2)  # a window wholly in the padding
    with pytest.raises(InputError, match="output_width"):
        ops.max_pool_s8(X, **good, output_width=9)
    with pytest.raises(InputError, match="filter"):
        ops.max_pool_s8(X, filter_height=5, filter_width=2)


def test_bad_elementwise_and_softmax():
    x = np.zeros(4, np.int8)
    good = {"input1_offset": 0, "input2_offset": 0, "output_offset": 0, "output_multiplier": 1, "output_shift": 0}
    with pytest.raises(InputError, match="shapes"):
        ops.elementwise_mul_s8(x, x[:3], **good)
    with pytest.raises(InputError, match="output_shift"):
        ops.elementwise_mul_s8(x, x, **(good | {"output_shift": 40}))
    with pytest.raises(InputError):
        ops.softmax_s8(np.zeros((1, 5000), np.int8), multiplier=1, shift=0, diff_min=-1)
    with pytest.raises(InputError, match="shift"):
        ops.softmax_s8(np.zeros((1, 5), np.int8), multiplier=1, shift=31, diff_min=-1)
