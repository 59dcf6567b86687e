"""Builds the program that runs layers, and reads what it counted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from .boards import FIRMWARE, Board, compile_objects, core_sources, link, run
from .tables import Layer, table_header

FORMS = ("two_patch", "two_patch_wide", "reusable")
EVERY_FORM = (*FORMS, "library")


class Count(NamedTuple):
    """Of one form: instructions for the whole layer; of those that are compared in parts, elements of the buffer and
    written to it, and instructions to lower."""

    whole: int
    equal: int  # 1 where the outputs are those of the plainest convolution
    buffer: int = 0
    copied: int = 0
    lowering: int = 0


def count_layers(board: Board, layers: list[Layer], folder: Path) -> list[dict[str, Count]]:
    """The counts of each layer by form; an operator that is no dense convolution costs every form the same."""
    (folder / "layers_table.h").write_text(table_header(layers))
    sources = [
        FIRMWARE / f"{name}.c" for name in ("board", "memory", "output", "two_patch", "reusable", "depthwise", "layers")
    ]
    objects = compile_objects(board, sources + core_sources(), folder)
    link(board, objects, folder / "layers.elf")
    lines = [line.split()[1:] for line in run(board, folder / "layers.elf").splitlines() if line.startswith("layer")]
    if len(lines) != len(layers):
        raise RuntimeError(f"{board.name}: counts of {len(lines)} layers, not of {len(layers)}")
    return [_read(words) for words in lines]


def _read(words: list[str]) -> dict[str, Count]:
    numbers: dict[str, dict[str, int]] = {}
    form = ""
    for word in words:
        name, _, value = word.partition("=")
        if value:
            numbers[form][name] = int(value)
        else:
            form = name
            numbers[form] = {}
    if any(counts["whole"] < 0 for counts in numbers.values()):
        raise RuntimeError("the clock has gone round: a layer takes too many instructions")
    if "other" in numbers:
        return {form: Count(**numbers["other"]) for form in EVERY_FORM}
    return {form: Count(**counts) for form, counts in numbers.items()}


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))
