"""Shows how a convolution of a model is lowered to matrix products: what every form would take, the first patches, and
the reusable buffer step by step, drawn in the terminal or as a picture. Without LAYER it lists the convolutions.

The drawing shows strips of one output column; plans may lower several at once, or read in place.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .cli_common import (
    add_model_arguments,
    add_shape_argument,
    choose_shapes,
    format_bytes,
    format_count,
    is_open,
    load_session,
    print_table,
)
from .errors import InputError

EXAMPLES = """examples:
  conv-infer explain models/digits.onnx
  conv-infer explain models/digits.onnx stem.conv_conv
  conv-infer explain model.onnx 3 --svg layer.svg --shape image=1,3,224,224
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("layer", metavar="LAYER", nargs="?", help="a convolution's name, part of it, or its number")
    add_shape_argument(parser)
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw the layer as a picture, too")


def execute(options: argparse.Namespace) -> int:
    if options.svg and options.layer is None:
        raise InputError("--svg draws one layer: say which, after the model")
    session = load_session(options)
    shapes = choose_shapes(session, options.shape)
    if is_open(session):
        session.prepare(shapes)
    layers = convolutions(options.model, shapes)
    chosen = {step.name: step.lowering or step.kernel for step in session.plan}
    if not layers:
        raise InputError("the model has no convolution")
    if options.layer is None:
        print_layers(layers, chosen)
        return 0
    layer = find(layers, options.layer)
    explain(layer, chosen.get(layer.name, "together with its neighbours, in one step"))
    if options.svg:
        from .explain import svg_picture

        svg_picture(layer).save(options.svg)
    return 0


def convolutions(path: str, shapes: dict[str, tuple[int, ...]]) -> list[Any]:
    """The network's convolutions, after the passes and before the planner."""
    from .explain import Layer
    from .graph import INTERNAL
    from .importer import read_model
    from .passes import run_passes
    from .specialise import specialise

    graph = run_passes(specialise(read_model(path).graph, shapes))
    layers = []
    for node in graph.nodes:
        if node.domain != INTERNAL or node.op not in ("Conv", "QConv"):
            continue
        shape, (columns, kh, kw, depth) = graph.shape(node.inputs[0]), graph.shape(node.inputs[1])
        planar = node.attrs.get("input_layout", "NHWC") == "NCHW"
        layers.append(
            Layer(
                name=node.label,
                size=tuple(shape[2:4] if planar else shape[1:3]),
                channels=depth * node.attrs["groups"],
                columns=columns,
                kernel=(kh, kw),
                strides=tuple(node.attrs["strides"]),
                dilations=tuple(node.attrs["dilations"]),
                pads=tuple(node.attrs["pads"]),
                groups=node.attrs["groups"],
                dtype="float32" if node.op == "Conv" else "int8",
            )
        )
    return layers


def find(layers: list[Any], wanted: str) -> Any:
    named = [layer for layer in layers if layer.name == wanted]
    if not named and wanted.isascii() and wanted.isdigit() and int(wanted) < len(layers):
        named = [layers[int(wanted)]]
    named = named or [layer for layer in layers if wanted in layer.name]
    if len(named) == 1:
        return named[0]
    names = ", ".join(layer.name for layer in named or layers)
    problem = "fits several convolutions" if named else "is no convolution's name, part of one, or number"
    raise InputError(f"LAYER: '{wanted}' {problem}: {names}")


def print_layers(layers: list[Any], chosen: dict[str, str]) -> None:
    rows = [
        (
            number,
            layer.name,
            "x".join(map(str, (*layer.size, layer.channels))),
            "x".join(map(str, layer.kernel)),
            "x".join(map(str, layer.strides)),
            layer.groups,
            "x".join(map(str, (*layer.output, layer.columns))),
            chosen.get(layer.name, "together with its neighbours, in one step"),
        )
        for number, layer in enumerate(layers)
    ]
    print_table(("", "convolution", "input", "kernel", "stride", "groups", "output", "lowered"), rows, (0, 5))


def explain(layer: Any, how: str) -> None:
    from .explain import describe, text_patches, text_picture

    print(layer.name)
    for line in describe(layer):
        print(f"  {line}")
    print(f"  in this plan: {how}\n")
    size = layer.size[0] * layer.size[1] * layer.depth
    rows = []
    for entry in layer.report():
        gemm = entry.gemm
        share = f"{entry.buffer_elems / size:.2f}" if entry.form != "indirect" else ""
        rows.append(
            (
                entry.form,
                format_bytes(entry.buffer_bytes) if entry.buffer_bytes else "none",
                share if entry.buffer_bytes else "",
                format_count(entry.copied_elems),
                f"{gemm.count} of {gemm.M} rows",
                gemm.lda if gemm.lda else "any",
                f"{entry.predicted_ns / 1000:.1f}",
            )
        )
    headings = ("form", "buffer", "of the input", "copied", "products", "apart", "predicted us")
    print_table(headings, rows, (1, 2, 3, 5, 6))
    if layer.is_depthwise or layer.is_pointwise:
        return
    print("\nim2row:")
    for line in text_patches(layer):
        print(f"  {line}")
    print("\nthe reusable buffer:")
    for line in text_picture(layer):
        print(f"  {line}".rstrip())
