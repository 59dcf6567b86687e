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
