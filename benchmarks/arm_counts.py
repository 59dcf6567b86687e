"""Whole networks on an emulated Arm core: every instruction counted, function by function."""

from __future__ import annotations

import bisect
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from .arm_code import KERNELS, MACS, Function, functions_of

ROOT = Path(__file__).resolve().parents[1]
TREE = Path(os.environ.get("CONV_INFER_ARM_TREE") or Path.home() / ".cache" / "conv-infer-arm64")

# Cores by QEMU's names, and the register that tells programs so.
CORES = {"cortex-a53": 0x410FD034, "cortex-a72": 0x410FD083, "cortex-a76": 0x414FD0B1}

# The system call getpgid tells the plugin where to begin and to end.
RUN = """
import os, sys
import numpy as np
import conv_infer
from conv_infer import _core
caches = _core.cache_sizes_of_arm_core(int(sys.argv[2]))
_core.cache_sizes = lambda: caches  # the emulated core's; the files of the system are this machine's
session = conv_infer.load(sys.argv[1], threads=1)
random, feeds = np.random.default_rng(0), {}
for feed in session.get_inputs():
    shape = [size if isinstance(size, int) and size > 0 else 1 for size in feed.shape]
    if "float" in feed.type:
        feeds[feed.name] = random.standard_normal(shape, np.float32)
    else:
        feeds[feed.name] = random.integers(0, 256, shape, np.uint8)
session.prepare({name: value.shape for name, value in feeds.items()})
for line in open("/proc/self/maps"):
    if "conv_infer/_core" in line:
        print("map:", line, flush=True)
os.getpgid(0)
session.run(None, feeds)
os.getpgid(0)
print("macs:", sum(step.macs for step in session.plan))
"""


class Spent(NamedTuple):
    """Instructions of one function: all, and what its multiply-adds would take in the loop that runs most of them."""

    name: str
    total: int
    own: float


class Count(NamedTuple):
    """Of one run of a network."""

    macs: int  # as the layers are defined, whatever the kernels do
    outside: int  # Python's instructions and the C library's
    functions: list[Spent]

    @property
    def total(self) -> int:
        return self.outside + sum(spent.total for spent in self.functions)

    @property
    def own(self) -> float:
        return sum(spent.own for spent in self.functions)


def compile_plugin(folder: Path) -> Path:
    plugin = folder / "count_instructions.so"
    source = ROOT / "benchmarks" / "count_instructions.c"
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", source, "-o", plugin], check=True)
    return plugin


def own_of(function: Function, executed: Counter[int]) -> float:
    """A sum may begin in front of its loop, or end behind it: those multiply-adds count as if the loop did them."""
    if not KERNELS.match(function.name):
        return 0.0
    most_macs, instructions, all_macs = 0, 0, 0
    for loop in function.loops():
        macs = sum(executed[one.address] * MACS[one.kind] for one in loop.body if one.kind)
        all_macs += macs
        if macs > most_macs:
            most_macs, instructions = macs, sum(executed[one.address] for one in loop.body)
    return all_macs * instructions / most_macs if most_macs else 0.0


def count(model: str, package: Path, plugin: Path, cpu: str) -> Count:
    """One run on one thread. `package` is the folder that holds conv_infer for Arm, with symbols."""
    environment = {
        **os.environ,
        "PYTHONHOME": "/usr",
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join([str(package), str(TREE / "site")]),
    }
    emulator = ["qemu-aarch64", "-cpu", cpu, "-plugin", plugin, "-d", "plugin", "-L", TREE / "root"]
    command = [*emulator, TREE / "root" / "usr" / "bin" / "python3.11", "-c", RUN, model, str(CORES[cpu])]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr[-4000:])
    base = min(int(address, 16) for address in re.findall(r"^map: ([0-9a-f]+)-", result.stdout, re.MULTILINE))
    functions = list(functions_of(next((package / "conv_infer").glob("_core*.so"))))
    end = functions[-1].body[-1].address
    executed: Counter[int] = Counter()
    outside = 0
    for address, instructions, times in re.findall(r"^block: (\w+) (\d+) (\d+)$", result.stderr, re.MULTILINE):
        first = int(address, 16) - base
        if 0 <= first <= end:
            for place in range(first, first + 4 * int(instructions), 4):
                executed[place] += int(times)
        else:
            outside += int(instructions) * int(times)
    starts = [function.body[0].address for function in functions]
    totals: Counter[int] = Counter()
    for address, times in executed.items():
        totals[bisect.bisect_right(starts, address) - 1] += times
    spent = [Spent(functions[index].name, total, own_of(functions[index], executed)) for index, total in totals.items()]
    return Count(int(re.search(r"macs: (\d+)", result.stdout)[1]), outside, spent)


def show_counts(models: list[str], package: Path, cpus: list[str], most: int) -> None:
    print(f"{'network':34s} {'core':>10s} {'M MACs':>8s} {'M instr.':>8s} {'per MAC':>8s} {'own':>8s} {'ratio':>6s}")
    with tempfile.TemporaryDirectory() as folder:
        plugin = compile_plugin(Path(folder))
        for model in models:
            for cpu in cpus:
                found = count(model, package, plugin, cpu)
                print(
                    f"{Path(model).stem:34.34s} {cpu:>10s} {found.macs / 1e6:8.1f} {found.total / 1e6:8.2f} "
                    f"{found.total / found.macs:8.3f} {found.own / 1e6:8.2f} {found.total / found.own:6.2f}",
                    flush=True,
                )
                around = sorted(found.functions, key=lambda spent: spent.own - spent.total)[:most]
                for spent in around:
                    print(f"    {spent.name:41.41s} {spent.total / 1e6:8.2f} {spent.own / 1e6:17.2f}")
