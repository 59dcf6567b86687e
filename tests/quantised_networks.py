"""Quantised networks for tests: those of others, and the zoo as onnxruntime's quantiser writes it."""

from __future__ import annotations

import functools
import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx

from models import zoo

SMALL = 64  # of the zoo's images, for the quantiser runs the network in float32
SIZES = {"alexnet": 131}  # those that need larger ones


def real_network(folder: Path) -> tuple[onnx.ModelProto, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(model, inputs, outputs that onnxruntime gave on a machine whose sums do not saturate)."""
    model = onnx.load(folder / "model.onnx")
    arrays = dict(np.load(folder / "inputs.npz"))
    initializers = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in initializers]
    feeds = {key: arrays[key] for key in names} if set(names) <= set(arrays) else dict(zip(names, arrays.values()))  # noqa: B905
    return model, feeds, dict(np.load(folder / "expected.npz"))


class _OneImage:
    def __init__(self, feeds):
        self.left = [feeds]

    def get_next(self):
        return self.left.pop() if self.left else None


@functools.cache
def quantised_zoo(name: str, form: str, activations: str) -> onnx.ModelProto:
    """A network of the zoo for any batch of small images, quantised per channel. `form` is QDQ or QOperator,
    `activations` QUInt8 or QInt8."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            original, result = Path(folder) / "model.onnx", Path(folder) / "quantised.onnx"
            onnx.save(zoo.build(name, batch="N", size=SIZES.get(name, SMALL)), original)
            quantize_static(
                original,
                result,
                _OneImage(zoo_input(name)),
                quant_format=QuantFormat[form],
                activation_type=QuantType[activations],
                weight_type=QuantType.QInt8,
                per_channel=True,
            )
            return onnx.load(result)
    finally:
        root.setLevel(level)


def zoo_input(name: str, batch: int = 1) -> dict[str, np.ndarray]:
    return {"input": zoo.sample_input(name, batch=batch, size=SIZES.get(name, SMALL))}
