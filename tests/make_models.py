"""Small models for tests, made by onnx.helper."""

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from conv_infer.graph import Graph
from conv_infer.importer import read_model


def make_model(nodes, inputs, outputs, initializers=(), opset=18, domains=()) -> ModelProto:
    """A model of these nodes; inputs are (name, element type, shape), outputs names, other domains of version 1."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(*declared) for declared in inputs],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(initializers).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def make_graph(*args, **kwargs) -> Graph:
    """The same, as the importer reads it."""
    return read_model(make_model(*args, **kwargs).SerializeToString()).graph


def one_node(op, inputs, attrs=None, opset=18, outputs=1, constants=(), domain="") -> ModelProto:
    """A model of one node that reads `inputs` (arrays by name, "" left out); those in `constants` are initializers."""
    names = [f"y{index}" for index in range(outputs)]
    declared = [
        (name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
        if name.strip() and name not in constants
    ]
    # A second input that is left out needs a key of its own: blanks stand for "".
    node = helper.make_node(op, [name.strip() for name in inputs], names, domain=domain, **(attrs or {}))
    domains = [domain] if domain else []
    return make_model([node], declared, names, {name: inputs[name] for name in constants}, opset, domains)
