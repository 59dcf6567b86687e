"""Times every form of lowering on a table of layers: time, buffer, copies, what "auto" picks, and what is claimed.

    python -m benchmarks.lowering
    python -m benchmarks.lowering --dtype float32 int8 --isa scalar avx2 avx512vnni --json lowering.json

One image, one thread, weights packed beforehand. Every form is run in turn, over and over, so that all see the same
machine; times are medians, and two forms are compared by the median of their ratios, round by round. Copies are counted
in the buffer, not computed. Pictures need matplotlib.
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
from conv_infer.ops_forms import strip_for
from conv_infer.ops_geometry import Geometry
from conv_infer.ops_s8_conv import ConvolutionS8, arguments_of

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
DTYPES = ("float32", "int8")
SHORTEST_NS = 200_000  # of one measurement: a short layer is run so often that it takes as long
TRADITIONAL, REUSABLE = "im2row", ("reusable", "reusable_rows")
UNTOUCHED = 99


def convolution_of(layer: tuple[Any, ...], dtype: str, form: str) -> Any:
    """Something with `run()` and the `lowering` that is taken."""
    channels, height, width, columns, kernel, stride, pad, groups = layer
    generator = np.random.default_rng(1)
    shapes = (1, height, width, channels), (columns, *kernel, channels // groups)
    if dtype == "float32":
        image, weights = (generator.standard_normal(shape, np.float32) for shape in shapes)
        geometry = Geometry((height, width), kernel, stride, pad, 1)
        return Convolution(image, weights, None, geometry, groups, form, threads=1)
    image, weights = (generator.integers(-128, 128, shape, np.int8) for shape in shapes)
    pads = pad if isinstance(pad, tuple) else (pad, pad)
    arguments = arguments_of(
        image,
        weights,
        input_offset=3,
        output_offset=-5,
        multiplier=2**30,
        shift=-9,
        stride_y=stride,
        stride_x=stride,
        pad_y=pads[0],
        pad_x=pads[1],
        groups=groups,
    )
    return ConvolutionS8(arguments, form)


def count_copies(form: str, geometry: Geometry, channels: int, strip: int) -> int:
    """Elements written to bring one image and group into the buffer: those that are no longer what they were, product
    by product."""
    plan = _core.LoweringPlan(
        form,
        (geometry.height, geometry.width, channels),
        geometry.kernel,
        geometry.strides,
        geometry.dilations,
        geometry.pads,
        strip,
    )
    image = np.ones((geometry.height, geometry.width, channels), np.int8)
    buffer = np.empty(plan.buffer_bytes(1), np.int8)
    first = 4 * plan.buffer_elems if form == "indirect" else 0  # behind the offsets
    written = 0
    for gemm in range(plan.gemms):
        buffer[first:] = UNTOUCHED
        plan.fill(gemm, image, buffer)
        written += int(np.count_nonzero(buffer[first:] != UNTOUCHED))
    return written


def measure(name: str, dtype: str, rounds: int) -> dict[str, Any]:
    """Times of all forms in nanoseconds, what the report says of them, and what "auto" picks."""
    layer = LAYERS[name]
    channels, height, width, columns, kernel, stride, pad, groups = layer
    geometry = Geometry((height, width), kernel, stride, pad, 1)
    convolutions = {form: convolution_of(layer, dtype, form) for form in _core.lowering_forms()}
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
        (1, channels, height, width),
        (columns, channels // groups, *kernel),
        stride,
        pad,
        groups=groups,
        dtype=dtype,
    )
    auto, depth = convolution_of(layer, dtype, "auto").lowering, channels // groups
    best = min(times, key=lambda form: statistics.median(times[form]))
    reach = [(geometry.out_height - 1) * stride + kernel[0], (geometry.out_width - 1) * stride + kernel[1]]
    return {
        "layer": name,
        "dtype": dtype,
        "auto": auto,
        "best": best,
        "auto_from_best": ratio(times[auto], times[best]),
        "group_input_elems": height * width * depth,
        "input_elems": height * width * channels,
        "touched_elems": reach[0] * reach[1] * channels,  # of the padded input
        "is_shared": stride <= kernel[1],
        "is_smaller": kernel[1] * reach[0] + (geometry.out_width - 1) * stride < height * width,
        "forms": {
            entry.form: {
                "ns": statistics.median(times[entry.form]),
                "to_traditional": ratio(times[entry.form], times[TRADITIONAL]),
                "buffer_elems": entry.buffer_elems,
                "buffer_bytes": entry.buffer_bytes,
                "copied_elems": entry.copied_elems,
                "counted_elems": count_copies(entry.form, geometry, depth, strip_for(entry.form, geometry)) * groups,
                "predicted_ns": entry.predicted_ns,
            }
            for entry in report
        },
    }


def ratio(times: list[float], others: list[float]) -> float:
    """Median over the rounds, each of which saw one state of the machine."""
    return statistics.median(time / other for time, other in zip(times, others, strict=True))


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios of times to those of traditional im2row, how far "auto" is from the best form, and which claims hold."""
    speedups = [1 / row["forms"]["reusable"]["to_traditional"] for row in rows]
    either = [1 / min(row["forms"][form]["to_traditional"] for form in REUSABLE) for row in rows]
    farthest = max(rows, key=lambda row: row["auto_from_best"])
    once = all(row["forms"]["reusable"]["counted_elems"] == row["touched_elems"] for row in rows if row["is_shared"])
    smaller = all(
        row["forms"]["reusable"]["buffer_elems"] < row["group_input_elems"] for row in rows if row["is_smaller"]
    )
    return {
        "reusable_speedup": geometric_mean(speedups),
        "reusable_least": min(speedups),
        "either_direction_speedup": geometric_mean(either),
        "either_direction_least": min(either),
        "auto_from_best": farthest["auto_from_best"],
        "auto_farthest": farthest["layer"],
        "claims": {
            "the reusable buffer copies the padded input exactly once where stride <= kernel (counted)": once,
            "it is smaller than the input where kw * Hp + (OW - 1) * sw < H * W": smaller,
            "it is 1.3 times as fast as traditional im2row (geometric mean)": geometric_mean(speedups) >= 1.3,
            "it never loses more than 5 % to it": min(speedups) >= 1 / 1.05,
            '"auto" is within 10 % of the best form on every layer': farthest["auto_from_best"] <= 1.1,
        },
    }


def print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    forms = list(rows[0]["forms"])
    print(f"\n{title}: microseconds (buffer KiB, thousand elements copied); * what auto picks, + the best")
    print(f"{'layer':22}" + "".join(f"{form:>22}" for form in forms))
    for row in rows:
        cells = []
        for form, entry in row["forms"].items():
            mark = ("*" if form == row["auto"] else "") + ("+" if form == row["best"] else "")
            sizes = f"({entry['buffer_bytes'] / 1024:.0f}, {entry['counted_elems'] / 1000:.0f})"
            cells.append(f"{mark}{entry['ns'] / 1000:.1f} {sizes}")
        print(f"{row['layer']:22}" + "".join(f"{cell:>22}" for cell in cells))
    found = summary(rows)
    print(
        f"reusable buffer against traditional im2row: {found['reusable_speedup']:.2f}x (geometric mean), least "
        f"{found['reusable_least']:.2f}x; in the better direction {found['either_direction_speedup']:.2f}x, least "
        f"{found['either_direction_least']:.2f}x; auto at most {found['auto_from_best']:.2f}x the best form's time "
        f"({found['auto_farthest']})"
    )
    smaller = [row["layer"] for row in rows if not row["is_smaller"]]
    print(f"the buffer is smaller than the input but for: {', '.join(smaller) or 'none'}")
    for claim, holds in found["claims"].items():
        print(f"  {'holds' if holds else 'FAILS'}: {claim}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=DTYPES)
    parser.add_argument("--isa", nargs="+", default=None, help="instruction sets (default: the best)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--layers", nargs="+", default=list(LAYERS), choices=list(LAYERS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args(arguments)
    results = {}
    given = os.environ.get(VARIABLE)
    for isa in options.isa or [_core.isa_allowed(given or None)[-1]]:
        os.environ[VARIABLE] = isa
        for dtype in options.dtype:
            title = f"{dtype}, {isa}"
            results[title] = [measure(name, dtype, options.rounds) for name in options.layers]
            print_rows(title, results[title])
    os.environ.pop(VARIABLE) if given is None else os.environ.update({VARIABLE: given})
    if options.json:
        found = {title: {"layers": rows, "summary": summary(rows)} for title, rows in results.items()}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.pictures:
        from .lowering_pictures import draw

        draw(options.pictures, results)


if __name__ == "__main__":
    main()
