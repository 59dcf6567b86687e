"""Runs a model on an image (PNG, JPEG), arrays (.npy, .npz) or an ONNX tensor (.pb) and prints what it says.

Outputs that score classes are shown as the best few, with labels where the model's metadata (`labels`, a JSON list) or
--labels give them; of other outputs shape and range are shown. An .npz feeds the inputs its arrays are named after.
"""

from __future__ import annotations

import argparse
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .cli_common import add_model_arguments, format_shape, load_session, positive, print_json
from .errors import InputError
from .feeds import add_preprocessing_arguments, read_feeds

EXAMPLES = """examples:
  conv-infer run models/digits.onnx models/digits/3.png
  conv-infer run net.onnx cat.jpg --size 224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --labels names.txt
  conv-infer run net.onnx left=a.npy right=b.npy --output results.npz
"""
MAX_SHOWN = 20  # images of a batch whose scores are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="FILE, or NAME=FILE where there are several inputs")
    parser.add_argument("--labels", metavar="FILE", help="names of the classes: one a line, or a JSON list")
    parser.add_argument("--top", type=positive, default=5, metavar="N", help="classes to show (default: 5)")
    parser.add_argument("--output", metavar="FILE.npz", help="write all outputs, named as the model names them")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_preprocessing_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    session = load_session(options)
    labels = read_labels(options.labels, session.get_modelmeta().custom_metadata_map)
    feeds = read_feeds(session, options.inputs, options)
    start = time.perf_counter()
    names = [tensor.name for tensor in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, feeds), strict=True))
    milliseconds = (time.perf_counter() - start) * 1e3
    if options.output:
        write_npz(options.output, outputs)
    summaries = {name: summarise(np.asarray(array), labels, options.top) for name, array in outputs.items()}
    if options.json:
        print_json({"model": options.model, "milliseconds": milliseconds, "outputs": summaries})
    else:
        for name, summary in summaries.items():
            print_summary(name, summary)
    return 0


def read_labels(path: str | None, metadata: dict[str, str]) -> list[str]:
    """The labels in the file, else in the metadata, else none. Raises `InputError` where they cannot be read."""
    try:
        if path is not None:
            text = Path(path).read_text(encoding="utf-8")
            return _label_list(text) if text.lstrip().startswith("[") else text.splitlines()
        return _label_list(metadata["labels"]) if "labels" in metadata else []
    except ValueError as error:
        raise InputError(f"{path or 'the metadata'}: not a list of labels: {error}") from None


def _label_list(text: str) -> list[str]:
    labels = json.loads(text)
    if not isinstance(labels, list):
        raise ValueError("not a JSON list")
    return [str(label) for label in labels]


def summarise(array: np.ndarray, labels: list[str], top: int) -> dict[str, Any]:
    """Shape and type; for scores of classes the best of each image as `images`, otherwise the range."""
    summary: dict[str, Any] = {"shape": list(array.shape), "type": str(array.dtype)}
    if not np.issubdtype(array.dtype, np.number) or array.size == 0:
        return summary
    scores = as_scores(array)
    if scores is None:
        values = array.astype(np.float64)
        summary |= {"minimum": float(values.min()), "maximum": float(values.max()), "mean": float(values.mean())}
        return summary
    summary["probabilities"] = bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3))
    summary["images"] = []
    for row in scores:
        best = np.argsort(-row, kind="stable")[:top]
        summary["images"].append(
            [
                {
                    "class": int(index),
                    "label": labels[index] if index < len(labels) else None,
                    "score": float(row[index]),
                }
                for index in best
            ]
        )
    return summary


def as_scores(array: np.ndarray) -> np.ndarray | None:
    """[images, classes] where the array holds scores: float, two or more classes, and nothing else of size above 1."""
    if not np.issubdtype(array.dtype, np.floating) or array.ndim < 1:
        return None
    rows = array.reshape(1, -1) if array.ndim == 1 else array.reshape(array.shape[0], -1)
    one_axis = max(array.shape[1:], default=array.shape[0]) == rows.shape[1]
    return rows.astype(np.float64) if one_axis and rows.shape[1] >= 2 else None


def print_summary(name: str, summary: dict[str, Any]) -> None:
    print(f"{name} {format_shape(summary['shape'])} {summary['type']}")
    if "minimum" in summary:
        print(f"  from {summary['minimum']:.6g} to {summary['maximum']:.6g}, mean {summary['mean']:.6g}")
    images = summary.get("images", [])
    for number, best in enumerate(images[:MAX_SHOWN]):
        if len(images) > 1:
            print(f"  image {number}")
        for entry in best:
            score = f"{entry['score'] * 100:6.2f} %" if summary["probabilities"] else f"{entry['score']:10.4f}"
            label = f"class {entry['class']}" if entry["label"] is None else entry["label"]
            print(f"  {score}  {label}")
    if len(images) > MAX_SHOWN:
        print(f"  ... and {len(images) - MAX_SHOWN} more images; --json or --output gives all")


def write_npz(path: str, arrays: dict[str, np.ndarray]) -> None:
    """An .npz of exactly that path; unlike np.savez it takes any name for an array."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
