"""Measures how long a model takes to load and to run on random inputs, and where the time goes, step by step."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from typing import Any

from . import __version__, _core, cpu
from .cli_common import (
    add_model_arguments,
    add_shape_argument,
    choose_shapes,
    format_count,
    load_session,
    positive,
    print_json,
    print_table,
    progress,
)
from .feeds import random_feeds

EXAMPLES = """examples:
  conv-infer bench models/digits.onnx --threads 1
  conv-infer bench detector.onnx --shape input=1,3,320,320 --repeat 100 --json
"""
WARM_UP_SECONDS = 0.2
DEFAULT_SECONDS = 2.0  # of measuring, where --repeat is not given
DEFAULT_REPEATS = (5, 1000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    add_shape_argument(parser)
    parser.add_argument("--repeat", type=positive, metavar="N", help="runs to measure (default: about two seconds)")
    parser.add_argument("--profile", action=argparse.BooleanOptionalAction, default=True, help="the table of steps")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    start = time.perf_counter()
    session = load_session(options)
    load = time.perf_counter() - start
    shapes = choose_shapes(session, options.shape)
    feeds = random_feeds(session.get_inputs(), shapes)
    first = seconds_of_run(session, feeds)
    warm = [seconds_of_run(session, feeds)]
    while sum(warm) < WARM_UP_SECONDS:
        warm.append(seconds_of_run(session, feeds))
    lowest, highest = DEFAULT_REPEATS
    repeats = options.repeat or int(min(max(DEFAULT_SECONDS / min(warm), lowest), highest))
    times = [seconds_of_run(session, feeds) for _ in progress(range(repeats), "runs")]
    median = statistics.median(times)
    images = next(iter(shapes.values()), (1,))[:1] or (1,)
    result: dict[str, Any] = {
        "version": __version__,
        "machine": machine(),
        "threads": session.threads,
        "model": options.model,
        "shapes": {name: list(shape) for name, shape in shapes.items()},
        "load_ms": load * 1e3,
        "first_run_ms": first * 1e3,
        "runs": repeats,
        "median_ms": median * 1e3,
        "minimum_ms": min(times) * 1e3,
        "images_per_second": images[0] / median,
    }
    if options.profile:
        result["steps"] = profile(session, feeds)
    if options.json:
        print_json(result)
    else:
        print_result(result)
    return 0


def machine() -> dict[str, Any]:
    """What a measurement depends on besides the model: the processor and what is used of it."""
    first, second = _core.cache_sizes()
    return {
        "processor": processor_name(),
        "processors": os.cpu_count(),
        "instruction_sets": cpu()["allowed"],
        "cache_bytes": [first, second],
        "system": platform.platform(),
    }


def processor_name() -> str:
    """What Linux calls the board, or else the processor; on other systems what they call the kind of processor."""
    board = _text_of("/proc/device-tree/model").strip("\0 \n")
    models = [line.partition(":")[2].strip() for line in _text_of("/proc/cpuinfo").splitlines() if "model name" in line]
    return board or next(iter(models), "") or platform.processor() or platform.machine()


def _text_of(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def seconds_of_run(session: Any, feeds: dict[str, Any]) -> float:
    start = time.perf_counter()
    session.run(None, feeds)
    return time.perf_counter() - start


def profile(session: Any, feeds: dict[str, Any], runs: int = 5) -> list[dict[str, Any]]:
    """The median time of every step over some profiled runs."""
    profiles = [session.profile(feeds) for _ in range(runs)]
    return [
        {
            "operator": rows[0].step.operator,
            "name": rows[0].step.name,
            "kernel": rows[0].step.kernel,
            "lowering": rows[0].step.lowering,
            "macs": rows[0].step.macs,
            "us": statistics.median(row.seconds for row in rows) * 1e6,
        }
        for rows in zip(*profiles, strict=True)
    ]


def print_result(result: dict[str, Any]) -> None:
    machine, threads = result["machine"], result["threads"]
    print(f"{machine['processor']}: {machine['instruction_sets'][-1]}, {threads} thread{'s'[: threads != 1]}")
    print(f"load {result['load_ms']:.1f} ms, first run {result['first_run_ms']:.2f} ms")
    print(
        f"median {result['median_ms']:.3f} ms, minimum {result['minimum_ms']:.3f} ms over {result['runs']} runs: "
        f"{result['images_per_second']:.1f} images/s"
    )
    steps = result.get("steps")
    if not steps:
        return
    total = sum(step["us"] for step in steps) or 1.0
    rows = [
        [
            step["operator"],
            step["name"],
            f"{step['us']:.1f}",
            f"{step['us'] / total:.1%}",
            format_count(step["macs"]) if step["macs"] else "",
            f"{2e-3 * step['macs'] / step['us']:.1f}" if step["macs"] and step["us"] else "",
            step["kernel"],
            step["lowering"],
        ]
        for step in steps
    ]
    print()
    print_table(("operator", "name", "us", "share", "MACs", "GFLOP/s", "kernel", "how"), rows, (2, 3, 4, 5))
