"""Every int8 depthwise kernel of the list, to the bit, against int64 NumPy."""

import numpy as np
import pytest
from exact_s8 import Rule, kernels_of, random_bytes, random_weights, runnable

from conv_infer import _core
from conv_infer.errors import ConvInferError

GUARD = 77
SLACK = 64

KERNELS = kernels_of("depthwise_s8")


@pytest.fixture(params=KERNELS, ids=lambda kernel: kernel.name)
def kernel(request) -> _core.Kernel:
    return runnable(request.param)


@pytest.fixture(params=[k for k in KERNELS if k.variant == "any"], ids=lambda kernel: kernel.name)
def general_kernel(request) -> _core.Kernel:
    return runnable(request.param)


def check(
    kernel,
    size,
    channels,
    *,
    window=(3, 3),
    stride=(1, 1),
    dilation=(1, 1),
    rule="scale",
    extremes=False,
    dtype=np.int8,
    zero_point=None,
    seed=0,
    **options,
):
    """size: (height, width) of the output. The input's rows lie in no order; outputs have guards around them."""
    height, width = size
    rng = np.random.default_rng([seed, height, width, channels, *window, *stride, *dilation])
    rows = (height - 1) * stride[0] + (window[0] - 1) * dilation[0] + 1
    pixels = (width - 1) * stride[1] + (window[1] - 1) * dilation[1] + 1
    pixel_stride = channels + 2
    image = random_bytes(rng, (rows, pixels, channels), extremes)
    row_bytes = pixels * pixel_stride
    a = random_bytes(rng, rows * row_bytes + SLACK + 1, False)[1:]
    a_row = (rng.permutation(rows) * row_bytes).astype(np.int32)
    for y in range(rows):
        row = np.lib.stride_tricks.as_strided(a[a_row[y] :], (pixels, channels), (pixel_stride, 1))
        row[...] = image[y]
    weights = random_weights(rng, (*window, channels), dtype, extremes)
    zeros = None if zero_point is None else np.broadcast_to(zero_point, channels).astype(np.int32)
    bias = rng.integers(-5000, 5000, channels).astype(np.int32)
    a_zero = int(rng.integers(0, 256))

    difference = weights.astype(np.int64) - (0 if zeros is None else zeros)
    centred = image.astype(np.int64) - a_zero
    sums = np.tile(bias.astype(np.int64), (height, width, 1))
    for ky in range(window[0]):
        for kx in range(window[1]):
            y, x = ky * dilation[0], kx * dilation[1]
            sums += (
                centred[y : y + height * stride[0] : stride[0], x : x + width * stride[1] : stride[1]][:height, :width]
                * difference[ky, kx]
            )

    way = Rule(rule, channels, 255 * 74 * (window[0] * window[1]) ** 0.5, rng, **options)
    packed = _core.PackedDepthwise(kernel, weights, zero_point=zeros, a_zero=a_zero, bias=bias)
    c_pixel, c_row = channels + 3, width * (channels + 3) + 5
    c = np.full(height * c_row, GUARD, np.int32 if rule == "none" else np.uint8)
    packed.run(a, a_row, pixel_stride, c, height, width, c_row, c_pixel, stride, dilation, way.argument(packed.columns))
    places = np.arange(height)[:, None, None] * c_row + np.arange(width)[:, None] * c_pixel + np.arange(channels)
    np.testing.assert_array_equal(c[places], way.expected(sums))
    outside = np.ones(c.shape, bool)
    outside[places] = False
    assert (c[outside] == GUARD).all(), "wrote beyond the channels of a pixel"


@pytest.mark.parametrize("stride", [1, 2])
def test_channels_and_sizes(kernel, stride):
    for channels in [1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 128, 144]:
        check(kernel, (3, 4), channels, stride=(stride, stride))
    for size in [(1, 1), (1, 2), (2, 1), (2, 3), (3, 5), (4, 6), (5, 7)]:
        check(kernel, size, 20, stride=(stride, stride))


@pytest.mark.parametrize("rule", ["scale", "multiplier", "none"])
@pytest.mark.parametrize("extremes", [False, True])
def test_rules(kernel, rule, extremes):
    for channels in (5, 70):
        check(kernel, (4, 5), channels, rule=rule, extremes=extremes, minimum=4, maximum=200)
        check(kernel, (4, 5), channels, rule=rule, extremes=extremes, flip=0x80)
        check(kernel, (3, 3), channels, stride=(2, 2), rule=rule, extremes=extremes)


@pytest.mark.parametrize("window", [(1, 1), (1, 3), (2, 2), (3, 3), (4, 2), (5, 5), (7, 7), (1, 9), (11, 3)])
def test_windows(general_kernel, window):
    for channels in (3, 40):
        check(general_kernel, (3, 4), channels, window=window)
        check(general_kernel, (2, 3), channels, window=window, stride=(3, 2), dilation=(2, 3))


def test_unequal_strides_and_dilation(general_kernel):
    check(general_kernel, (4, 5), 33, stride=(1, 2))
    check(general_kernel, (4, 5), 33, stride=(4, 1), dilation=(1, 2))


@pytest.mark.parametrize("zero_point", [120, 128, 135])
def test_unsigned_weights(kernel, zero_point):
    if kernel.isa in ("scalar", "avx2", "avx512") or zero_point == 128:  # 16-bit weights
        check(kernel, (3, 4), 21, dtype=np.uint8, zero_point=zero_point, extremes=True)
    else:
        with pytest.raises(ConvInferError, match="8 bits"):
            check(kernel, (3, 4), 21, dtype=np.uint8, zero_point=zero_point, extremes=True)


def test_zero_points_of_each_channel(kernel):
    check(kernel, (3, 4), 21, dtype=np.int8, zero_point=np.zeros(21))
    small = np.random.default_rng(0).integers(60, 140, (3, 3, 9), dtype=np.uint8)
    packed = _core.PackedDepthwise(kernel, small, zero_point=np.arange(96, 105), a_zero=3)
    weights = (small.astype(np.int64) - np.arange(96, 105)).reshape(9, 9)
    # Arm's products are of signed bytes: the kernel takes this off the input of each tap.
    origin = {"dotprod": np.full(9, 128), "neon": np.where(np.arange(9) % 2, 127, 128)}.get(
        kernel.isa, np.zeros(9, int)
    )
    folded = ((origin - 3)[:, None] * weights).sum(axis=0)
    np.testing.assert_array_equal(packed.bias, packed.columns(folded.astype(np.int32)))


def test_impossible_shapes_are_refused(kernel):
    with pytest.raises(ConvInferError):
        _core.PackedDepthwise(kernel, np.zeros((40, 40, 1), np.int8))
    with pytest.raises(ValueError, match="weights"):
        _core.PackedDepthwise(kernel, np.zeros((3, 3, 1), np.int16))
    if kernel.variant == "3x3":
        with pytest.raises(ConvInferError):
            _core.PackedDepthwise(kernel, np.zeros((3, 2, 1), np.int8))
