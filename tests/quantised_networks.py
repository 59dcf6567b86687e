"""Quantised networks for tests: those of others, and the zoo as onnxruntime's quantiser writes it."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx

from models import zoo
from models.quantise import quantise

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


@functools.cache
def quantised_zoo(name: str, form: str, activations: str) -> onnx.ModelProto:
    """A network of the zoo for any batch of small images, quantised per channel: see models/quantise.py."""
    model = zoo.build(name, batch="N", size=SIZES.get(name, SMALL))
    return quantise(model, [zoo_input(name)], form=form, activations=activations)


def zoo_input(name: str, batch: int = 1) -> dict[str, np.ndarray]:
    return {"input": zoo.sample_input(name, batch=batch, size=SIZES.get(name, SMALL))}
