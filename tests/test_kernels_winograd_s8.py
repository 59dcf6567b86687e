"""Every int8 Winograd kernel of the list, to the bit, against the direct convolution in int64 NumPy."""

import numpy as np
import pytest
from exact_s8 import Rule, kernels_of, random_bytes, random_weights, runnable

from conv_infer import _core
from conv_infer.errors import ConvInferError

GUARD = 77
SLACK = 64


@pytest.fixture(params=kernels_of("winograd_s8"), ids=lambda kernel: kernel.name)
def kernel(request) -> _core.Kernel:
    return runnable(request.param)


def check(kernel, size, depth, columns, *, rule="scale", extremes=False, dtype=np.int8, zero_point=None, **options):
    height, width = size
    rng = np.random.default_rng([height, width, depth, columns])
    padded_height, padded_width = 2 * ((height + 1) // 2) + 2, 2 * ((width + 1) // 2) + 2
    pixel, row = depth + 1, padded_width * (depth + 1) + 3
    a = random_bytes(rng, padded_height * row + SLACK + 1, extremes)[1:]
    places = np.arange(padded_height)[:, None, None] * row + np.arange(padded_width)[:, None] * pixel + np.arange(depth)
    image = a[places].astype(np.int64)
    weights = random_weights(rng, (columns, 3, 3, depth), dtype, extremes)
    zeros = None if zero_point is None else np.broadcast_to(zero_point, columns).astype(np.int32)
    bias = rng.integers(-(2**20), 2**20, columns).astype(np.int32)
    a_zero = int(rng.integers(0, 256))

    difference = weights.astype(np.int64) - (0 if zeros is None else zeros[:, None, None, None])
    sums = np.tile(bias.astype(np.int64), (height, width, 1))
    for ky in range(3):
        for kx in range(3):
            sums += (image[ky : ky + height, kx : kx + width] - a_zero) @ difference[:, ky, kx].T

    way = Rule(rule, columns, 255 * 74 * (9 * depth) ** 0.5, rng, **options)
    packed = _core.PackedWinograd(kernel, weights, zero_point=zeros, a_zero=a_zero, bias=bias)

    def padded(values):
        result = np.zeros(packed.padded_columns, values.dtype)
        result[:columns] = values
        return result

    c_pixel, c_row = columns + 3, width * (columns + 3) + 5
    c = np.full(height * c_row, GUARD, np.uint8)
    packed.run(a, row, pixel, c, height, width, c_row, c_pixel, way.argument(padded))
    places = np.arange(height)[:, None, None] * c_row + np.arange(width)[:, None] * c_pixel + np.arange(columns)
    np.testing.assert_array_equal(c[places], way.expected(sums))
    outside = np.ones(c.shape, bool)
    outside[places] = False
    assert (c[outside] == GUARD).all(), "wrote beyond the outputs"


def test_sizes(kernel):
    for size in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (4, 4), (7, 7), (13, 9), (14, 14), (16, 13)]:
        check(kernel, size, 5, 7)


@pytest.mark.parametrize("depth", [1, 2, 3, 15, 16, 17, 31, 32, 33, 64])
def test_depth_and_columns(kernel, depth):
    for columns in sorted({1, 3, kernel.nr - 1, kernel.nr, kernel.nr + 1, 2 * kernel.nr + 5}):
        check(kernel, (4, 5), depth, columns)


@pytest.mark.parametrize("rule", ["scale", "multiplier"])
@pytest.mark.parametrize("extremes", [False, True])
def test_rules(kernel, rule, extremes):
    check(kernel, (7, 6), 40, 20, rule=rule, extremes=extremes, minimum=4, maximum=200)
    check(kernel, (7, 6), 40, 20, rule=rule, extremes=extremes, flip=0x80)


def test_unsigned_weights(kernel):
    for zero_point in (0, 100, 128, 255, np.arange(9) * 20):
        check(kernel, (5, 4), 10, 9, dtype=np.uint8, zero_point=zero_point, extremes=True)


def test_sums_that_wrap_around_on_the_way(kernel):
    """The greatest depth of the greatest weights: positions' sums leave int32, results do not."""
    depth = (2**31 // 4) // (255 * 127 * 9)
    weights = np.full((2, 3, 3, depth), 127, np.int8)
    packed = _core.PackedWinograd(kernel, weights)
    image = np.full((4, 4, depth), 255, np.uint8)
    scale = np.zeros(packed.padded_columns, np.float32)
    scale[:2] = 200 / (255 * 127 * 9 * depth)
    c = np.zeros(8, np.uint8)
    a = np.concatenate([image.ravel(), np.zeros(SLACK, np.uint8)])
    packed.run(a, 4 * depth, depth, c, 2, 2, 4, 2, _core.Requantise(scale=scale))
    assert (c == 200).all()
    with pytest.raises(ConvInferError, match="int32"):
        _core.PackedWinograd(kernel, np.full((2, 3, 3, depth + 1), 127, np.int8))


def test_impossible_shapes_are_refused(kernel):
    with pytest.raises(ValueError, match="weights"):
        _core.PackedWinograd(kernel, np.zeros((1, 3, 2, 4), np.int8))
    with pytest.raises(ValueError, match="weights"):
        _core.PackedWinograd(kernel, np.zeros((1, 3, 3, 4), np.int16))
