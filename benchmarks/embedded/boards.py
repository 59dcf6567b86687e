"""The emulated boards: building a program for one, running it, what it says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = Path(__file__).resolve().parent / "firmware"
COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
SHIFT = 5  # an instruction takes 2^5 ns of virtual time: 21 million until the 24-bit counter has gone round

# What the portable core consists of: everything but programs, which allocate.
CORE = [
    "cache.c", "cpu.c", "registry.c", "lowering.c", "lowering_forms.c", "lowered_conv_s8.c", "two_patch_s8.c",
    "pack*.c", "ops_*.c", "conv2d*.c", "kernels/*_scalar.c", "kernels/*_dsp.c",
]  # fmt: skip
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
FLAGS = [
    "-mthumb",
    "-mfloat-abi=soft",
    "-O2",
    "-std=gnu11",
    "-ffreestanding",
    "-ffp-contract=off",
    "-fomit-frame-pointer",
]


class Board(NamedTuple):
    """A machine of QEMU's and its processor."""

    name: str
    machine: str
    cpu: str


BOARDS = [Board("Cortex-M4", "mps2-an386", "cortex-m4"), Board("Cortex-M7", "mps2-an500", "cortex-m7")]


def missing_tools() -> list[str]:
    """Programs that are not installed."""
    return [name for name in (COMPILER, EMULATOR) if shutil.which(name) is None]


def core_sources() -> list[Path]:
    """The files of the portable core."""
    return sorted({path for pattern in CORE for path in (ROOT / "src").glob(pattern)})


def compile_objects(board: Board, sources: list[Path], folder: Path) -> list[Path]:
    """One object file for each source, in the folder; headers that were generated lie there too."""
    objects = []
    for source in sources:
        objects.append(folder / f"{source.stem}.o")
        flags = [*FLAGS, *WARNINGS, "-ffunction-sections", "-fdata-sections", "-DCI_BUILT_DSP=1"]
        flags += [f"-mcpu={board.cpu}", f"-DINSTRUCTION_SHIFT={SHIFT}"]
        includes = [f"-I{path}" for path in (ROOT / "include", ROOT / "src", FIRMWARE, folder)]
        _call([COMPILER, *flags, *includes, "-c", str(source), "-o", str(objects[-1])])
    return objects


def link(board: Board, objects: list[Path], program: Path) -> None:
    """Newlib gives memcpy, strcmp and fmaf; the script says where everything lies."""
    flags = [f"-mcpu={board.cpu}", "-mthumb", "-mfloat-abi=soft", "--specs=nano.specs", "-nostartfiles"]
    script = ["-T", str(FIRMWARE / "board.ld"), "-Wl,--gc-sections"]
    _call([COMPILER, *flags, *script, *map(str, objects), "-lm", "-o", str(program)])


def run(board: Board, program: Path) -> str:
    """What the program wrote. RuntimeError where it did not end well."""
    command = [EMULATOR, "-M", board.machine, "-display", "none", "-monitor", "none", "-serial", "none"]
    command += ["-semihosting-config", "enable=on,target=native", "-icount", f"shift={SHIFT}", "-kernel", str(program)]
    return _call(command)


def _call(command: list[str]) -> str:
    """Semihosting writes to standard error."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr}{done.stdout}")
    return done.stderr + done.stdout
