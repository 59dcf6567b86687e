"""Dense blocks: a concatenation of what another one joins already."""

from onnx_builder import Net, counts, expected
from test_convolution_steps import assert_near

from conv_infer.session import Session


def concats(graph):
    return [node for node in graph.nodes if node.op == "Concat"]


def dense_block(net, layers=4):
    features = [net.conv(net.input((1, 3, 6, 6)), 3, 8)]
    for layer in range(layers):
        joined = net.op("Concat", *features, axis=1) if layer else features[0]
        features.append(net.conv(joined, 8 + 5 * layer, 5, 3))
    return net.op("Concat", *features, axis=1)


def test_every_layer_joins_one_more():
    net = Net()
    graph = net.check(net.conv(dense_block(net), 28, 6))
    assert [len(node.inputs) for node in concats(graph)] == [2, 2, 2, 2]


def test_nothing_is_copied():
    net = Net()
    y = net.conv(dense_block(net), 28, 6)
    model = net.model(y)
    session = Session(model, threads=1, strict=True)
    (wanted,) = expected(model, net.feeds).values()
    assert_near(session.run(None, net.feeds)[0], wanted)
    assert {step.note for step in session.plan if step.operator == "Concat"} == {"in place"}


def test_runs_within_and_others():
    net = Net()
    a, b, c, d = (net.conv(net.input((1, 3, 4, 4)), 3, 4 + index) for index in range(4))
    pair = net.op("Concat", b, c, axis=1)
    other = net.op("Concat", c, b, axis=1)
    whole = net.op("Concat", a, b, c, d, b, c, axis=1)
    graph = net.check(net.conv(pair, 11, 3), net.conv(other, 11, 3), net.conv(whole, 33, 3))
    assert sorted(len(node.inputs) for node in concats(graph)) == [2, 2, 4]


def test_other_axis_is_another_concatenation():
    net = Net()
    a, b, c = (net.conv(net.input((1, 3, 4, 4)), 3, 4) for _ in range(3))
    rows, channels = net.op("Concat", a, b, axis=2), net.op("Concat", a, b, c, axis=1)
    graph = net.check(net.conv(rows, 4, 3), net.conv(channels, 12, 3))
    assert counts(graph)["Concat"] == 2
    assert sorted(len(node.inputs) for node in concats(graph)) == [2, 3]
