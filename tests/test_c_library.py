"""The C library as it is installed: headers and archive, used without Python."""

import shutil
import subprocess
from pathlib import Path

import pytest

import conv_infer

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


@pytest.fixture(scope="module")
def compiler():
    found = shutil.which("cc")
    if found is None:
        pytest.skip("no C compiler")
    return found


def run(compiler, source, folder):
    command = [compiler, *WARNINGS, f"-I{conv_infer.get_include()}", str(source), conv_infer.get_library()]
    subprocess.run([*command, "-fopenmp", "-lm", "-o", str(folder / "program")], check=True)
    return subprocess.run([folder / "program"], check=True, capture_output=True, text=True).stdout.splitlines()


def test_convolution(compiler, tmp_path):
    lines = run(compiler, EXAMPLES / "convolution.c", tmp_path)
    assert len(lines) == 8
    assert lines[-1] == "0 differences"


def test_lowering(compiler, tmp_path):
    assert run(compiler, EXAMPLES / "lowering.c", tmp_path)[-1] == "0 differences"


SCRATCH = r"""
#include <stdio.h>
#include <string.h>
#include "conv_infer/conv2d.h"

static _Alignas(64) char scratch[1 << 20];
static char before[1 << 20], output[4 * 64 * 16];

static int is_untouched(void) {
    for (size_t at = 0; at < sizeof output; at++)
        if (output[at] != 0x5A)
            return 0;
    return memcmp(scratch, before, sizeof scratch) == 0;
}

int main(void) {
    static float image[64 * 4], weights[16 * 9 * 4];
    static int8_t image_s8[64 * 4], weights_s8[16 * 9 * 4];
    static int32_t multiplier[16], shift[16];
    memset(scratch, 0x33, sizeof scratch);
    memset(before, 0x33, sizeof before);
    memset(output, 0x5A, sizeof output);
    for (int form = 0; form < CI_LOWERING_COUNT; form++) {
        const ci_conv2d_args args = {CI_ELEMENT_F32, image, 1, 8, 8, 4, weights, 16, NULL, output,
                                     {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 1, (ci_lowering_form)form, 2,
                                     {CI_ACTIVATION_CLAMP, 0, 1}, 1, 0, 0};
        const ci_conv2d_s8_args args_s8 = {{image_s8, 1, 8, 8, 4, weights_s8, 16, 3, 3, NULL, (int8_t *)output, 8, 8,
                                            {0, 0, multiplier, shift, -128, 127}, 1, 1, 1, 1, 1, 1, 1, 0},
                                           (ci_lowering_form)form, 2, 0};
        int64_t bytes, bytes_s8;
        if (ci_conv2d_scratch_bytes(&args, &bytes) != CI_OK || bytes > (int64_t)sizeof scratch ||
            ci_conv2d_s8_scratch_bytes(&args_s8, &bytes_s8) != CI_OK || bytes_s8 > (int64_t)sizeof scratch)
            return 1;
        if (ci_conv2d(&args, scratch, bytes - 1) != CI_ERROR_SCRATCH ||
            ci_conv2d_s8(&args_s8, scratch, bytes_s8 - 1) != CI_ERROR_SCRATCH ||
            ci_convolve_s8(&args_s8.convolution, scratch, 10) != CI_ERROR_SCRATCH || !is_untouched())
            return 2;
        ci_conv2d_args bad = args;
        bad.window.stride_x = 0;
        ci_conv2d_s8_args bad_s8 = args_s8;
        bad_s8.convolution.groups = 3;
        ci_conv2d_args missing = args;
        missing.weights = NULL;
        if (ci_conv2d(&missing, scratch, sizeof scratch) != CI_ERROR_ARGUMENT ||
            ci_conv2d(&args, scratch + 1, sizeof scratch - 1) != CI_ERROR_ARGUMENT ||
            ci_conv2d(&args, NULL, sizeof scratch) != CI_ERROR_SCRATCH || !is_untouched())
            return 4;
        if (ci_conv2d(&bad, scratch, sizeof scratch) != CI_ERROR_ARGUMENT ||
            ci_conv2d_s8(&bad_s8, scratch, sizeof scratch) != CI_ERROR_ARGUMENT || !is_untouched())
            return 3;
    }
    puts("untouched");
    return 0;
}
"""


def test_what_is_refused_writes_nothing(compiler, tmp_path):
    source = tmp_path / "scratch.c"
    source.write_text(SCRATCH)
    assert run(compiler, source, tmp_path) == ["untouched"]


def test_every_header_stands_alone(compiler, tmp_path):
    headers = sorted(Path(conv_infer.get_include()).glob("conv_infer/*.h"))
    assert {"conv2d.h", "lowering.h", "ops.h"} <= {path.name for path in headers}
    for header in headers:
        source = tmp_path / "one.c"
        source.write_text(f"#include <conv_infer/{header.name}>\nint nothing;\n")
        subprocess.run([compiler, *WARNINGS, f"-I{conv_infer.get_include()}", "-fsyntax-only", str(source)], check=True)


def test_the_library_needs_no_python_and_operators_allocate_nothing():
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    listing = subprocess.run(["nm", "-A", "-u", conv_infer.get_library()], check=True, capture_output=True, text=True)
    needed = {}
    for line in listing.stdout.splitlines():
        place, name = line.split(" U ") if " U " in line else (line, "")
        needed.setdefault(place.split(":")[1], set()).add(name.strip())
    assert not [name for names in needed.values() for name in names if name.startswith(("Py", "_Py"))]
    checked = [member for member in needed if member.startswith(("conv2d", "lower", "ops_", "pack", "two_patch"))]
    assert len(checked) > 8
    for member in checked:
        assert not needed[member] & {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"}, member
