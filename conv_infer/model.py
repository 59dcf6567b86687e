"""What the importer returns: a model's graph and what the file says about itself."""

from __future__ import annotations

import numpy as np

from .element_types import type_string
from .graph import Dim, Graph
from .source import Source


class ValueInfo:
    """A declared input or output.

    `shape` lists sizes: int where fixed, str where the model names a symbol, None where unknown; it is None where the
    model does not even tell the rank. `dtype` is None for an output whose type the model leaves out.
    """

    __slots__ = ("dtype", "name", "shape")

    def __init__(self, name: str, dtype: np.dtype | None, shape: list[Dim] | None):
        self.name = name
        self.dtype = dtype
        self.shape = shape

    @property
    def type(self) -> str:
        """The type as onnxruntime writes it: "tensor(float)"."""
        return "" if self.dtype is None else type_string(self.dtype)

    def __repr__(self) -> str:
        return f"ValueInfo(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"


UNKNOWN_VERSION = 2**63 - 1  # of a model that does not say; onnxruntime's number


class Model:
    """An imported model.

    `inputs` are the graph's inputs without those that an initializer fills. `source` holds the bytes, and lets go of
    mapped weights.
    """

    __slots__ = (
        "doc",
        "domain",
        "graph",
        "graph_doc",
        "inputs",
        "ir_version",
        "metadata",
        "opsets",
        "outputs",
        "producer_name",
        "producer_version",
        "source",
        "version",
    )

    def __init__(self, source: Source):
        self.source = source
        self.graph: Graph
        self.inputs: list[ValueInfo] = []
        self.outputs: list[ValueInfo] = []
        self.ir_version = 0
        self.opsets: dict[str, int] = {}
        self.metadata: dict[str, str] = {}
        self.producer_name = ""
        self.producer_version = ""
        self.domain = ""
        self.version = UNKNOWN_VERSION
        self.doc = ""
        self.graph_doc = ""
