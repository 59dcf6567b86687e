"""What the Arm kernels would do on cores that are not at hand: models of their pipelines, and counted instructions.

    python -m benchmarks.arm_model loops OBJECTS        inner loops of the kernels in a folder of objects for Arm
    python -m benchmarks.arm_model count MODEL...       instructions per multiply-add of whole networks, under QEMU

`.ci/arm --jobs arm64` leaves the objects and the package for Arm in build/arm. `loops` finds, in every function of the
objects, the innermost loop with the most multiply-adds, and asks llvm-mca how many cycles a round takes on Cortex-A53,
Cortex-A72, and Neoverse N1, which stands for Cortex-A76: LLVM has no model of that one. The limit is what the same
model gives for nothing but independent multiply-adds of the same kind. Loads always hit the first-level cache.

These are models and counts, not a chip's clock.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "arm"
TREE = Path(os.environ.get("CONV_INFER_ARM_TREE") or Path.home() / ".cache" / "conv-infer-arm64")
CORES = {"a53": "cortex-a53", "a72": "cortex-a72", "a76": "neoverse-n1"}
FEATURES = "+neon,+dotprod,+i8mm"
# Multiply-adds of one instruction, by its name and the arrangement of its first operand.
MACS = {
    ("fmla", "4s"): 4,
    ("fmla", "2s"): 2,
    ("sdot", "4s"): 16,
    ("udot", "4s"): 16,
    ("smmla", "4s"): 32,
    ("usmmla", "4s"): 32,
    ("ummla", "4s"): 32,
    ("smlal", "4s"): 4,
    ("smlal2", "4s"): 4,
    ("smull", "8h"): 8,
    ("smull2", "8h"): 8,
    ("smlal", "8h"): 8,
    ("smlal2", "8h"): 8,
    ("umlal", "4s"): 4,
    ("umlal2", "4s"): 4,
}
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*?)\s*(?://.*)?$")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
TARGET = re.compile(r"\b([0-9a-f]+) <[^>]*>$")


class Loop:
    """A loop's instructions, and its multiply-adds by instruction."""

    def __init__(self, function: str, body: list[tuple[str, str]]):
        self.function = function
        self.body = body
        self.kinds: Counter[tuple[str, str]] = Counter()
        for name, operands in body:
            arrangement = re.match(r"v\d+\.(\w+)", operands)
            if arrangement and (name, arrangement[1]) in MACS:
                self.kinds[name, arrangement[1]] += 1

    @property
    def macs(self) -> int:
        return sum(MACS[kind] * count for kind, count in self.kinds.items())

    def assembly(self) -> str:
        lines = []
        for name, operands in self.body:
            lines.append(f"{name} {TARGET.sub('next', operands)}")
        return "\n".join(lines) + "\nnext:\n"


def loops_of(path: Path) -> Iterator[Loop]:
    """The loop with the most multiply-adds of each function that has one."""
    text = subprocess.run(
        ["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True
    ).stdout
    for part in re.split(r"\n\n", text):
        lines = part.splitlines()
        function = FUNCTION.match(lines[0]) if lines else None
        if not function:
            continue
        found = [match.groups() for match in map(INSTRUCTION.match, lines[1:]) if match]
        at = {int(address, 16): index for index, (address, _, _) in enumerate(found)}
        spans = []
        for index, (_, name, operands) in enumerate(found):
            target = TARGET.search(operands)
            start = at.get(int(target[1], 16)) if target and name.startswith(("b", "cb", "tb")) else None
            if start is not None and start < index:
                spans.append((start, index))
        inner = [span for span in spans if not any(o != span and span[0] <= o[0] and o[1] <= span[1] for o in spans)]
        loops = [Loop(function[1], [(n, o) for _, n, o in found[start : end + 1]]) for start, end in inner]
        best = max(loops, key=lambda loop: loop.macs, default=None)
        if best is not None and best.macs > 0:
            yield best


def model() -> str:
    for name in ("llvm-mca-19", "llvm-mca"):
        if shutil.which(name):
            return name
    sys.exit("llvm-mca is needed: Debian's llvm-19")


def cycles(assembly: str, core: str, rounds: int = 200) -> float:
    """Of one round of a loop, in the steady state."""
    command = [model(), "-mtriple=aarch64-linux-gnu", f"-mcpu={core}", f"-mattr={FEATURES}", f"-iterations={rounds}"]
    command += ["-skip-unsupported-instructions=parse-failure"] if model().endswith("-19") else []
    result = subprocess.run([*command, "-"], input=assembly, capture_output=True, text=True, check=True)
    return int(re.search(r"Total Cycles:\s+(\d+)", result.stdout)[1]) / rounds


def limit(kind: tuple[str, str], core: str, cache: dict[tuple[tuple[str, str], str], float]) -> float:
    """Cycles of one multiply-add instruction among many that do not wait for each other."""
    if (kind, core) not in cache:
        name, arrangement = kind
        factor = {"4s": "16b", "2s": "2s", "8h": "8b"}[arrangement]
        if name == "fmla":
            factor = arrangement
        elif name.endswith("2"):
            factor = {"4s": "8h", "8h": "16b"}[arrangement]
        elif name in ("smlal", "umlal", "smull"):
            factor = {"4s": "4h", "8h": "8b"}[arrangement]
        lines = [f"{name} v{sum_}.{arrangement}, v30.{factor}, v31.{factor}" for sum_ in range(30)]
        cache[kind, core] = cycles("\n".join(lines), core) / len(lines)
    return cache[kind, core]


def show_loops(folder: Path, wanted: str) -> None:
    known: dict[tuple[tuple[str, str], str], float] = {}
    print(f"{'inner loop':48s} {'MACs':>5s} {'instr.':>6s}  " + "  ".join(f"{name:>15s}" for name in CORES))
    print(" " * 62 + "  ".join(f"{'MACs/cycle':>10s} {'of':>4s}" for _ in CORES))
    sets = ("neon", "dotprod", "i8mm")
    for path in sorted(path for name in sets for path in folder.rglob(f"*_{name}.o") if wanted in path.stem):
        for loop in loops_of(path):
            columns = []
            for name, core in CORES.items():
                if name != "a76" and path.stem.endswith(("dotprod", "i8mm")):
                    columns.append(f"{'-':>15s}")
                    continue
                took = cycles(loop.assembly(), core)
                least = sum(limit(kind, core, known) * count for kind, count in loop.kinds.items())
                columns.append(f"{loop.macs / took:10.2f} {least / took:4.0%}")
            label = f"{path.stem} {loop.function.replace('ci_', '')}"
            print(f"{label:48.48s} {loop.macs:5d} {len(loop.body):6d}  " + "  ".join(columns), flush=True)


RUNS = """
import sys
import numpy as np
import conv_infer
session = conv_infer.load(sys.argv[1], threads=1)
feeds = {}
for feed in session.get_inputs():
    shape = [size if isinstance(size, int) and size > 0 else 1 for size in feed.shape]
    feeds[feed.name] = np.ones(shape, np.float32)
for _ in range(int(sys.argv[2])):
    session.run(None, feeds)
print("macs:", sum(step.macs for step in session.plan))
"""


def count(path: str, runs: int, plugin: Path, cpu: str) -> tuple[int, int]:
    """Instructions of a process that runs the network so often, and multiply-adds of one run."""
    environment = {
        **os.environ,
        "PYTHONHOME": "/usr",
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join([str(WORK / "lib"), str(TREE / "site")]),
    }
    emulator = ["qemu-aarch64", "-cpu", cpu, "-plugin", plugin, "-d", "plugin", "-L", TREE / "root"]
    command = [*emulator, TREE / "root" / "usr" / "bin" / "python3.11", "-c", RUNS, path, str(runs)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr)
    return int(re.search(r"instructions: (\d+)", result.stderr)[1]), int(re.search(r"macs: (\d+)", result.stdout)[1])


def show_counts(paths: list[str], cpu: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "count_instructions.so"
        source = ROOT / "benchmarks" / "count_instructions.c"
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", source, "-o", plugin], check=True)
        for path in paths:
            once, macs = count(path, 1, plugin, cpu)
            thrice, _ = count(path, 3, plugin, cpu)
            each = (thrice - once) / 2
            print(f"{path}: {macs / 1e6:.1f} M multiply-adds, {each / 1e6:.1f} M instructions: {each / macs:.3f} each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsers = parser.add_subparsers(dest="command", required=True)
    loops = parsers.add_parser("loops")
    loops.add_argument("objects", nargs="?", type=Path, default=WORK, help="a folder (default: build/arm)")
    loops.add_argument("--only", default="", help="part of the objects' names")
    counts = parsers.add_parser("count")
    counts.add_argument("models", nargs="+")
    counts.add_argument("--cpu", default="cortex-a72")
    options = parser.parse_args()
    if options.command == "loops":
        show_loops(options.objects, options.only)
    else:
        show_counts(options.models, options.cpu)


if __name__ == "__main__":
    main()
