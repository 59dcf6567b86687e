"""The portable core and its DSP kernel on emulated Cortex-M4 and Cortex-M7: bits, and instructions of small layers."""

import subprocess

import numpy as np
import pytest

from benchmarks.embedded.boards import BOARDS, compile_objects, core_sources, missing_tools
from benchmarks.embedded.counts import EVERY_FORM, count_layers
from benchmarks.embedded.golden import network_cases, run_golden
from benchmarks.embedded.tables import LAYERS, Layer, convolution

pytestmark = pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {', '.join(missing_tools())}")

NAMES = (
    "basic", "conv_1_x_n_1", "conv_1_x_n_4", "conv_2", "conv_2x2_dilation", "conv_4", "conv_out_activation",
    "depthwise_2", "depthwise_kernel_3x3", "depthwise_null_bias_1", "fc_per_ch", "fully_connected_w_zp",
    "grouped_conv_1", "grouped_conv_2", "grouped_conv_4", "kernel1x1_stride_x_y", "stride2pad1",
)  # fmt: skip


STRING_FUNCTIONS = ("memcmp", "memcpy", "memset", "strcmp")
MATHS_FUNCTIONS = ("cosf", "expf", "fma", "fmaf", "fmodf", "logf", "powf", "sinf", "sqrtf", "tanhf")


@pytest.fixture(params=BOARDS, ids=lambda board: board.name)
def board(request):
    return request.param


def test_other_projects_vectors(board, outside_data, tmp_path):
    folder = outside_data / "golden" / "cmsis_nn"
    cases = {name: dict(np.load(folder / f"{name}.npz")) for name in NAMES}
    cases |= network_cases("ds_cnn_s", dict(np.load(folder / "ds_cnn_s.npz")))
    answers = run_golden(board, cases, tmp_path)
    assert answers.keys() == cases.keys()
    assert {name: answer for name, answer in answers.items() if "=0" in answer} == {}
    assert "every_form=1" in answers["conv_2x2_dilation"]
    assert "reusable=1" in answers["conv_2"] and "reusable=1" in answers["ds_cnn_s_L01"]


def test_the_core_is_whole(board, tmp_path):
    """Its files want nothing but one another, the compiler's own functions and a small C library."""
    objects = map(str, compile_objects(board, core_sources(), tmp_path))
    listing = subprocess.run(["arm-none-eabi-nm", "-P", *objects], check=True, capture_output=True, text=True).stdout
    symbols = [line.split()[:2] for line in listing.splitlines() if not line.endswith(":")]  # name, kind
    given = {name for name, kind in symbols if kind != "U"}
    needed = {name for name, kind in symbols if kind == "U" and not name.startswith("__aeabi_")} - given
    assert needed <= {*STRING_FUNCTIONS, *MATHS_FUNCTIONS}
    assert [name for name, kind in symbols if kind in "bBdDC"] == []  # nothing is kept between calls


def test_layers(board, tmp_path):
    """Same bits from every form, what is copied is what the method says, and the count repeats itself."""
    layers = [convolution(1, 6, 6, 3, 3), convolution(4, 9, 7, 5, 3, 2), convolution(6, 5, 8, 4, 3, groups=2)]
    layers += [LAYERS[10], Layer("odd", 3, 8, 5, 3, (2, 3), 3, (0, 0), (3, 1)), layers[0]]
    counts = count_layers(board, layers, tmp_path)
    assert all(forms[form].equal for forms in counts for form in EVERY_FORM)
    for layer, forms in zip(layers, counts, strict=True):
        positions = layer.output[0] * layer.output[1]
        depth = layer.kernel[0] * layer.kernel[1] * layer.channels
        assert forms["two_patch"].copied == positions * depth
        if layer.stride <= min(layer.kernel):
            sizes = [(out - 1) * layer.stride + k for out, k in zip(layer.output, layer.kernel, strict=True)]
            assert forms["reusable"].copied == sizes[0] * sizes[1] * layer.channels
            assert forms["reusable"].whole < forms["two_patch"].whole
    assert counts[0] == counts[-1]
