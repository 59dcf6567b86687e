"""Compares a model's results with onnxruntime's, output by output, on given or on seeded random inputs.

An output departs where its largest absolute error exceeds the tolerance times the largest magnitude of the reference,
or where shape, type or the places of NaN differ. --layers compares every tensor inside and names the first to depart.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from .cli_common import (
    add_model_arguments,
    add_shape_argument,
    choose_shapes,
    format_shape,
    load_session,
    print_json,
    print_table,
    progress,
)
from .feeds import add_preprocessing_arguments, random_feeds, read_feeds
from .parity import Comparison, compare, first_departure, import_onnxruntime, reference_outputs

EXAMPLES = """examples:
  conv-infer verify models/digits.onnx models/digits_heldout.npz
  conv-infer verify net.onnx --layers --tolerance 1e-5
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help="FILE or NAME=FILE (default: random, seeded)")
    add_shape_argument(parser)
    parser.add_argument("--seed", type=int, default=0, help="of random inputs (default: 0)")
    parser.add_argument("--tolerance", type=tolerance, default=1e-4, metavar="T", help="relative (default: 1e-4)")
    parser.add_argument("--layers", action="store_true", help="compare every tensor inside, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_preprocessing_arguments(parser)


def tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 on")
    return value


def execute(options: argparse.Namespace) -> int:
    import_onnxruntime()  # before any work is done in vain
    session = load_session(options)
    if options.inputs:
        feeds = read_feeds(session, options.inputs, options)
    else:
        feeds = random_feeds(session.get_inputs(), choose_shapes(session, options.shape), options.seed)
    names = [tensor.name for tensor in session.get_outputs()]
    ours = dict(zip(names, session.run(None, feeds), strict=True))
    found = compare(ours, reference_outputs(options.model, feeds), options.tolerance)
    layers: list[Comparison] = []
    alone = False
    if options.layers:
        layers, alone = first_departure(options.model, feeds, _runner(options), options.tolerance, progress)
    if options.json:
        print_json(
            {
                "model": options.model,
                "tolerance": options.tolerance,
                "outputs": [as_dict(comparison) for comparison in found],
                **({"tensors": [as_dict(comparison) for comparison in layers]} if options.layers else {}),
            }
        )
    else:
        print_comparisons(found, layers, alone, options)
    return 0 if all(comparison.matches for comparison in (*found, *layers)) else 1


def _runner(options: argparse.Namespace) -> Any:
    """Runs a model under the command line's options."""

    def run(model: bytes, feeds: dict[str, np.ndarray]) -> dict[str, Any]:
        from . import run

        return run(model, feeds, threads=options.threads, max_memory=options.max_memory, strict=options.strict)

    return run


def as_dict(comparison: Comparison) -> dict[str, Any]:
    return {
        "name": comparison.name,
        "shape": list(comparison.shape),
        "largest_error": comparison.largest_error,
        "relative_error": comparison.relative_error,
        "matches": comparison.matches,
        "reason": comparison.reason,
    }


def print_comparisons(
    found: list[Comparison], layers: list[Comparison], alone: bool, options: argparse.Namespace
) -> None:
    headings = ("", "shape", "largest error", "relative", "")
    print_table(headings, [_row(comparison) for comparison in found], (2, 3))
    if not options.layers:
        return
    print("\ntensors inside, in the order of the model" + (", each asked for alone" if alone else ""))
    first = next((index for index, comparison in enumerate(layers) if not comparison.matches), None)
    print_table(headings, [_row(comparison) for comparison in layers], (2, 3))
    if first is None:
        print("\nno tensor departs")
    else:
        print(f"\nthe first tensor that departs: {layers[first].name} ({layers[first].reason})")


def _row(comparison: Comparison) -> tuple[str, ...]:
    return (
        comparison.name,
        format_shape(comparison.shape),
        f"{comparison.largest_error:.3g}",
        f"{comparison.relative_error:.2e}",
        "same" if comparison.matches else f"DEPARTS: {comparison.reason}",
    )
