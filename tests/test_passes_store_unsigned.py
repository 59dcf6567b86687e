"""int8 tensors stored as unsigned bytes: the same levels in the end, and nothing in between for signed ones."""

import numpy as np
from onnx_builder import counts
from planned_reference import run_graph
from quantised_builder import INT8, UINT8, QuantisedNet

from conv_infer.graph import INTERNAL, Graph, Node, TensorType
from conv_infer.passes import PASSES, run_passes
from conv_infer.passes.store_unsigned import store_unsigned


def dtypes(graph):
    return {graph.types[name].dtype for node in graph.nodes for name in node.outputs}


def network(net):
    """Every operator on levels, from float32 to float32."""
    scale, zero = net.const(np.float32(0.05)), net.zero(INT8, -7)

    def again(x):
        return net.dq(net.q(x, scale, zero), scale, zero)

    x = again(net.input((1, 8, 10, 10)))
    w = net.dq(net.integers((8, 8, 3, 3)), net.scale(0.001, 0.002), net.zero(INT8, 0))
    y = again(net.op("Conv", x, w, pads=[1, 1, 1, 1]))
    y = again(net.op("Add", y, x))
    y = again(net.op("Mul", y, again(net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))))
    y = again(net.op("Concat", y, again(net.op("Tanh", x)), axis=1))
    y = net.op("Pad", net.op("MaxPool", y, kernel_shape=[2, 2]), net.const(np.array([0, 0, 1, 0, 0, 0, 0, 2])))
    y = again(net.op("Resize", again(y), "", net.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest"))
    mean = again(net.op("Mul", again(net.op("GlobalAveragePool", y)), net.const(20.0)))
    return y, again(net.op("Softmax", net.op("Flatten", mean), axis=-1))


def test_no_tensor_in_between_is_signed():
    net = QuantisedNet()
    y, probabilities = network(net)
    graph = run_passes(net.specialised(y, probabilities))
    found = counts(graph)
    assert dtypes(graph) == {UINT8, np.dtype(np.float32)}
    assert found["Quantize"] == 1 and found["Dequantize"] == 2
    before = net.specialised(y, probabilities)
    for apply in PASSES[: PASSES.index(store_unsigned)]:
        before = apply(before)
    wanted = run_graph(before, net.feeds, np.float32)
    for name, array in run_graph(graph, net.feeds, np.float32).items():
        assert len(np.unique(array)) > 1
        np.testing.assert_array_equal(array, wanted[name])


def test_inputs_and_outputs_stay_signed():
    net = QuantisedNet()
    x = net.levels((1, 4, 6, 6), INT8)
    pooled = net.op("MaxPool", x, kernel_shape=[2, 2])
    again = net.op("MaxPool", pooled, kernel_shape=[2, 2])
    graph = run_passes(net.specialised(pooled, again))
    assert graph.types[pooled].dtype == graph.types[again].dtype == INT8
    assert counts(graph)["QLookup"] == 3
    net.check_levels(pooled, again)


def test_other_operators_see_signed_tensors():
    """Cast is not told: it reads the levels as they are; an int8 tensor that Cast writes becomes unsigned behind it."""
    net = QuantisedNet()
    x = net.input((1, 4, 6, 6), np.int32)
    levels = net.op("MaxPool", net.op("Cast", x, to=3), kernel_shape=[2, 2])
    net.check_levels(net.op("Cast", levels, to=1), levels)


def test_padding_moves_with_the_levels():
    types = {
        "x": TensorType(INT8, (2, 3)),
        "y": TensorType(INT8, (2, 5)),
        "z": TensorType(np.dtype(np.float32), (2, 5)),
    }
    nodes = [
        Node("Pad", ["x"], ["y"], {"pads": (0, 1, 0, 1), "value": -3, "mode": "constant"}, domain=INTERNAL),
        Node("Dequantize", ["y"], ["z"], {"scale": np.float32(2), "zero_point": 1, "axis": None}, domain=INTERNAL),
    ]
    graph = Graph(nodes, ["x"], ["z"], types, {}, {})
    x = np.array([[-128, 0, 127], [1, 2, 3]], np.int8)
    changed = store_unsigned(graph)
    assert changed.types["y"].dtype == UINT8
    np.testing.assert_array_equal(run_graph(changed, {"x": x})["z"], run_graph(graph, {"x": x})["z"])


def test_unsigned_networks_are_left_alone():
    net = QuantisedNet()
    x = net.levels((1, 4, 6, 6), UINT8)
    graph = run_passes(net.specialised(net.op("MaxPool", x, kernel_shape=[2, 2])))
    assert store_unsigned(graph) is graph
