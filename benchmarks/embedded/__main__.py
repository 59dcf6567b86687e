"""Counts the instructions of int8 layers on an emulated Cortex-M4 and Cortex-M7, two patches against reusable buffer.

    python -m benchmarks.embedded
    python -m benchmarks.embedded --board Cortex-M7 --json counts.json

Wants arm-none-eabi-gcc with newlib and qemu-system-arm (Debian: gcc-arm-none-eabi libnewlib-arm-none-eabi
qemu-system-arm). Instructions are counted by the emulator's virtual clock and come out the same every time; they are
not cycles. docs/embedded.md says what the forms are.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from .boards import BOARDS, Board, missing_tools
from .counts import EVERY_FORM, FORMS, Count, count_layers, geometric_mean
from .tables import LAYERS, NETWORKS, Layer

HEADING = "| layer | copied: two patches | reusable | lowering: two patches | reusable | ratio "
HEADING += "| whole: two patches | two patches, wide kernel | reusable | ratio | same kernel | library |"


def layer_line(layer: Layer, counts: dict[str, Count]) -> str:
    narrow, wide, reusable = (counts[form] for form in FORMS)
    cells = [layer.name, f"{narrow.copied:,}", f"{reusable.copied:,}", f"{wide.lowering:,}", f"{reusable.lowering:,}"]
    cells += [f"{wide.lowering / reusable.lowering:.1f}", f"{narrow.whole:,}", f"{wide.whole:,}", f"{reusable.whole:,}"]
    cells += [f"{narrow.whole / reusable.whole:.2f}", f"{wide.whole / reusable.whole:.2f}"]
    cells.append(f"{counts['library'].whole:,}")
    return "| " + " | ".join(cells) + " |"


def print_board(board: Board, layers: list[dict[str, Count]], networks: dict[str, dict[str, int]]) -> None:
    print(f"\n{board.name} ({board.machine}), instructions\n\n{HEADING}\n|" + "---|" * 12)
    for layer, counts in zip(LAYERS, layers, strict=True):
        print(layer_line(layer, counts))
    for ours, form, name in (
        ("reusable", "two_patch", "reusable buffer against two patches"),
        ("reusable", "two_patch_wide", "reusable buffer against two patches, same kernel"),
        ("library", "two_patch", "the library's operator against two patches"),
    ):
        ratios = [counts[form].whole / counts[ours].whole for counts in layers]
        print(f"\n{name}: {geometric_mean(ratios):.2f} (geometric mean), {min(ratios):.2f} to {max(ratios):.2f}")
    print("\n| network | two patches | two patches, wide kernel | reusable | library | ratio | same kernel |")
    print("|" + "---|" * 7)
    for name, sums in networks.items():
        ratios = [sums[form] / sums["reusable"] for form in FORMS[:2]]
        print(
            f"| {name} | "
            + " | ".join([*(f"{sums[form]:,}" for form in EVERY_FORM), *(f"{r:.2f}" for r in ratios)])
            + " |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedded", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--board", choices=[board.name for board in BOARDS], help="only this one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all counts here as well")
    arguments = parser.parse_args()
    if missing_tools():
        print(f"not installed: {', '.join(missing_tools())}", file=sys.stderr)
        return 2
    everything = [*LAYERS, *(layer for network in NETWORKS.values() for layer in network)]
    record: dict[str, object] = {}
    for board in BOARDS:
        if arguments.board in (None, board.name):
            with tempfile.TemporaryDirectory() as folder:
                counts = count_layers(board, everything, Path(folder))
            if not all(count.equal for forms in counts for count in forms.values()):
                print(f"{board.name}: outputs differ", file=sys.stderr)
                return 1
            networks, first = {}, len(LAYERS)
            for name, network in NETWORKS.items():
                part = counts[first : first + len(network)]
                networks[name] = {form: sum(layer[form].whole for layer in part) for form in EVERY_FORM}
                first += len(network)
            print_board(board, counts[: len(LAYERS)], networks)
            record[board.name] = {
                "layers": {
                    layer.name: {form: count._asdict() for form, count in forms.items()}
                    for layer, forms in zip(LAYERS, counts, strict=False)
                },
                "networks": networks,
            }
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
