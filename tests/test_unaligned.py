"""Arrays whose elements lie at addresses that their size does not divide, as a file's may: read as any others.

Only UndefinedBehaviorSanitizer and processors that refuse such addresses tell the difference.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from onnxruntime_exact import session
from quantised_builder import QuantisedNet

import conv_infer
from conv_infer import _core, ops
from conv_infer.importer import read_model


def moved(array: np.ndarray, shift: int = 1) -> np.ndarray:
    """The same array, `shift` bytes past where its elements belong."""
    memory = np.zeros(array.nbytes + shift, np.uint8)
    result = memory[shift:].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def quantised_convolutions() -> tuple[QuantisedNet, str]:
    """A dense 3x3 convolution, a depthwise one, one in groups and a pointwise one, each with a bias; the output."""
    net = QuantisedNet()
    x = net.levels((1, 24, 14, 14), np.uint8)
    scale, zero = net.scale(), net.zero(np.uint8, 128)
    for groups, window in ((1, 3), (24, 3), (2, 3), (1, 1)):
        weights, bias = net.integers((24, 24 // groups, window, window), low=-90), net.integers(24, np.int32, -999, 999)
        parameters = (net.const(np.float32(0.004)), net.zero(value=0))
        x = net.op(
            "QLinearConv", x, scale, zero, weights, *parameters, scale, zero, bias,
            group=groups, pads=[window // 2] * 4,
        )  # fmt: skip
    return net, x


def test_constants_of_a_file():
    net, output = quantised_convolutions()
    model = net.model(output)
    wanted = session(model, True).run(None, net.feeds)[0]
    assert len(np.unique(wanted)) > 9
    places = set()
    for size in range(4):
        model.doc_string = "." * (4 + size)  # stands before the graph in the file
        data = model.SerializeToString()
        constants = read_model(data).graph.constants.values()
        places |= {array.ctypes.data % 4 for array in constants if array.dtype == np.int32}
        assert_array_equal(conv_infer.run(data, net.feeds)[output], wanted)
    assert places == {0, 1, 2, 3}


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_arguments_of_convolutions(shift):
    rng = np.random.default_rng(shift)
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((9, 9, 4), (6, 3, 3, 4), (6,)))
    options = {"pad": 1, "layout": "NHWC"}
    for lowering in _core.lowering_forms():
        found = ops.conv2d(moved(x, shift), moved(w, shift), moved(b, shift), lowering=lowering, **options)
        assert_array_equal(found, ops.conv2d(x, w, b, lowering=lowering, **options))
    assert_array_equal(ops.im2row(moved(x, shift), (3, 3)), ops.im2row(x, (3, 3)))
    assert_array_equal(ops.convolve2d(moved(x[..., 0], shift), w[0, ..., 0]), ops.convolve2d(x[..., 0], w[0, ..., 0]))
    levels, weights = (rng.integers(0, 256, shape, np.uint8) for shape in ((9, 9, 4), (6, 3, 3, 4)))
    bias = rng.integers(-999, 999, 6, np.int32)
    assert_array_equal(
        ops.conv2d(levels, weights, moved(bias, shift), **options), ops.conv2d(levels, weights, bias, **options)
    )


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_arguments_of_int8_operators(shift):
    rng = np.random.default_rng(shift)
    x, w = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((3, 20), (7, 20)))
    bias = rng.integers(-999, 999, 7).astype(np.int32)
    parameters = {
        "input_offset": 3,
        "output_offset": -5,
        "multiplier": np.full(7, 1 << 30, np.int32),
        "shift": np.full(7, -6, np.int32),
        "activation_min": -128,
        "activation_max": 127,
    }
    unaligned = {**parameters, **{name: moved(parameters[name], shift) for name in ("multiplier", "shift")}}
    found = ops.fully_connected_s8(x, w, moved(bias, shift), **unaligned)
    assert_array_equal(found, ops.fully_connected_s8(x, w, bias, **parameters))
    assert len(np.unique(found)) > 9
