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


def path_of(model: str, level: str, feeds: dict[str, np.ndarray]) -> Path:
    """Where the outputs are for a model (its digest), a level of optimisation and inputs."""
    key = hashlib.sha256(f"{model} {level}".encode())
    for name in sorted(feeds):
        array = np.asarray(feeds[name])
        key.update(f"{name} {array.dtype} {array.shape}".encode())
        key.update(array.tobytes())
    return folder() / f"{key.hexdigest()[:32]}.npz"


def outputs_path(model: str) -> Path:
    """Where the names, types and shapes of a model's outputs are."""
    return folder() / f"{model[:32]}.json"


def pytest_configure(config: object) -> None:
    import onnxruntime

    folder().mkdir(parents=True, exist_ok=True)
    real = onnxruntime.InferenceSession

    class Recording(real):
        def __init__(self, model: object, sess_options: object = None, **options: object) -> None:
            super().__init__(model, sess_options, **options)
            self._digest = digest_of_model(model)
            self._level = str(getattr(sess_options, "graph_optimization_level", "default")).rpartition(".")[2]
            described = [(output.name, output.type, output.shape) for output in self.get_outputs()]
            outputs_path(self._digest).write_text(json.dumps(described))

        def run(self, names: list[str] | None, feeds: dict[str, np.ndarray], *options: object) -> list[np.ndarray]:
            outputs = super().run(names, feeds, *options)
            if names is None and all(isinstance(output, np.ndarray) for output in outputs):
                np.savez(path_of(self._digest, self._level, feeds), *outputs)
            return outputs

    onnxruntime.InferenceSession = Recording
