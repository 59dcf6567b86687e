"""Times every form of lowering on a table of layers: time, buffer and copies, and what "auto" picks.

    python -m benchmarks.lowering
    python -m benchmarks.lowering --isa scalar avx2 avx512 --json lowering.json --pictures pictures

float32, one image, one thread, weights packed beforehand. Every form is run in turn, over and over, so that all see the
same machine; times are medians. Pictures need matplotlib.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from conv_infer import _core
from conv_infer.isa import VARIABLE
from conv_infer.ops import lowering_report
from conv_infer.ops_conv import Convolution
from conv_infer.ops_geometry import Geometry

# name: channels, height, width, output channels, kernel, stride, pad, groups
LAYERS = {
    "1x28x28->8 5x5": (1, 28, 28, 8, (5, 5), 1, 2, 1),
    "3x32x32->32 5x5": (3, 32, 32, 32, (5, 5), 1, 2, 1),
    "32x16x16->32 5x5": (32, 16, 16, 32, (5, 5), 1, 2, 1),
    "32x8x8->64 5x5": (32, 8, 8, 64, (5, 5), 1, 2, 1),
    "3x96x96->8 3x3 s2": (3, 96, 96, 8, (3, 3), 2, 1, 1),
    "3x64x64->16 7x7 s2": (3, 64, 64, 16, (7, 7), 2, 3, 1),
    "16x32x32->16 3x3": (16, 32, 32, 16, (3, 3), 1, 1, 1),
    "32x16x16->32 3x3": (32, 16, 16, 32, (3, 3), 1, 1, 1),
    "64x8x8->64 3x3": (64, 8, 8, 64, (3, 3), 1, 1, 1),
    "3x55x55->24 11x11 s4": (3, 55, 55, 24, (11, 11), 4, 0, 1),
    "10x49x1->64 10x4 s2": (1, 49, 10, 64, (10, 4), 2, (5, 1), 1),
    "60x14x14->60 3x3 g3": (60, 14, 14, 60, (3, 3), 1, 1, 3),
    "64x56x56->64 3x3": (64, 56, 56, 64, (3, 3), 1, 1, 1),
    "3x224x224->64 7x7 s2": (3, 224, 224, 64, (7, 7), 2, 3, 1),
}
SHORTEST_NS = 200_000  # of one measurement: a short layer is run so often that it takes as long


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Times of all forms and of "auto", in nanoseconds, with what the report says of them."""
    channels, height, width, columns, kernel, stride, pad, groups = LAYERS[name]
    generator = np.random.default_rng(1)
    image = generator.standard_normal((1, height, width, channels), np.float32)
    weights = generator.standard_normal((columns, *kernel, channels // groups), np.float32)
    geometry = Geometry((height, width), kernel, stride, pad, 1)
    convolutions = {
        form: Convolution(image, weights, None, geometry, groups, form, threads=1) for form in _core.lowering_forms()
    }
    auto = Convolution(image, weights, None, geometry, groups, threads=1)
    repeats = {}
    for form, convolution in convolutions.items():
        convolution.run()
        begin = time.perf_counter_ns()
        convolution.run()
        repeats[form] = max(1, SHORTEST_NS // max(1, time.perf_counter_ns() - begin))
    times: dict[str, list[float]] = {form: [] for form in convolutions}
    for _ in range(rounds):
        for form, convolution in convolutions.items():
            begin = time.perf_counter_ns()
            for _ in range(repeats[form]):
                convolution.run()
            times[form].append((time.perf_counter_ns() - begin) / repeats[form])
    report = lowering_report(
        (1, channels, height, width), (columns, channels // groups, *kernel), stride, pad, groups=groups
    )
    return {
        "layer": name,
        "auto": auto.lowering,
        "input_elems": height * width * channels,
        "forms": {
            entry.form: {
                "ns": statistics.median(times[entry.form]),
                "buffer_bytes": entry.buffer_bytes,
                "copied_elems": entry.copied_elems,
                "predicted_ns": entry.predicted_ns,
            }
            for entry in report
        },
    }


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios of the times to those of traditional im2row, and how far "auto" is from the best form."""
    speedups = [row["forms"]["im2row"]["ns"] / row["forms"]["reusable"]["ns"] for row in rows]
    either = [
        row["forms"]["im2row"]["ns"] / min(row["forms"][form]["ns"] for form in ("reusable", "reusable_rows"))
        for row in rows
    ]
    from_best = [row["forms"][row["auto"]]["ns"] / min(form["ns"] for form in row["forms"].values()) for row in rows]
    return {
        "reusable_speedup": geometric_mean(speedups),
        "reusable_least": min(speedups),
        "either_direction_speedup": geometric_mean(either),
        "either_direction_least": min(either),
        "auto_from_best": max(from_best),
    }


def print_rows(isa: str, rows: list[dict[str, Any]]) -> None:
    forms = list(rows[0]["forms"])
    print(f"\n{isa}: microseconds (buffer KiB, thousand elements copied); * what auto picks")
    print(f"{'layer':22}" + "".join(f"{form:>22}" for form in forms))
    for row in rows:
        cells = []
        for form, entry in row["forms"].items():
            mark = "*" if form == row["auto"] else ""
            sizes = f"({entry['buffer_bytes'] / 1024:.0f}, {entry['copied_elems'] / 1000:.0f})"
            cells.append(f"{mark}{entry['ns'] / 1000:.1f} {sizes}")
        print(f"{row['layer']:22}" + "".join(f"{cell:>22}" for cell in cells))
    found = summary(rows)
    print(
        f"reusable buffer against traditional im2row: {found['reusable_speedup']:.2f}x (geometric mean), least "
        f"{found['reusable_least']:.2f}x; in the better direction {found['either_direction_speedup']:.2f}x, least "
        f"{found['either_direction_least']:.2f}x; auto at most {found['auto_from_best']:.2f}x the best form's time"
    )


def draw(folder: Path, results: dict[str, list[dict[str, Any]]]) -> None:
    """Times relative to the traditional form, and buffers against the input's size."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    for isa, rows in results.items():
        figure, axes = pyplot.subplots(figsize=(11, 5))
        forms = list(rows[0]["forms"])
        for number, form in enumerate(forms):
            heights = [row["forms"][form]["ns"] / row["forms"]["im2row"]["ns"] for row in rows]
            places = [place + (number - len(forms) / 2) * 0.11 for place in range(len(rows))]
            axes.bar(places, heights, 0.11, label=form)
        axes.set_xticks(range(len(rows)), [row["layer"] for row in rows], rotation=30, ha="right")
        axes.set_ylabel("time / time of im2row")
        axes.set_ylim(0, 2.5)  # what lies higher is cut off
        axes.set_title(f"float32, {isa}, one thread")
        axes.legend(ncols=4)
        figure.tight_layout()
        figure.savefig(folder / f"lowering_time_{isa}.svg")
        pyplot.close(figure)
    rows = next(iter(results.values()))
    figure, axes = pyplot.subplots(figsize=(7, 5))
    for form in rows[0]["forms"]:
        points = [(row["input_elems"] * 4, row["forms"][form]["buffer_bytes"]) for row in rows]
        points = [point for point in sorted(points) if point[1]]
        if points:
            axes.plot(*zip(*points, strict=True), "o", label=form)
    sizes = sorted(row["input_elems"] * 4 for row in rows)
    axes.plot(sizes, sizes, "k--", label="the input itself")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("bytes of the input")
    axes.set_ylabel("bytes of the buffer")
    axes.legend()
    figure.tight_layout()
    figure.savefig(folder / "lowering_memory.svg")
    pyplot.close(figure)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", nargs="+", default=None, help="instruction sets (default: the best)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--layers", nargs="+", default=list(LAYERS), choices=list(LAYERS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args(arguments)
    results = {}
    for isa in options.isa or [_core.isa_allowed(os.environ.get(VARIABLE) or None)[-1]]:
        os.environ[VARIABLE] = isa
        results[isa] = [measure(name, options.rounds) for name in options.layers]
        print_rows(isa, results[isa])
    if options.json:
        found = {isa: {"layers": rows, "summary": summary(rows)} for isa, rows in results.items()}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.pictures:
        draw(options.pictures, results)


if __name__ == "__main__":
    main()
