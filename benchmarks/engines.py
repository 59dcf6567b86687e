"""The engines that are measured, each behind the same three calls: `open_engine`, then `.run()` as often as wanted.

All run float32 on the given number of threads, with the settings that their own manuals recommend for latency. Where
an engine can be spared copies of inputs and outputs, it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Feeds = dict[str, np.ndarray]
Runner = Callable[[], list[np.ndarray]]


def open_conv_infer(path: str, feeds: Feeds, threads: int) -> Runner:
    import conv_infer

    session = conv_infer.load(path, threads=threads)
    return lambda: session.run(None, feeds)


def open_onnxruntime(path: str, feeds: Feeds, threads: int) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feeds)


def open_openvino(path: str, feeds: Feeds, threads: int) -> Runner:
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    if model.is_dynamic():
        model.reshape({name: list(array.shape) for name, array in feeds.items()})
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(model, "CPU", settings)
    names = [output.get_any_name() for output in compiled.outputs]

    def run() -> list[np.ndarray]:
        results: Any = compiled(feeds, share_inputs=True, share_outputs=True)
        return [results[name] for name in names]

    return run


def open_nothing(path: str, feeds: Feeds, threads: int) -> Runner:
    """What a process costs that has imported NumPy and read the inputs: memory is counted from there."""
    return lambda: []


ENGINES: dict[str, Callable[[str, Feeds, int], Runner]] = {
    "conv_infer": open_conv_infer,
    "onnxruntime": open_onnxruntime,
    "openvino": open_openvino,
}
BASELINE = "nothing"
MODULES = {"conv_infer": "conv_infer", "onnxruntime": "onnxruntime", "openvino": "openvino"}


def import_engine(name: str) -> None:
    """The import that a user of the engine pays for."""
    if name != BASELINE:
        __import__(MODULES[name])


def open_engine(name: str, path: str, feeds: Feeds, threads: int) -> Runner:
    """Loads the model at `path`; the answer runs it once on `feeds` and returns the outputs in the model's order."""
    return (open_nothing if name == BASELINE else ENGINES[name])(path, feeds, threads)
