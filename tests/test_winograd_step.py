"""What the int8 Winograd step refuses: everything is checked when it is added."""

import numpy as np
import pytest
from exact_s8 import kernels_of, runnable

from conv_infer import _core
from conv_infer.errors import ConvInferError

HEIGHT, WIDTH, DEPTH, COLUMNS = 5, 6, 8, 20
SLACK = 64


@pytest.fixture(params=kernels_of("winograd_s8"), ids=lambda kernel: kernel.name)
def kernel(request) -> _core.Kernel:
    return runnable(request.param)


def add(kernel: _core.Kernel, **changes) -> None:
    """Adds a step whose buffers are just as large as it needs, with some arguments changed."""
    weights = _core.WinogradWeights(kernel, np.ones((COLUMNS, 3, 3, DEPTH), np.int8))
    assert weights.fits
    padded = 4 * weights.padded_columns
    row, pixel = (WIDTH + 2) * DEPTH, DEPTH
    outputs = HEIGHT * WIDTH * COLUMNS
    sizes = [(HEIGHT + 2) * row + SLACK, weights.nbytes, padded, padded, outputs, outputs]
    strides = (outputs, WIDTH * COLUMNS, COLUMNS)
    arguments = {
        "input": (0, 0),
        "weights": (1, 0),
        "bias": (2, 0),
        "scale": (3, 0),
        "output": (4, 0),
        "residual": (5, 0),
        "output_shape": (1, HEIGHT, WIDTH, COLUMNS),
        "depth": DEPTH,
        "input_strides": ((HEIGHT + 2) * row, row, pixel),
        "output_strides": strides,
        "residual_strides": strides,
        "requantise": _core.Requantise(scale=np.ones(1, np.float32)),
        "tiles_per_task": 4,
        "columns_per_task": kernel.nr,
    }
    _core.add_winograd(_core.Program(sizes), kernel=kernel, **{**arguments, **changes})


def test_a_step_that_fits_is_added(kernel):
    add(kernel)
    add(kernel, residual=(-1, 0))


@pytest.mark.parametrize("name", ["input", "weights", "bias", "scale", "output", "residual"])
def test_buffers_that_end_too_early(kernel, name):
    slot = ["input", "weights", "bias", "scale", "output", "residual"].index(name)
    for offset in (1, -1, 1 << 40):
        with pytest.raises(ConvInferError, match="Winograd"):
            add(kernel, **{name: (slot, offset)})
    with pytest.raises(ConvInferError, match="Winograd"):
        add(kernel, **{name: (17, 0)})


@pytest.mark.parametrize(
    "changes",
    [
        {"output_shape": (1, 1, WIDTH, COLUMNS)},
        {"output_shape": (1, HEIGHT, 1, COLUMNS)},
        {"output_shape": (0, HEIGHT, WIDTH, COLUMNS)},
        {"output_shape": (1, HEIGHT, WIDTH, 0)},
        {"output_shape": (2, HEIGHT, WIDTH, COLUMNS)},
        {"output_shape": (1, HEIGHT + 1, WIDTH, COLUMNS)},
        {"depth": 0},
        {"depth": DEPTH + 1},
        {"depth": 2**30},
        {"tiles_per_task": 0},
        {"columns_per_task": 0},
        {"columns_per_task": 3},
        {"input_strides": (1 << 40, 1 << 30, 1 << 20)},
        {"requantise": _core.Requantise()},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_arguments_that_cannot_be(kernel, changes):
    with pytest.raises(ConvInferError, match="Winograd"):
        add(kernel, **changes)


def test_weights_that_are_none(kernel):
    with pytest.raises(ValueError, match="weights are"):
        _core.WinogradWeights(kernel, np.ones((2, 3, 2, 4), np.int8))
    with pytest.raises(TypeError, match="int16"):
        _core.WinogradWeights(kernel, np.ones((2, 3, 3, 4), np.int16))
    with pytest.raises(ValueError, match="zero points"):
        _core.WinogradWeights(kernel, np.ones((2, 3, 3, 4), np.int8), None, np.zeros(3, np.int32))
