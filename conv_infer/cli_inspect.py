"""Shows a model's inputs and outputs, the memory it takes, the plan step by step, and which operators are not native.

Where the model leaves sizes open, --shape chooses them; an open batch alone counts as 1.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .cli_common import (
    add_model_arguments,
    add_shape_argument,
    choose_shapes,
    format_bytes,
    format_count,
    format_shape,
    is_open,
    load_session,
    print_json,
    print_table,
)
from .errors import InputError

EXAMPLES = """examples:
  conv-infer inspect models/digits.onnx
  conv-infer inspect detector.onnx --shape input=1,3,320,320 --json
"""
STEP_FIELDS = ("operator", "name", "output_shape", "kernel", "lowering", "macs", "weight_bytes", "arena_bytes", "note")
MEMORY_FIELDS = ("weights", "arena", "scratch", "peak")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    add_shape_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    session = load_session(options)
    hint = None
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        shapes = choose_shapes(session, options.shape)
        if is_open(session):
            session.prepare(shapes)
    except InputError as error:
        if options.shape:
            raise
        hint = f"no plan: {error}"
    description = describe(session, shapes if hint is None else None)
    if options.json:
        print_json({"model": options.model, **description})
    else:
        print_description(description)
    if hint:
        print(f"conv-infer: {hint}", file=sys.stderr)
    return 0


def describe(session: Any, shapes: dict[str, tuple[int, ...]] | None) -> dict[str, Any]:
    """What is printed, as plain values; without a plan where `shapes` is None."""
    meta = session.get_modelmeta()
    description: dict[str, Any] = {
        "graph": meta.graph_name,
        "producer": meta.producer_name,
        "metadata": dict(meta.custom_metadata_map),
        "inputs": [_tensor(tensor) for tensor in session.get_inputs()],
        "outputs": [_tensor(tensor) for tensor in session.get_outputs()],
    }
    if shapes is None:
        return description
    steps = [{field: getattr(step, field) for field in STEP_FIELDS} for step in session.plan]
    description["shapes"] = {name: list(shape) for name, shape in shapes.items()}
    description["memory"] = {field: getattr(session.memory, field) for field in MEMORY_FIELDS}
    description["plan"] = steps
    description["not_native"] = sorted({step.operator for step in session.plan if step.is_reference})
    return description


def _tensor(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "type": tensor.type, "shape": tensor.shape}


def print_description(description: dict[str, Any]) -> None:
    print(f"graph '{description['graph']}' by {description['producer'] or 'an unnamed producer'}")
    for kind in ("input", "output"):
        for tensor in description[f"{kind}s"]:
            print(f"  {kind:6} {tensor['name']}  {tensor['type']} {format_shape(tensor['shape'])}")
    for name, value in description["metadata"].items():
        print(f"  {name}: {value if len(value) < 100 else value[:97] + '...'}")
    if "plan" not in description:
        return
    chosen = ", ".join(f"{name} {format_shape(shape)}" for name, shape in description["shapes"].items())
    print(f"\nplan for {chosen}")
    rows = [
        [
            number,
            step["operator"],
            step["name"],
            "x".join(map(str, step["output_shape"])) if step["output_shape"] is not None else "?",
            format_count(step["macs"]) if step["macs"] else "",
            step["kernel"],
            "; ".join(part for part in (step["lowering"], step["note"]) if part),
            format_bytes(step["weight_bytes"]) if step["weight_bytes"] else "",
            format_bytes(step["arena_bytes"]) if step["arena_bytes"] else "",
        ]
        for number, step in enumerate(description["plan"])
    ]
    print_table(("", "operator", "name", "output", "MACs", "kernel", "how", "weights", "arena"), rows, (0, 4, 7, 8))
    macs = sum(step["macs"] for step in description["plan"])
    print(f"\n{len(rows)} steps, {format_count(macs)} multiply-accumulates")
    sizes = ", ".join(f"{field} {format_bytes(size)}" for field, size in description["memory"].items())
    print(f"memory: {sizes}")
    if description["not_native"]:
        print(f"not native, run by onnx.reference (slow): {', '.join(description['not_native'])}")
    else:
        print("every operator is native")
