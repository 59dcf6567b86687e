"""Runs ONNX convolutional networks on CPUs: small, exact, fast on grouped, depthwise and shuffle networks.

    >>> import conv_infer
    >>> outputs = conv_infer.run("model.onnx", image)          # dict: output name -> array
    >>> session = conv_infer.load("model.onnx", threads=2)     # onnxruntime's surface
    >>> session.run(None, {"input": image})

How a model becomes numbers, each room knowing only the next:

    bytes -> importer -> Graph -> passes -> Graph -> planner -> Program -> session.run -> arrays
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .errors import ConvInferError, InputError, MemoryLimitError, ModelError, UnsupportedError
from .threads import load_compiled_module

if TYPE_CHECKING:
    import numpy as np

    from .session import Session

__version__ = "0.1.0"

load_compiled_module()


def load(model: Any, *, threads: int | None = None, max_memory: int | None = None, strict: bool = False) -> Session:
    """Loads a network. See `conv_infer.session.Session`, which it returns, for the arguments and errors."""
    from .session import Session

    return Session(model, threads=threads, max_memory=max_memory, strict=strict)


def run(
    model: Any, inputs: Any, *, threads: int | None = None, max_memory: int | None = None, strict: bool = False
) -> dict[str, np.ndarray]:
    """Loads a network, runs it once and returns its outputs by name.

    `model` is a path, bytes or a ModelProto; `inputs` an array (where there is one input), a list in the model's order,
    or a dict by name. The other arguments and the errors are those of `load`.
    """
    session = load(model, threads=threads, max_memory=max_memory, strict=strict)
    names = [entry.name for entry in session.get_inputs()]
    if not isinstance(inputs, dict):
        values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(values) != len(names):
            raise InputError(f"the network has {len(names)} inputs ({', '.join(names)}), got {len(values)}")
        inputs = dict(zip(names, values, strict=True))
    outputs = [entry.name for entry in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, inputs), strict=True))


def cpu() -> dict[str, object]:
    """Instruction sets: `built` into the library, `present` in this CPU, `allowed` (by CONV_INFER_ISA), `chosen`."""
    from .isa import describe

    return describe()


def get_include() -> str:
    """The folder of the C headers, for `cc -I`."""
    return os.path.join(os.path.dirname(__file__), "include")


def get_library() -> str:
    """The static C library, which needs no Python: `cc program.c -I<get_include()> <get_library()> -fopenmp -lm`."""
    name = "conv_infer.lib" if os.name == "nt" else "libconv_infer.a"
    return os.path.join(os.path.dirname(__file__), name)


__all__ = [
    "ConvInferError",
    "InputError",
    "MemoryLimitError",
    "ModelError",
    "UnsupportedError",
    "cpu",
    "get_include",
    "get_library",
    "load",
    "run",
]
