"""Times every convolution of a network and compares it with what this machine allows.

    python -m benchmarks.layers shufflenet_v1_g3
    python -m benchmarks.layers my_network.onnx --threads 2
    python -m benchmarks.layers shufflenet_v1_g3 --int8

The limit of a layer is the larger of two times: its multiply-adds at the measured peak rate, and its memory at measured
rates of reading. Weights come at the rate of a buffer as large as all that the network touches, inputs and outputs at
that of a buffer of their own size: their neighbours have left them in a cache, if they fit.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .limits import Limits
from .networks import variants


def measure(session: Any, feeds: dict[str, np.ndarray], runs: int) -> list[tuple[Any, float]]:
    """Each line of the plan and its median time in seconds."""
    for _ in range(3):
        session.run(None, feeds)
    profiles = [session.profile(feeds) for _ in range(runs)]
    return [(rows[0].step, statistics.median(row.seconds for row in rows)) for rows in zip(*profiles, strict=True)]


def activation_bytes(step: Any) -> int:
    """Of inputs and output: bytes where they are quantised, else float32."""
    size = 1 if step.operator.startswith("Q") else 4
    return size * (math.prod(step.output_shape) + sum(math.prod(shape) for shape in step.input_shapes))


def compare(times: list[tuple[Any, float]], limits: Limits, network_bytes: int) -> list[dict[str, Any]]:
    """A row for each step that multiplies."""
    rows = []
    for step, seconds in times:
        if not step.macs:
            continue
        is_int8 = step.operator.startswith("Q")
        peak = limits.int8_operations_per_second() if is_int8 else limits.flops_per_second()
        arithmetic = 2 * step.macs / peak
        touched = activation_bytes(step)
        memory = step.weight_bytes / limits.bytes_per_second(network_bytes) + touched / limits.bytes_per_second(touched)
        rows.append(
            {
                "operator": step.operator,
                "name": step.name,
                "output_shape": list(step.output_shape),
                "macs": step.macs,
                "us": seconds * 1e6,
                "gops": 2e-9 * step.macs / seconds if seconds else 0.0,
                "limit_us": max(arithmetic, memory) * 1e6,
                "limited_by": "arithmetic" if arithmetic >= memory else "memory",
                "fraction": max(arithmetic, memory) / seconds if seconds else 0.0,
                "kernel": step.kernel,
                "lowering": step.lowering,
            }
        )
    return rows


def print_report(result: dict[str, Any]) -> None:
    from conv_infer.cli_common import format_count, print_table

    print(
        f"peak {result['gops_peak']:.1f} Gop/s, reading weights {result['gbytes_per_second']:.1f} GB/s "
        f"({result['instruction_set']}, {result['threads']} threads)\n"
    )
    cells = [
        [
            row["operator"],
            row["name"],
            "x".join(map(str, row["output_shape"])),
            format_count(row["macs"]),
            f"{row['us']:.1f}",
            f"{row['gops']:.1f}",
            f"{row['limit_us']:.1f}",
            row["limited_by"],
            f"{row['fraction']:.0%}",
            row["kernel"],
            row["lowering"],
        ]
        for row in result["layers"]
    ]
    headings = ("", "name", "output", "MACs", "us", "Gop/s", "limit us", "by", "of limit", "kernel", "how")
    print_table(headings, cells, (3, 4, 5, 6, 8))
    total = sum(row["us"] for row in result["layers"])
    limit = sum(row["limit_us"] for row in result["layers"])
    print(f"\n{total:.1f} us in {len(cells)} layers, {limit / total if total else 0:.0%} of the limit; ", end="")
    print(f"all other steps {result['other_us']:.1f} us")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    from conv_infer.cli_common import named_shape, positive

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.layers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", metavar="NETWORK", help="a name of the zoo, or an .onnx file")
    parser.add_argument("--int8", action="store_true", help="quantise it first, with unsigned activations")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--repeat", type=positive, default=20, metavar="N", help="profiled runs (default: 20)")
    parser.add_argument("--pin", metavar="0,1", default="", help="processors that may be used (default: any)")
    parser.add_argument("--shape", action="append", type=named_shape, default=[], help="of a file's open input")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if options.pin:
        os.sched_setaffinity(0, [int(processor) for processor in options.pin.split(",")])
    import conv_infer

    instruction_set = conv_infer.cpu()["chosen"]
    try:
        limits = Limits(instruction_set, options.threads)
        with tempfile.TemporaryDirectory() as folder:
            (variant,) = variants([options.network], Path(folder), dict(options.shape), options.int8)
            with np.load(variant.feeds) as archive:
                feeds = dict(archive)
            session = conv_infer.load(str(variant.path), threads=options.threads)
            times = measure(session, feeds, options.repeat)
    except (ValueError, RuntimeError) as error:
        print(f"benchmarks.layers: {error}", file=sys.stderr)
        return 2
    network_bytes = session.memory.peak + sum(array.nbytes for array in feeds.values())
    result = {
        "network": variant.network,
        "threads": options.threads,
        "instruction_set": instruction_set,
        "gops_peak": 1e-9 * (limits.int8_operations_per_second() if options.int8 else limits.flops_per_second()),
        "gbytes_per_second": limits.bytes_per_second(network_bytes) * 1e-9,
        "layers": compare(times, limits, network_bytes),
        "other_us": sum(seconds for step, seconds in times if not step.macs) * 1e6,
    }
    print_report(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
