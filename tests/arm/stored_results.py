"""Results of onnxruntime kept in a folder, found again by what the model and its inputs are.

onnxruntime's wheel for Arm does not run under QEMU. So the tests run on x86 first, with this file as a plugin of pytest
(`-p stored_results`), which writes down what onnxruntime answers; on Arm `stand_in/onnxruntime.py` takes its place and
reads that. CONV_INFER_STORED_RESULTS names the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np


def folder() -> Path:
    return Path(os.environ["CONV_INFER_STORED_RESULTS"])


def digest_of_model(model: bytes | str | os.PathLike) -> str:
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    return hashlib.sha256(content).hexdigest()


def path_of(model: str, level: str, names: list[str] | None, feeds: dict[str, np.ndarray]) -> Path:
    """Where the outputs are for a model (its digest), a level of optimisation, names of outputs and inputs."""
    key = hashlib.sha256(f"{model} {level} {names}".encode())
    for name in sorted(feeds):
        array = np.asarray(feeds[name])
        key.update(f"{name} {array.dtype} {array.shape}".encode())
        key.update(array.tobytes())
    return folder() / f"{key.hexdigest()[:32]}.npz"


def description_path(model: str) -> Path:
    """Where the names, types and shapes of a model's inputs and outputs are, or why it was refused."""
    return folder() / f"{model[:32]}.json"


def pytest_configure(config: object) -> None:
    import onnxruntime

    folder().mkdir(parents=True, exist_ok=True)
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
