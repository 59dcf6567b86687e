"""Tables that are rounded straight lines, found and given to the convolution before them."""

import numpy as np
import pytest
from planned_reference_quantised import evaluate

from conv_infer.graph import INTERNAL, Graph, Node, TensorType
from conv_infer.passes.fuse_requantisations import fuse_requantisations, line_through

U8 = np.dtype(np.uint8)
PLACES = np.arange(256)


def requantisation(rng):
    """The table of a requantisation, now and then with a ReLU."""
    ratio = np.float32(rng.uniform(0.05, 4))
    zero, new_zero = rng.integers(0, 256, 2)
    least = rng.choice([0, new_zero])
    return np.clip(np.rint((PLACES - zero).astype(np.float32) * ratio) + new_zero, least, 255).astype(np.uint8)


def test_lines_give_their_tables_in_float32():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        table = requantisation(rng)
        line = line_through(table)
        if line is None:
            continue
        found += 1
        for rounded in (np.float32, np.float64):  # multiplied and added, and as if fused
            values = PLACES.astype(rounded) * rounded(line[0]) + rounded(line[1])
            assert np.array_equal(np.clip(np.rint(values), table[0], table[-1]), table)
    assert found > 200


@pytest.mark.parametrize(
    "table",
    [
        np.rint(255 / (1 + np.exp(-(PLACES - 128) / 32))),  # a sigmoid
        np.rint(PLACES / 2),  # halves go to the even level
        255 - PLACES,
        np.where(PLACES < 128, 3, 4),  # a step
        np.full(256, 7),
    ],
)
def test_what_is_no_line(table):
    assert line_through(table.astype(np.uint8)) is None


def graph_of(table, groups=1, output="z"):
    attrs = {
        "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": groups, "input_channels": None,
        "x_zero_point": 9, "w_zero_point": 0, "scale": np.full(4, 0.02, np.float32), "y_zero_point": 40, "lo": 0,
        "hi": 255, "raw": False, "add": None,
    }  # fmt: skip
    w = np.random.default_rng(1).integers(-128, 128, (4, 1, 1, 4 // groups), np.int8)
    types = {name: TensorType(U8, (1, 5, 5, 4)) for name in "xyz"} | {"w": TensorType(w.dtype, w.shape)}
    nodes = [
        Node("QConv", ["x", "w", "", ""], ["y"], attrs, domain=INTERNAL),
        Node("QLookup", ["y"], ["z"], {"table": table}, domain=INTERNAL),
    ]
    return Graph(nodes, ["x"], ["z"] if output == "z" else ["y", "z"], types, {"w": w}, {"": 13})


def test_the_convolution_applies_the_line():
    rng = np.random.default_rng(3)
    table = np.clip(np.rint((PLACES - 40) * np.float32(0.73)) + 11, 11, 255).astype(np.uint8)
    before = graph_of(table)
    after = fuse_requantisations(before)
    assert [node.op for node in after.nodes] == ["QConv"]
    x = rng.integers(0, 256, (1, 5, 5, 4), np.uint8)
    inputs = (x, before.constants["w"], None, None)
    level = evaluate(before.nodes[0], inputs, (1, 5, 5, 4), U8)
    assert np.array_equal(evaluate(after.nodes[0], inputs, (1, 5, 5, 4), U8), table[level])


@pytest.mark.parametrize("options", [{"groups": 4}, {"output": "both"}])
def test_depthwise_convolutions_and_shared_results_keep_their_tables(options):
    table = np.clip(np.rint((PLACES - 40) * np.float32(0.73)) + 11, 11, 255).astype(np.uint8)
    assert len(fuse_requantisations(graph_of(table, **options)).nodes) == 2
