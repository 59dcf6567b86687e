"""Results of onnxruntime kept in a folder, found again by what the model and its inputs are.

onnxruntime's wheel for Arm does not run under QEMU. So the tests run on x86 first, with this file as a plugin of pytest
(`-p stored_results`), which writes down what onnxruntime answers; on Arm `stand_in/onnxruntime` takes its place and
reads that. CONV_INFER_STORED_RESULTS names the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

METADATA = [
    "producer_name",
    "graph_name",
    "domain",
    "description",
    "graph_description",
    "version",
    "custom_metadata_map",
]


def folder() -> Path:
    return Path(os.environ["CONV_INFER_STORED_RESULTS"])


def digest_of_model(model: bytes | str | os.PathLike) -> str:
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    return hashlib.sha256(content).hexdigest()


def path_of(model: str, level: str, names: list[str] | None, feeds: dict[str, np.ndarray]) -> Path:
    """Where the outputs are for a model (its digest), a level of optimisation, names of outputs and inputs."""
    key = hashlib.sha256(f"{model} {level} {names}".encode())
    _add(key, feeds)
    return folder() / f"{key.hexdigest()[:32]}.npz"


class Feeds:
    """Inputs to calibrate with, as the quantiser reads them, which may be read again."""

    def __init__(self, reader: Any) -> None:
        self.all = list(iter(reader.get_next, None))
        self._left = iter(self.all)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def quantised_path(model: str, reader: Feeds, options: dict[str, object]) -> Path:
    """Where the quantised form of a model (its digest) is."""
    told = sorted((name, getattr(value, "name", value)) for name, value in options.items())
    key = hashlib.sha256(f"{model} {told}".encode())
    for feeds in reader.all:
        _add(key, feeds)
    return folder() / f"{key.hexdigest()[:32]}.onnx"


def _add(key: Any, feeds: dict[str, np.ndarray]) -> None:
    for name in sorted(feeds):
        array = np.asarray(feeds[name])
        key.update(f"{name} {array.dtype} {array.shape}".encode())
        key.update(array.tobytes())


def description_path(model: str) -> Path:
    """Where a model's metadata and the names, types and shapes of its inputs and outputs are, or why it was refused."""
    return folder() / f"{model[:32]}.json"


def pytest_configure(config: object) -> None:
    folder().mkdir(parents=True, exist_ok=True)
    _record_sessions()
    _record_quantiser()


def _record_sessions() -> None:
    import onnxruntime

    real = onnxruntime.InferenceSession

    class Recording(real):
        def __init__(self, model: object, sess_options: object = None, **options: object) -> None:
            self._digest = digest_of_model(model)
            try:
                super().__init__(model, sess_options, **options)
            except Exception as error:  # onnxruntime raises a dozen types
                description_path(self._digest).write_text(json.dumps({"refused": str(error)}))
                raise
            self._level = str(getattr(sess_options, "graph_optimization_level", "default")).rpartition(".")[2]
            described = {
                kind: [(entry.name, entry.type, entry.shape) for entry in entries]
                for kind, entries in (("inputs", self.get_inputs()), ("outputs", self.get_outputs()))
            }
            meta = self.get_modelmeta()
            described["metadata"] = {name: getattr(meta, name) for name in METADATA}
            description_path(self._digest).write_text(json.dumps(described))

        def run(self, names: list[str] | None, feeds: dict[str, np.ndarray], *options: object) -> list[np.ndarray]:
            path = path_of(self._digest, self._level, names, feeds)
            try:
                outputs = super().run(names, feeds, *options)
            except Exception as error:
                path.with_suffix(".refused").write_text(str(error))
                raise
            if all(isinstance(output, np.ndarray) for output in outputs):
                np.savez(path, *outputs)
            return outputs

    onnxruntime.InferenceSession = Recording


def _record_quantiser() -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    fold, quantise = shape_inference.quant_pre_process, quantization.quantize_static
    digests: dict[str, str] = {}  # of the model before it was folded, by the name of the file that it was folded into

    def folding(source: str, folded: str, **options: object) -> None:
        fold(source, folded, **options)
        digests[folded] = digest_of_model(source)

    def recording(source: str, result: str, reader: object, **options: object) -> None:
        feeds = Feeds(reader)
        quantise(source, result, feeds, **options)
        shutil.copy(result, quantised_path(digests[source], feeds, options))

    shape_inference.quant_pre_process, quantization.quantize_static = folding, recording
