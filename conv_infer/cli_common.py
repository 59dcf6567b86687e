"""What the commands share: options, loading, tables, numbers as people read them, the progress bar."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .errors import InputError

SUFFIXES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an .onnx file")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads (default: the physical cores)")
    parser.add_argument(
        "--max-memory", type=memory_size, metavar="BYTES", help="limit of weights, arena and scratch; 64M, 2G, ..."
    )
    parser.add_argument("--strict", action="store_true", help="refuse operators outside the native set")


def add_shape_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shape",
        action="append",
        type=named_shape,
        default=[],
        metavar="NAME=1,3,224,224",
        help="shape of an input whose sizes the model leaves open; once for each input",
    )


def positive(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return value


def memory_size(text: str) -> int:
    """Bytes of "1048576", "1024K", "64M" or "2G" (with or without a final B or iB)."""
    lower = text.strip().lower().removesuffix("b").removesuffix("i")
    suffix = lower[-1:] if lower[-1:] in ("k", "m", "g") else ""
    try:
        number = float(lower.removesuffix(suffix))
        size = int(number * SUFFIXES[suffix])
    except (ValueError, OverflowError):
        size = 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no amount of memory; write bytes, or 64M, or 2G")
    return size


def named_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """("image", (1, 3, 224, 224)) of "image=1,3,224,224" (or with x between the numbers)."""
    name, equals, sizes = text.rpartition("=")
    numbers = sizes.replace("x", ",").split(",")
    if not equals or not all(number.strip().isdigit() for number in numbers):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=SIZE,SIZE,...")
    return name, tuple(int(number) for number in numbers)


def load_session(options: argparse.Namespace) -> Any:
    """The session of the options' model."""
    from . import load

    return load(options.model, threads=options.threads, max_memory=options.max_memory, strict=options.strict)


def choose_shapes(session: Any, wanted: Sequence[tuple[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    """A concrete shape for every input: as wanted, else the model's, where an open first size becomes 1.

    Raises `InputError` where another size is open, or a wanted shape belongs to no input or contradicts the model.
    """
    inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    shapes = dict(wanted)
    for name, shape in shapes.items():
        if name not in inputs:
            raise InputError(
                f"--shape {name}=...: the model has no input of that name; its inputs: {', '.join(inputs)}"
            )
        declared = inputs[name].shape
        fits = declared is None or len(declared) == len(shape)
        if fits and declared is not None:
            pairs = zip(declared, shape, strict=True)
            fits = all(not isinstance(size, int) or size == given for size, given in pairs)
        if not fits:
            raise InputError(f"--shape {name}={format_shape(shape)}: the model declares {format_shape(declared)}")
    for name, tensor in inputs.items():
        if name in shapes:
            continue
        declared = [None, None] if tensor.shape is None else tensor.shape
        sizes = [size if isinstance(size, int) or axis else 1 for axis, size in enumerate(declared)]
        if not all(isinstance(size, int) for size in sizes):
            open_shape = format_shape(tensor.shape)
            raise InputError(f"input '{name}' has the shape {open_shape}: say which with --shape {name}=SIZE,SIZE,...")
        shapes[name] = tuple(sizes)
    return shapes


def is_open(session: Any) -> bool:
    """True where some input's shape is not fixed by the model."""
    shapes = [tensor.shape for tensor in session.get_inputs()]
    return any(shape is None or not all(isinstance(size, int) for size in shape) for shape in shapes)


def format_shape(shape: Iterable[Any] | None) -> str:
    if shape is None:
        return "of unknown rank"
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def format_bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"


def format_count(count: int) -> str:
    for limit, unit in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if count >= limit:
            return f"{count / limit:.1f}{unit}"
    return str(count)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], right: Iterable[int] = ()) -> None:
    """Columns as wide as their widest cell; those whose numbers are in `right` are aligned to the right."""
    lines = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    aligned = set(right)
    for line in lines:
        cells = [
            cell.rjust(width) if column in aligned else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def print_json(value: Any) -> None:
    """Strict JSON: NaN and infinities become null."""
    print(json.dumps(_finite(value), indent=2))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value


def progress(items: Sequence[Any], what: str) -> Iterator[Any]:
    """The items, with a bar on stderr where that is a terminal and the work takes longer than half a second."""
    start = time.perf_counter()
    shown = False
    try:
        for done, item in enumerate(items):
            if sys.stderr.isatty() and time.perf_counter() - start > 0.5:
                shown = True
                filled = 30 * done // len(items)
                print(f"\r{what} [{'#' * filled:30}] {done}/{len(items)}", end="", file=sys.stderr, flush=True)
            yield item
    finally:
        if shown:
            print("\r" + " " * (len(what) + 50) + "\r", end="", file=sys.stderr, flush=True)
