"""Quantises float32 models to int8 as onnxruntime's static quantiser does.

    python models/quantise.py MODEL.onnx INPUTS.npz OUTPUT.onnx --activations s8

needs onnxruntime (the test extra brings it). Weights become int8, per output channel; activations unsigned (u8) or
signed (s8) bytes, their ranges taken from what the model computes on the inputs: arrays by input name, or several
files of them.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx

ACTIVATIONS = {"u8": "QUInt8", "s8": "QInt8"}
FORMS = ("QDQ", "QOperator")


class _Inputs:
    """What the quantiser calls a calibration data reader."""

    def __init__(self, feeds: Iterable[dict[str, np.ndarray]]):
        self._left: Iterator[dict[str, np.ndarray]] = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def quantise(
    model: onnx.ModelProto, feeds: Iterable[dict[str, np.ndarray]], *, activations: str = "u8", form: str = "QDQ"
) -> onnx.ModelProto:
    """The model in int8: Quantize and Dequantize around float operators (QDQ), or operators on integers (QOperator).

    Batch normalisations are folded first. `feeds` are the inputs to calibrate with, arrays by input name. Metadata are
    kept.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, folded, result = (str(Path(folder) / name) for name in ("model", "folded", "quantised"))
            onnx.save(model, source)
            quant_pre_process(source, folded, skip_symbolic_shape=True)
            quantize_static(
                folded,
                result,
                _Inputs(feeds),
                quant_format=QuantFormat[form],
                activation_type=QuantType[ACTIVATIONS[activations]],
                weight_type=QuantType.QInt8,
                per_channel=True,
            )
            return onnx.load(result)
    finally:
        root.setLevel(level)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+", help=".npz files, each one set of inputs")
    parser.add_argument("output", type=Path)
    parser.add_argument("--activations", choices=ACTIVATIONS, default="u8")
    parser.add_argument("--form", choices=FORMS, default="QDQ")
    options = parser.parse_args(arguments)
    feeds = (dict(np.load(path)) for path in options.inputs)
    model = quantise(onnx.load(options.model), feeds, activations=options.activations, form=options.form)
    onnx.save(model, options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
