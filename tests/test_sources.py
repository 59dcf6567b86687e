"""The C sources as a compiler sees them that is not GNU's kind: Microsoft's takes the same files."""

import ast
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def tables_of_setup() -> dict[str, object]:
    """What setup.py says of instruction sets and their flags, without running it, which takes Cython."""
    wanted = {"X86", "ARM64", "AVX512", "INSTRUCTION_SETS", "MSVC_FLAGS"}
    tree = ast.parse((ROOT / "setup.py").read_text())
    tables: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in wanted:
            exec(compile(ast.Module([node], []), "setup.py", "exec"), tables)
    return tables


SETUP = tables_of_setup()
MICROSOFTS = [name for name in SETUP["INSTRUCTION_SETS"] if name in SETUP["MSVC_FLAGS"]]
STRICT = ["-std=c11", "-fsyntax-only", "-Werror", "-Wpedantic", "-Wgnu", "-Wvla", "-fno-gnu-inline-asm"]


def sources_of(name: str) -> list[str]:
    """The files of an instruction set; "portable": of none."""
    files = sorted((ROOT / "src").rglob("*.c"))
    suffixes = {path: path.stem.rpartition("_")[2] for path in files}
    if name == "portable":
        return [str(path) for path in files if suffixes[path] not in SETUP["INSTRUCTION_SETS"]]
    return [str(path) for path in files if suffixes[path] == name]


@pytest.mark.skipif(platform.machine().lower() not in SETUP["X86"], reason="instruction sets of x86")
@pytest.mark.parametrize("name", ["portable", *MICROSOFTS])
def test_no_extensions_are_needed(name, tmp_path):
    names = ["clang", *(f"clang-{version}" for version in range(25, 12, -1))]
    clang = next(filter(None, map(shutil.which, names)), None)
    if clang is None:
        pytest.skip("no clang, which warns of each extension")
    (tmp_path / "intrin.h").touch()  # of Microsoft's; no_extensions.h declares what is used of it
    flags = ["-mxsave"] if name == "portable" else SETUP["INSTRUCTION_SETS"][name][1]
    pretence = ["-include", str(ROOT / "tests" / "c" / "no_extensions.h"), "-Wno-unknown-pragmas", f"-I{tmp_path}"]
    sources = sources_of(name)
    assert len(sources) > 1
    done = subprocess.run(
        [clang, *STRICT, *flags, *pretence, f"-I{ROOT}/include", f"-I{ROOT}/src", *sources],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
