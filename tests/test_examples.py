"""The examples compute what they say, by references that share no code with them."""

import importlib.util
import os
import shutil
import subprocess
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def layer(columns, depth, size, seed):
    generator = np.random.default_rng(seed)
    w = (
        generator.standard_normal((columns, depth, size, size)).astype(np.float32)
        / np.float32(depth * size * size) ** 0.5
    )
    return w, generator.standard_normal(columns).astype(np.float32)


def convolve(x, w, b, groups=1):
    """NCHW, padded to the same size, in float64, output channel by output channel."""
    x = x.astype(np.float64)
    each = w.shape[0] // groups
    out = np.zeros((x.shape[0], w.shape[0], *x.shape[2:]))
    for image in range(x.shape[0]):
        for column in range(w.shape[0]):
            for depth in range(w.shape[1]):
                plane = x[image, column // each * w.shape[1] + depth]
                out[image, column] += scipy.ndimage.correlate(
                    plane, w[column, depth].astype(np.float64), mode="constant"
                )
            out[image, column] += b[column]
    return out


def test_resnext_bottleneck():
    x = np.random.default_rng(0).standard_normal((2, 16, 6, 7)).astype(np.float32)
    reduce, grouped, expand = layer(8, 16, 1, 1), layer(8, 2, 3, 2), layer(16, 8, 1, 3)
    expected = np.maximum(convolve(x, *reduce), 0)
    expected = np.maximum(convolve(expected, *grouped, groups=4), 0)
    expected = np.maximum(convolve(expected, *expand) + x, 0)
    got = load("blocks").resnext_bottleneck(x, reduce, grouped, expand, 4)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_shufflenet_unit():
    x = np.random.default_rng(0).standard_normal((1, 12, 5, 6)).astype(np.float32)
    reduce, depthwise, expand = layer(6, 4, 1, 1), layer(6, 1, 3, 2), layer(12, 2, 1, 3)
    expected = np.maximum(convolve(x, *reduce, groups=3), 0)
    expected = expected[:, [0, 2, 4, 1, 3, 5]]  # 3 groups of 2, dealt out in turn
    expected = np.maximum(convolve(convolve(expected, *depthwise, groups=6), *expand, groups=3) + x, 0)
    got = load("blocks").shufflenet_unit(x, reduce, depthwise, expand, 3)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_filtered_photograph():
    pytest.importorskip("sklearn")
    example = load("filter_image")
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    kernel = example.symmetric_kernel(9)
    np.testing.assert_array_equal(kernel, kernel[::-1, ::-1])
    expected = scipy.ndimage.correlate(image / 255.0, kernel[:, :, None], mode="constant")
    difference = example.filtered(image, kernel).astype(int) - np.floor(expected * 255 + 0.5)
    assert np.abs(difference).max() <= 1


def test_lowering_in_c(tmp_path):
    """Built by itself, checked at every access."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    root = EXAMPLES.parents[1]
    sources = [EXAMPLES / "lowering.c", root / "src" / "lowering.c", root / "src" / "lowering_forms.c"]
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{root / 'include'}"]
    command += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", *map(str, sources)]
    subprocess.run([*command, "-o", str(tmp_path / "lowering")], check=True)
    alone = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # a sanitizer comes first
    result = subprocess.run([tmp_path / "lowering"], check=True, capture_output=True, text=True, env=alone)
    lines = result.stdout.splitlines()
    assert lines[-1] == "0 differences"
    # 8 padded rows of 3 pixels of 2 channels, and 5 steps of 2 elements; 8 * 8 * 2 copied
    assert lines[3].split() == ["reusable", "232", "bytes,", "128", "elements", "copied,", "6", "products"]


def test_the_pictures_are_those_that_the_script_draws(tmp_path):
    docs = EXAMPLES.parent
    spec = importlib.util.spec_from_file_location("draw_im2row", docs / "draw_im2row.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.draw(tmp_path)
    page = (docs / "im2row.md").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in (docs / "im2row").iterdir()}
    for path in tmp_path.iterdir():
        xml.etree.ElementTree.parse(path)
        assert path.read_text() == (docs / "im2row" / path.name).read_text()
        assert f"im2row/{path.name}" in page
