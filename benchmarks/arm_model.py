"""What the Arm kernels would do on cores that are not at hand: models of their pipelines, and counted instructions.

    python -m benchmarks.arm_model build                cross-compiles the package, with symbols, into build/arm_model
    python -m benchmarks.arm_model loops [OBJECTS]      inner loops of the kernels, by models of the cores' pipelines
    python -m benchmarks.arm_model count MODEL...       instructions of one run of whole networks, under QEMU

`loops` takes, of every kernel in a folder of objects, the loop with the most multiply-adds, and asks how many cycles a
round takes: for Cortex-A72 llvm-mca, likewise for Neoverse N1, which stands for Cortex-A76, as LLVM has no model of
that one; for Cortex-A53 arm_a53.py, which says what is wrong with LLVM's. The limit is what the same model gives for
nothing but independent multiply-adds of the same kind, `most` what issue slots and units alone would allow. Loads
always hit the first-level cache.

`count` compares all instructions of a run with those of the inner loops: what the multiply-adds that were executed take
in the loop of their function that executes most of them. The rest is what surrounds the loops: where a tile begins and
ends, bias, activation and requantisation, elementwise steps, copies, Python. It needs the Arm Python that `.ci/arm`
fetches, and a compiler for plugins of QEMU.

These are models and counts, not a chip's clock.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from .arm_a53 import issue_cycles
from .arm_code import KERNELS, TARGET, Instruction, functions_of
from .arm_counts import CORES as CORES_COUNTED
from .arm_counts import show_counts

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "arm_model"
CORES = {"a53": "", "a72": "cortex-a72", "a76": "neoverse-n1"}
FEATURES = "+neon,+dotprod,+i8mm"


def build() -> None:
    cross = {
        "CONV_INFER_TARGET_MACHINE": "aarch64",
        "CONV_INFER_SYMBOLS": "1",
        "CC": f"{os.environ.get('CONV_INFER_COMPILER_CACHE', '')} aarch64-linux-gnu-gcc".strip(),
        "LDSHARED": "aarch64-linux-gnu-gcc -shared",
        "AR": "aarch64-linux-gnu-ar",
        "CFLAGS": "-fPIC",
    }
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", WORK, "--build-lib", WORK / "lib"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **cross}, check=True)


def model() -> str:
    for name in ("llvm-mca-19", "llvm-mca"):
        if shutil.which(name):
            return name
    sys.exit("llvm-mca is needed: Debian's llvm-19")


class Cycles(NamedTuple):
    """Of one round of a loop, in the steady state: as modelled, and if no instruction waited for another's result."""

    modelled: float
    least: float


def cycles(body: list[Instruction], core: str, rounds: int = 200) -> Cycles:
    if not core:
        return Cycles(issue_cycles(body), issue_cycles(body, waits=False))
    assembly = assembly_of(body)
    command = [model(), "-mtriple=aarch64-linux-gnu", f"-mcpu={core}", f"-mattr={FEATURES}", f"-iterations={rounds}"]
    command += ["-skip-unsupported-instructions=parse-failure"] if model().endswith("-19") else []
    result = subprocess.run([*command, "-"], input=assembly, capture_output=True, text=True, check=True)
    total = int(re.search(r"Total Cycles:\s+(\d+)", result.stdout)[1])
    return Cycles(total / rounds, float(re.search(r"Block RThroughput:\s+([\d.]+)", result.stdout)[1]))


def assembly_of(body: list[Instruction]) -> str:
    lines = [f"{one.name} {TARGET.sub('next', one.operands)}" for one in body]
    return "\n".join(lines) + "\nnext:\n"


def limit(kind: tuple[str, str], core: str, cache: dict[tuple[tuple[str, str], str], float]) -> float:
    """Cycles of one multiply-add instruction among many that do not wait for each other."""
    if (kind, core) not in cache:
        name, arrangement = kind
        factor = {"4s": "16b", "2s": "2s", "8h": "8b"}[arrangement]
        if name == "fmla":
            factor = arrangement
        elif name.endswith("2"):
            factor = {"4s": "8h", "8h": "16b"}[arrangement]
        elif name in ("smlal", "smlsl", "umlal", "smull"):
            factor = {"4s": "4h", "8h": "8b"}[arrangement]
        operands = [f"v{sum_}.{arrangement}, v30.{factor}, v31.{factor}" for sum_ in range(30)]
        body = [Instruction(0, name, each) for each in operands]
        cache[kind, core] = cycles(body, core).modelled / len(body)
    return cache[kind, core]


def runs_on(instruction_set: str, core: str) -> bool:
    return instruction_set == "neon" or core == ("a53" if instruction_set == "a53" else "a76")


def show_loops(folder: Path, wanted: str) -> None:
    known: dict[tuple[tuple[str, str], str], float] = {}
    print(f"{'inner loop':41s} {'MACs':>5s} {'instr.':>6s} " + " ".join(f"{name:>20s}" for name in CORES))
    print(" " * 54 + " ".join(f"{'MACs/cycle':>10s} {'of':>4s} {'most':>4s}" for _ in CORES))
    sets = ("neon", "a53", "dotprod", "i8mm")
    for path in sorted(path for name in sets for path in folder.rglob(f"*_{name}.o") if wanted in path.stem):
        for function in filter(lambda function: KERNELS.match(function.name), functions_of(path)):
            # Of loops that do the same, the one for the general case calls a function, which models know nothing of.
            loop = max(function.loops()[:-1], key=lambda loop: (loop.macs, -loop.calls, -len(loop.body)), default=None)
            if loop is None or not loop.macs:
                continue
            columns = []
            for name, core in CORES.items():
                if not runs_on(path.stem.rpartition("_")[2], name):
                    columns.append(f"{'-':>20s}")
                    continue
                took = cycles(loop.body, core)
                least = sum(limit(kind, core, known) * count for kind, count in loop.kinds.items())
                rate = loop.macs / took.modelled
                columns.append(f"{rate:10.2f} {least / took.modelled:4.0%} {min(least / took.least, 1):4.0%}")
            label = f"{path.stem} {function.name.replace('ci_', '').replace('gemm_f32_', '')}"
            print(f"{label:41.41s} {loop.macs:5d} {len(loop.body):6d} " + " ".join(columns), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsers = parser.add_subparsers(dest="command", required=True)
    parsers.add_parser("build")
    loops = parsers.add_parser("loops")
    loops.add_argument("objects", nargs="?", type=Path, default=WORK, help="a folder (default: build/arm_model)")
    loops.add_argument("--only", default="", help="part of the objects' names")
    counts = parsers.add_parser("count")
    counts.add_argument("models", nargs="+")
    counts.add_argument("--cpu", action="append", choices=CORES_COUNTED, help="(default: cortex-a72)")
    counts.add_argument("--functions", type=int, default=0, metavar="N", help="with the N that spend most around loops")
    options = parser.parse_args()
    if options.command == "build":
        build()
    elif options.command == "loops":
        show_loops(options.objects, options.only)
    else:
        show_counts(options.models, WORK / "lib", options.cpu or ["cortex-a72"], options.functions)


if __name__ == "__main__":
    main()
