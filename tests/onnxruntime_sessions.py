"""Sessions of onnxruntime as tests open them: on the thread that calls.

By itself onnxruntime starts a thread for each core of the machine, also where a container grants only a few of them,
and these threads spin: there a suite that opens thousands of sessions would take hours.
"""

from __future__ import annotations

import onnxruntime


def open_session(model: bytes | str, optimised: bool = True) -> onnxruntime.InferenceSession:
    """With `optimised` onnxruntime may rewrite the graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what it refuses it also raises
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
