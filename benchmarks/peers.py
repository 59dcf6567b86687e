"""Times conv_infer beside onnxruntime and OpenVINO, on the zoo or on any .onnx files.

    python -m benchmarks.peers --threads 1 --networks resnet18,shufflenet_v1_g3
    python -m benchmarks.peers my_network.onnx --threads 2
    python -m benchmarks.peers --int8

Each engine lives in a process of its own; rounds go from engine to engine, so that a drifting clock meets all of them.
Printed are medians over all runs, the ratio to the best peer (above 1: conv_infer is faster), the peak memory above
that of a process which only imported NumPy and read the inputs, and the time from there to the first output. The
processes inherit the environment: a launcher that hides instruction sets hides them from all engines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from . import ROOT
from .engines import BASELINE, ENGINES
from .networks import DEFAULT_NETWORKS, Variant, variants

OURS = "conv_infer"
PEERS = [engine for engine in ENGINES if engine != OURS]
TURN_SECONDS = 0.25  # that an engine measures before it is the next one's turn
RUNS_PER_TURN = (3, 50)
STARTS = 3  # processes that are started only to time the start and to measure memory
RUNS_FOR_MEMORY = 5
REST_SECONDS = 0.02  # between turns: worker threads of the last engine may still be spinning


class Worker:
    """A process with one engine and one model. Raises RuntimeError where the engine cannot run it."""

    def __init__(self, engine: str, model: Path, feeds: Path, threads: int, processors: list[int]):
        command = [sys.executable, "-m", "benchmarks.worker"]
        # With byte code from the second start on, as pip installs packages.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        job = {
            "engine": engine,
            "model": str(model),
            "feeds": str(feeds),
            "threads": threads,
            "processors": processors,
        }
        try:
            self.phases: dict[str, float] = self.ask(json.dumps(job))
            if "error" in self.phases:
                raise RuntimeError(self.phases["error"])
        except BaseException:
            self.close()
            raise

    def ask(self, line: str) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker ended with code {self.process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def measure_start(engine: str, variant: Variant, options: argparse.Namespace) -> dict[str, float]:
    """Medians over fresh processes: seconds to import, load and run once, and peak bytes after some runs."""
    samples: list[dict[str, float]] = []
    for _ in range(STARTS):
        worker = Worker(engine, variant.path, variant.feeds, options.threads, options.pin)
        worker.ask(f"run {RUNS_FOR_MEMORY}")
        samples.append({**worker.phases, "peak_bytes": worker.ask("memory")})
        worker.close()
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


def measure_rounds(workers: dict[str, Worker], rounds: int) -> dict[str, list[list[float]]]:
    """Engine -> for each round the seconds of its runs. The first run of a turn finds cold caches and is dropped."""
    lowest, highest = RUNS_PER_TURN
    counts = {}
    for engine, worker in workers.items():
        fastest = min(worker.ask(f"run {lowest}"))
        counts[engine] = int(min(max(TURN_SECONDS / fastest, lowest), highest))
    times: dict[str, list[list[float]]] = {engine: [] for engine in workers}
    for _ in range(rounds):
        for engine, worker in workers.items():
            time.sleep(REST_SECONDS)
            times[engine].append(worker.ask(f"run {counts[engine] + 1}")[1:])
    return times


def largest_departures(workers: dict[str, Worker], folder: Path) -> dict[str, float]:
    """For each peer, how far conv_infer's outputs are from its, relative to the largest magnitude."""
    outputs = {}
    for engine, worker in workers.items():
        path = folder / f"outputs_{engine}.npz"
        worker.ask(f"outputs {path}")
        with np.load(path) as archive:
            outputs[engine] = [archive[name].astype(np.float64) for name in archive.files]
    ours = outputs.pop(OURS, None)
    if ours is None:
        return {}
    return {
        engine: max(float(np.abs(a - b).max() / (np.abs(b).max() or 1)) for a, b in zip(ours, theirs, strict=True))
        for engine, theirs in outputs.items()
    }


def measure(variant: Variant, engines: list[str], folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one model; an engine that cannot run it has only an `error`."""
    row: dict[str, Any] = {"network": variant.network, "kind": variant.kind, "engines": {}}
    workers: dict[str, Worker] = {}
    try:
        for engine in engines:
            try:
                workers[engine] = Worker(engine, variant.path, variant.feeds, options.threads, options.pin)
                row["engines"][engine] = {}
            except RuntimeError as error:
                row["engines"][engine] = {"error": str(error)}
        row["departure"] = largest_departures(workers, folder)
        for kind, path in variant.others.items() if OURS in workers else ():
            workers[f"{OURS} {kind}"] = Worker(OURS, path, variant.feeds, options.threads, options.pin)
            row["engines"][f"{OURS} {kind}"] = {}
        for engine, rounds in measure_rounds(workers, options.repeat).items():
            runs = [seconds for turn in rounds for seconds in turn]
            row["engines"][engine] |= {
                "median_ms": statistics.median(runs) * 1e3,
                "minimum_ms": min(runs) * 1e3,
                "round_medians_ms": [statistics.median(turn) * 1e3 for turn in rounds],
            }
    finally:
        for worker in workers.values():
            worker.close()
    if options.start:
        floor = measure_start(BASELINE, variant, options)["peak_bytes"]
        for engine in (engine for engine in engines if engine in workers):
            start = measure_start(engine, variant, options)
            row["engines"][engine] |= {
                "import_ms": start["import"] * 1e3,
                "load_ms": start["load"] * 1e3,
                "first_run_ms": start["first_run"] * 1e3,
                "memory_bytes": start["peak_bytes"] - floor,
            }
    peers = [
        values["median_ms"] for engine, values in row["engines"].items() if engine in PEERS and "median_ms" in values
    ]
    ours = row["engines"].get(OURS, {}).get("median_ms")
    row["ratio"] = min(peers) / ours if peers and ours else None
    return row


def describe_machine(engines: list[str], options: argparse.Namespace) -> dict[str, Any]:
    import conv_infer

    names = [line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name")]
    versions = {}
    for engine in engines:
        try:
            versions[engine] = version(engine)
        except PackageNotFoundError:
            versions[engine] = "not installed, run in place"
    return {
        "processor": names[0] if names else platform.processor(),
        "instruction_sets": conv_infer.cpu(),
        "threads": options.threads,
        "processors": options.pin or sorted(os.sched_getaffinity(0)),
        "versions": versions,
    }


def cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def available_engines() -> list[str]:
    from importlib.util import find_spec

    return [engine for engine in ENGINES if find_spec(engine) is not None]


def print_report(rows: list[dict[str, Any]], engines: list[str]) -> None:
    """Three tables in Markdown: time, memory, start."""

    def table(headings: list[str], lines: list[list[str]]) -> None:
        print(f"\n| {' | '.join(headings)} |")
        print(f"|---|{'---:|' * (len(headings) - 1)}")
        for line in lines:
            print(f"| {' | '.join(line)} |")

    def value(row: dict[str, Any], engine: str, *keys: str, scale: float = 1.0) -> str:
        values = row["engines"].get(engine, {})
        return f"{sum(values[key] for key in keys) * scale:.2f}" if all(key in values for key in keys) else "-"

    names = [row["network"] + ("" if row["kind"] == "float32" else f" {row['kind']}") for row in rows]
    others = list(dict.fromkeys(entry for row in rows for entry in row["engines"] if entry not in engines))
    table(
        ["network, ms", *engines, *others, "times the best peer", "departure"],
        [
            [
                name,
                *(value(row, entry, "median_ms") for entry in (*engines, *others)),
                f"{row['ratio']:.2f}" if row["ratio"] else "-",
                f"{max(row['departure'].values()):.1e}" if row["departure"] else "-",
            ]
            for name, row in zip(names, rows, strict=True)
        ],
    )
    if any("memory_bytes" in values for row in rows for values in row["engines"].values()):
        for title, keys, scale in (
            ("peak memory above NumPy's, MB", ("memory_bytes",), 1e-6),
            ("import + load + first run, ms", ("import_ms", "load_ms", "first_run_ms"), 1.0),
        ):
            lines = [
                [name, *(value(row, engine, *keys, scale=scale) for engine in engines)]
                for name, row in zip(names, rows, strict=True)
            ]
            table([title, *engines], lines)
    for row in rows:
        for engine, values in row["engines"].items():
            if "error" in values:
                print(f"\n{row['network']}: {engine} failed: {values['error']}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    from conv_infer.cli_common import named_shape, positive

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", metavar="FILE.onnx", help="models to measure (default: the zoo)")
    parser.add_argument("--networks", metavar="A,B", help=f"of the zoo (default: {','.join(DEFAULT_NETWORKS)})")
    parser.add_argument("--engines", metavar="A,B", help=f"of {', '.join(ENGINES)} (default: those installed)")
    parser.add_argument(
        "--int8", action="store_true", help="quantise them first: u8s8, and for conv_infer s8s8 and float32 beside it"
    )
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="for every engine (default: 1)")
    parser.add_argument("--repeat", type=positive, default=7, metavar="N", help="rounds (default: 7)")
    parser.add_argument("--pin", metavar="0,1", default="", help="processors that the engines may use (default: any)")
    parser.add_argument("--shape", action="append", type=named_shape, default=[], help="of a file's open input")
    parser.add_argument("--start", action=argparse.BooleanOptionalAction, default=True, help="measure start and memory")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    options = parser.parse_args(arguments)
    options.pin = [int(processor) for processor in options.pin.split(",") if processor]
    unknown = sorted(set((options.engines or "").split(",")) - {"", *ENGINES})
    if unknown:
        parser.error(f"unknown engines {', '.join(unknown)}; there are {', '.join(ENGINES)}")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    engines = options.engines.split(",") if options.engines else available_engines()
    chosen = options.networks.split(",") if options.networks else [] if options.files else list(DEFAULT_NETWORKS)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            for variant in variants([*chosen, *options.files], folder, dict(options.shape), options.int8):
                rows.append(measure(variant, engines, folder, options))
                for path in variant.files:
                    if folder in path.parents:
                        path.unlink()
                ratio = rows[-1]["ratio"]
                print(
                    f"{variant.network}: {f'{ratio:.2f} times' if ratio else 'measured'}", file=sys.stderr, flush=True
                )
        except ValueError as error:
            print(f"benchmarks.peers: {error}", file=sys.stderr)
            return 2
    machine = describe_machine(engines, options)
    print(f"{machine['processor']}, {options.threads} threads, {machine['instruction_sets']['chosen']}")
    print(", ".join(f"{engine} {number}" for engine, number in machine["versions"].items()))
    print_report(rows, engines)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
