"""Contradictions between a node and its operator's definition: errors that say what was found and expected."""

import numpy as np
import pytest
from make_models import make_graph, one_node
from onnx import TensorProto, helper

from conv_infer.errors import ModelError, UnsupportedError
from conv_infer.importer import read_model
from conv_infer.specialise import specialise


def f32(*shape):
    return np.zeros(shape, np.float32)


def f16(*shape):
    return np.zeros(shape, np.float16)


def i64(*values):
    return np.array(values, np.int64)


def u8(*shape):
    return np.zeros(shape, np.uint8)


X = f32(1, 6, 8, 8)
W = f32(4, 6, 3, 3)
QUANTISED = {
    "x": u8(1, 4, 5, 5), "xs": np.float32(0.1), "xz": u8(), "w": u8(2, 4, 3, 3), "ws": np.float32(0.1), "wz": u8(),
    "ys": np.float32(0.1), "yz": u8(),
}  # fmt: skip

# (operator, opset, inputs, attributes, what the message says)
CASES = [
    # Convolution
    ("Conv", 11, {"x": X, "w": W}, {"group": 0}, "attribute 'group' is 0; at least 1"),
    ("Conv", 11, {"x": X, "w": W}, {"group": 4}, "'x' .1x6x8x8. has 6 channels; .*'w' .* in 4 groups expects 24"),
    ("Conv", 11, {"x": X, "w": f32(4, 5, 3, 3)}, {}, "has 6 channels.* expects 5"),
    ("Conv", 11, {"x": X, "w": f32(4, 3, 3, 3)}, {"group": 2, "pads": [1, 1]}, "'pads' is .1, 1.; 4 values"),
    ("Conv", 11, {"x": X, "w": f32(5, 3, 3, 3)}, {"group": 2}, "gives 5 channels, which 2 groups do not divide"),
    ("Conv", 11, {"x": X, "w": f32(4, 6, 3)}, {}, "same number of dimensions"),
    ("Conv", 11, {"x": f32(1, 6), "w": f32(4, 6)}, {}, "3 or more"),
    ("Conv", 11, {"x": X, "w": f32(4, 6, 9, 3)}, {}, "kernel 9x3 .* spans 9 .* axis 0; the padded input 'x' has 8"),
    ("Conv", 11, {"x": X, "w": W}, {"dilations": [4, 1]}, "spans 9 elements"),
    ("Conv", 11, {"x": X, "w": W}, {"strides": [0, 1]}, r"'strides' is \[0, 1\]; values of at least 1"),
    ("Conv", 11, {"x": X, "w": W}, {"strides": [1]}, "2 values are expected"),
    ("Conv", 11, {"x": X, "w": W}, {"dilations": [1, -1]}, "'dilations' is .*at least 1"),
    ("Conv", 11, {"x": X, "w": W}, {"pads": [0, 0, -1, 0]}, "'pads' is .*at least 0"),
    ("Conv", 11, {"x": X, "w": W}, {"kernel_shape": [3, 5]}, r"'kernel_shape' is \[3, 5\]; .*kernel 3x3"),
    ("Conv", 11, {"x": X, "w": W}, {"auto_pad": "SAME"}, "'auto_pad' is 'SAME'; one of NOTSET"),
    ("Conv", 11, {"x": X, "w": W, "b": f32(5)}, {}, "'b' .5. is the bias"),
    ("Conv", 11, {"x": X, "w": f32(4, 6, 0, 3)}, {}, "empty kernel"),
    ("Conv", 11, {"x": X, "w": f16(4, 6, 3, 3)}, {}, "'w' is float16; float32 is expected"),
    ("Conv", 11, {"x": X.astype(np.int32), "w": W}, {}, "'x' is int32; a floating-point type"),
    ("Conv", 11, {"x": X}, {}, "it has 1 inputs; the operator takes 2 to 3"),
    ("Conv", 11, {"": X, "w": W}, {}, "input 0 is left out"),
    ("Conv", 11, {"x": X, "w": W, "b": f32(4), "more": f32(4)}, {}, "it has 4 inputs; the operator takes 2 to 3"),
    ("Conv", 11, {"x": X, "w": W}, {"stride": [2, 2]}, "attribute 'stride' is unknown; the operator has auto_pad"),
    ("Conv", 11, {"x": X, "w": W}, {"group": 1.0}, "'group' is 1.0; an integer"),
    ("Conv", 11, {"x": X, "w": W}, {"strides": 2}, "'strides' is 2; a list of integers"),
    ("ConvTranspose", 11, {"x": X, "w": f32(5, 4, 3, 3)}, {}, "has 6 channels; .* expects 5"),
    ("ConvTranspose", 11, {"x": X, "w": f32(6, 4, 3, 3)}, {"group": 4}, "'group' is 4, which does not divide"),
    ("ConvTranspose", 11, {"x": X, "w": f32(6, 4, 3, 3)}, {"output_padding": [-1, 0]}, "at least 0"),
    ("ConvTranspose", 11, {"x": X, "w": f32(6, 4, 3, 3)}, {"pads": [9, 9, 9, 9]}, "would be -8x-8"),
    ("ConvTranspose", 11, {"x": X, "w": f32(6, 4, 3, 3)}, {"output_shape": [0, 5]}, "would be 0x5"),
    ("ConvTranspose", 11, {"x": X, "w": f32(6, 4, 3, 3)}, {"output_shape": [5]}, "2 values are expected"),
    # Pooling
    ("MaxPool", 12, {"x": X}, {}, "'kernel_shape' is None; 2 values"),
    ("MaxPool", 12, {"x": X}, {"kernel_shape": [0, 2]}, "2 values of at least 1"),
    ("MaxPool", 12, {"x": X}, {"kernel_shape": [9, 2]}, "the padded input 'x' has 8"),
    ("MaxPool", 12, {"x": X}, {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}, "would see padding only"),
    ("MaxPool", 8, {"x": X}, {"kernel_shape": [2, 2], "ceil_mode": 1}, "'ceil_mode' does not exist in opset 8"),
    ("AveragePool", 11, {"x": f32(4, 4)}, {"kernel_shape": [2]}, "3 or more"),
    ("GlobalAveragePool", 11, {"x": f32(4)}, {}, "2 or more"),
    # Element by element
    ("Add", 14, {"a": f32(2, 3), "b": f32(2)}, {}, "'b' .2. does not broadcast against the shape 2x3"),
    ("Add", 14, {"a": f32(2), "b": np.zeros(2)}, {}, "'b' is float64; float32 is expected"),
    ("Add", 14, {"a": f32(2, 3), "b": f32(2)}, {"axis": 0, "broadcast": 1}, "does not exist in opset 14"),
    ("Add", 6, {"a": f32(2, 3), "b": f32(3)}, {}, "'broadcast' is not set"),
    ("Add", 6, {"a": f32(2, 3), "b": f32(3)}, {"axis": 1, "broadcast": 1, "more": 1}, "'more' is unknown"),
    ("Add", 6, {"a": f32(2, 3), "b": f32(3, 1)}, {"axis": 1, "broadcast": 1}, "does not fit .* from axis 1 on"),
    ("PRelu", 16, {"x": f32(2, 3), "s": f32(2, 2, 3)}, {}, "does not broadcast to input 'x'"),
    ("Clip", 11, {"x": f32(2), "low": f32(2)}, {}, "is a bound; a scalar"),
    ("Clip", 6, {"x": f32(2), "low": f32()}, {}, "input 1 .'low'. does not exist in opset 6"),
    ("Where", 16, {"c": f32(2), "a": f32(2), "b": f32(2)}, {}, "'c' is float32; bool"),
    # Matrix products
    ("MatMul", 13, {"a": f32(2, 3), "b": f32(2, 3)}, {}, "3 columns, 2 rows"),
    ("MatMul", 13, {"a": f32(2, 4, 3), "b": f32(3, 3, 4)}, {}, "batch dimensions differ"),
    ("MatMul", 13, {"a": f32(), "b": f32(2)}, {}, "scalars"),
    ("Gemm", 13, {"a": f32(2, 3), "b": f32(3, 4), "c": f32(3)}, {}, "'c' .3. does not broadcast to 2x4"),
    ("Gemm", 13, {"a": f32(2, 3), "b": f32(3, 4)}, {"transB": 1}, "3 columns, 4 rows"),
    ("Gemm", 13, {"a": f32(2, 3, 1), "b": f32(3, 4)}, {}, "must be matrices"),
    # Shapes
    ("Reshape", 13, {"x": f32(2, 3), "s": i64(4, -1)}, {}, "of 6 elements does not fit the shape"),
    ("Reshape", 13, {"x": f32(2, 3), "s": i64(-1, -1)}, {}, "-1 more than once"),
    ("Reshape", 13, {"x": f32(2, 3), "s": i64(2, -3)}, {}, "negative size"),
    ("Reshape", 13, {"x": f32(2, 3), "s": i64(2, 3, 0)}, {}, "copies size 2"),
    ("Reshape", 14, {"x": f32(0, 3), "s": i64(0, -1)}, {"allowzero": 1}, "'allowzero' forbids"),
    ("Reshape", 13, {"x": f32(2, 3), "s": i64(6).reshape(1, 1)}, {}, "integers are expected"),
    ("Reshape", 13, {"x": f32(2, 3), "s": f32(2)}, {}, "'s' is float32; int64"),
    ("Squeeze", 13, {"x": f32(2, 1), "axes": i64(0)}, {}, "has size 2 in dimension 0; only 1"),
    ("Squeeze", 13, {"x": f32(2, 1)}, {"axes": [1]}, "'axes' does not exist in opset 13"),
    ("Unsqueeze", 13, {"x": f32(2), "axes": i64(0, 0)}, {}, "name a dimension twice"),
    ("Unsqueeze", 11, {"x": f32(2)}, {}, "axes are missing"),
    ("Unsqueeze", 11, {"x": f32(2)}, {"axes": [3]}, "axis 3 is outside"),
    ("Transpose", 13, {"x": f32(2, 3)}, {"perm": [0, 0]}, "a permutation of 2 dimensions"),
    ("Flatten", 13, {"x": f32(2, 3)}, {"axis": 3}, "axis 3 is outside"),
    ("Expand", 13, {"x": f32(2, 3), "s": i64(2)}, {}, "does not broadcast to 2"),
    ("Tile", 13, {"x": f32(2, 3), "n": i64(2)}, {}, "one number of at least 0 per dimension"),
    ("Cast", 13, {"x": f32(2)}, {"to": 99}, "'to' is 99, which is no element type"),
    ("Cast", 13, {"x": f32(2)}, {}, "attribute 'to' is missing"),
    ("DepthToSpace", 13, {"x": X}, {"blocksize": 4}, "6 channels, no multiple of 4x4"),
    ("SpaceToDepth", 13, {"x": X}, {"blocksize": 3}, "no multiple of 3x3"),
    ("SpaceToDepth", 13, {"x": X}, {"blocksize": 0}, "at least 1"),
    # Joining, splitting, picking, padding
    ("Concat", 13, {"a": f32(2, 3), "b": f32(3, 3)}, {"axis": 1}, "'b' .3x3. does not match input 'a'"),
    ("Concat", 13, {"a": f32(2, 3), "b": f32(3)}, {"axis": 0}, "does not match"),
    ("Concat", 13, {"a": f32(2, 3)}, {"axis": 2}, "axis 2 is outside the 2 dimensions"),
    ("Concat", 13, {"a": f32(2, 3)}, {}, "attribute 'axis' is missing"),
    ("Split", 13, {"x": f32(5), "sizes": i64(4)}, {}, "do not divide dimension 0"),
    ("Split", 11, {"x": f32(5)}, {"split": [6, -1]}, "it has 1 outputs|do not divide"),
    ("Slice", 13, {"x": f32(5), "s": i64(0), "e": i64(1, 2)}, {}, "same length"),
    ("Slice", 13, {"x": f32(5), "s": i64(0), "e": i64(1), "a": i64(1)}, {}, "axis 1 is outside"),
    ("Slice", 13, {"x": f32(5), "s": i64(0), "e": i64(1), "a": i64(0), "t": i64(0)}, {}, "step of dimension 0 is 0"),
    ("Slice", 9, {"x": f32(5)}, {"starts": [0]}, "'starts' and 'ends' are required"),
    ("Gather", 13, {"x": f32(5), "i": i64(5)}, {}, "asks for elements 5 to 5 of dimension 0, which has 5"),
    ("Gather", 13, {"x": f32(5), "i": i64(-6)}, {}, "asks for elements -6"),
    ("Pad", 13, {"x": f32(5), "p": i64(-3, -3)}, {}, "take more than dimension 0"),
    ("Pad", 13, {"x": f32(5), "p": i64(5, 0)}, {"mode": "reflect"}, "more than mode 'reflect' finds"),
    ("Pad", 13, {"x": f32(5), "p": i64(1)}, {}, "2 values are expected"),
    ("Pad", 13, {"x": f32(5), "p": i64(1, 1)}, {"mode": "mirror"}, "'mode' is 'mirror'"),
    # Reductions
    ("ReduceMean", 13, {"x": f32(2, 3)}, {"axes": [2]}, "axis 2 is outside"),
    ("ReduceMean", 13, {"x": f32(2, 3)}, {"axes": [1, -1]}, "name a dimension twice"),
    ("ArgMax", 13, {"x": f32(2, 0)}, {"axis": 1}, "is empty in dimension 1"),
    ("TopK", 11, {"x": f32(2, 3), "k": i64(4)}, {}, "k is 4; .* has 3 in dimension 1"),
    ("Softmax", 13, {"x": f32(2, 3)}, {"axis": 2}, "axis 2 is outside"),
    # Normalisation
    ("BatchNormalization", 9, {"x": X, **{n: f32(5) for n in "sbmv"}}, {}, "'s' .5. must have the shape 6"),
    ("InstanceNormalization", 6, {"x": X, "s": f32(6), "b": f32(5)}, {}, "'b' .5. must have the shape 6"),
    ("LayerNormalization", 17, {"x": X, "s": f32(7)}, {}, "does not broadcast"),
    ("GroupNormalization", 21, {"x": X, "s": f32(6), "b": f32(6)}, {"num_groups": 4}, "does not divide"),
    ("LRN", 13, {"x": X}, {}, "attribute 'size' is missing"),
    # Resize
    ("Resize", 13, {"x": X, "": f32(0), "s": f32(3)}, {}, "4 values are expected"),
    ("Resize", 13, {"x": X, "": f32(0), "s": f32(4)}, {}, "positive numbers"),
    ("Resize", 13, {"x": X}, {}, "neither scales nor sizes"),
    ("Resize", 13, {"x": X, "": f32(0), " ": f32(0), "n": i64(1, 6, 0, 8)}, {}, "4 values of at least 1"),
    ("Upsample", 7, {"x": X}, {}, "'scales' is None"),
    ("Resize", 10, {"x": X}, {}, "the scales, is missing"),
    # Values
    ("Range", 11, {"a": i64(0)[0], "b": i64(5)[0], "d": i64(0)[0]}, {}, "delta. is 0"),
    ("OneHot", 11, {"i": i64(1), "d": i64(0), "v": f32(2)}, {}, "depth. is 0"),
    ("ConstantOfShape", 9, {"s": i64(2, -1)}, {}, "'y0' would have the shape 2x-1"),
    # Quantisation
    ("QuantizeLinear", 13, {"x": f32(2, 3), "s": np.float32(0)}, {}, "'s' is a scale of 0.0"),
    ("QuantizeLinear", 13, {"x": f32(2, 3), "s": np.float32("nan")}, {}, "a scale of nan"),
    ("QuantizeLinear", 13, {"x": f32(2, 3), "s": np.ones(2, np.float32)}, {}, "scalar or hold 3 scales"),
    ("QuantizeLinear", 13, {"x": f32(2, 3), "s": np.ones(3, np.float32)}, {"axis": 2}, "axis 2 is outside"),
    ("DequantizeLinear", 13, {"x": u8(2, 3), "s": np.ones(3, np.float32), "z": u8(2)}, {}, "'z' .2. is the zero point"),
    ("DequantizeLinear", 13, {"x": u8(2, 3), "s": np.float32(1), "z": np.int8(0)}, {}, "'z' is int8; uint8"),
    ("QLinearConv", 10, {**QUANTISED, "ws": np.array([1, -1], np.float32)}, {}, "'ws' is a scale of -1.0"),
    ("QLinearConv", 10, {**QUANTISED, "ws": np.ones(3, np.float32)}, {}, "a scalar or 2 values"),
    ("QLinearConv", 10, {**QUANTISED, "xz": u8(4)}, {}, "'xz' .4. is a scale or zero point; a scalar"),
    ("QLinearConv", 10, {**QUANTISED, "x": u8(1, 3, 5, 5)}, {}, "has 3 channels; .* expects 4"),
]


@pytest.mark.parametrize(
    ("op", "opset", "inputs", "attrs", "message"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)]
)
def test_contradictions(op, opset, inputs, attrs, message):
    # Everything but the first input is constant, so that shapes, axes and scales are known.
    constants = tuple(name for index, name in enumerate(inputs) if name.strip() and (index or op == "ConstantOfShape"))
    model = one_node(op, inputs, attrs, opset, constants=constants)
    graph = read_model(model.SerializeToString()).graph
    with pytest.raises(ModelError, match=rf"node 'y0' \({op}, opset {opset}\): .*({message})"):
        specialise(graph, {name: inputs[name].shape for name in graph.inputs})


@pytest.mark.parametrize(
    ("op", "inputs", "attrs"),
    [
        ("Expand", {"x": f32(1), "s": i64(2**16, 2**16)}, {}),
        ("Tile", {"x": f32(2, 2), "s": i64(2**20, 2**20)}, {}),
        ("ConstantOfShape", {"s": i64(2**62, 2**62, 2**62)}, {}),
        ("Pad", {"x": f32(2), "p": i64(2**40, 0)}, {}),
        ("Resize", {"x": f32(2), "": f32(0), "s": np.array([1e30], np.float32)}, {}),
        ("Range", {"a": np.float64(0), "b": np.float64(1e300), "d": np.float64(1)}, {}),
        ("OneHot", {"i": i64(1), "d": i64(2**50), "v": f32(2)}, {}),
        ("Conv", {"x": f32(1, 1, 1, 1), "w": f32(1, 1, 1, 1)}, {"pads": [2**27, 2**27, 0, 0]}),
        ("MatMul", {"a": f32(2**20, 0), "b": f32(0, 2**20)}, {}),
    ],
)
def test_results_too_large_are_refused_unmade(op, inputs, attrs):
    constants = tuple(name for name in inputs if name)
    graph = read_model(one_node(op, inputs, attrs, 13, constants=constants).SerializeToString()).graph
    with pytest.raises(UnsupportedError, match=rf"\({op}, opset 13\): output 'y0' would have .* at most 2147483647"):
        specialise(graph, {})


def test_unsupported_element_types_are_named():
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16, name="narrow")]
    graph = make_graph(nodes, [("x", TensorProto.FLOAT, [1])], ["y"])
    with pytest.raises(UnsupportedError, match=r"node 'narrow' \(Cast, opset 18\): .*bfloat16"):
        specialise(graph, {"x": (1,)})


def test_microsoft_operators_check_their_parameters():
    inputs = {"a": u8(2, 3), "as": np.float32(0.1), "az": u8(), "b": u8(2), "bs": np.float32(0.1), "bz": u8()}
    inputs.update({"ys": np.float32(0.1), "yz": u8()})
    model = one_node("QLinearAdd", inputs, domain="com.microsoft", constants=tuple(inputs)[1:])
    with pytest.raises(ModelError, match=r"com\.microsoft\.QLinearAdd, opset 1.: .*'b' .2. does not broadcast"):
        specialise(read_model(model.SerializeToString()).graph, {"a": (2, 3)})
