"""Quantised graphs that contradict themselves, or ask for what is not supported, are refused when they are loaded."""

import numpy as np
import pytest
from make_models import make_model, one_node
from onnx import TensorProto, helper
from onnxruntime_exact import session as reference_session

import conv_infer
from conv_infer.errors import ConvInferError, InputError, ModelError, UnsupportedError
from conv_infer.importer import read_model
from conv_infer.specialise import specialise

SCALE, UZERO, SZERO = np.float32(0.1), np.uint8(3), np.int8(0)
MATRIX = np.ones((4, 3), np.int8)


def image(channels=3):
    return np.zeros((1, channels, 5, 5), np.uint8)


CONV = {
    "x": image(), "xs": SCALE, "xz": UZERO, "w": np.ones((2, 3, 3, 3), np.int8), "ws": np.full(2, SCALE),
    "wz": np.zeros(2, np.int8), "ys": SCALE, "yz": UZERO,
}  # fmt: skip
PRODUCT = {
    "x": np.zeros((2, 4), np.uint8), "xs": SCALE, "xz": UZERO, "w": MATRIX, "ws": SCALE, "wz": SZERO, "ys": SCALE,
    "yz": UZERO,
}  # fmt: skip
GEMM = {**{name: PRODUCT[name] for name in ("x", "xs", "xz", "w", "ws", "wz")}, "": SCALE, "ys": SCALE, "yz": UZERO}
UNARY = {"x": image(), "xs": SCALE, "xz": UZERO, "ys": SCALE, "yz": UZERO}
BINARY = {"a": image(), "as": SCALE, "az": UZERO, "b": image(), "bs": SCALE, "bz": UZERO, "ys": SCALE, "yz": UZERO}
JOIN = {"ys": SCALE, "yz": UZERO, "x": image(), "xs": SCALE, "xz": UZERO}
SCALES = [(0.0, "0.0"), (-1.0, "-1.0"), (float("nan"), "nan"), (float("inf"), "inf")]


def refused(op, inputs, attrs, opset=13, first=("x", "a")):
    domain = "" if op in ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger") else "com.microsoft"
    constants = tuple(name for name in inputs if name.strip() and name not in first)
    model = one_node(op, inputs, attrs, opset, constants=constants, domain=domain)
    graph = read_model(model.SerializeToString()).graph
    specialise(graph, {name: inputs[name].shape for name in graph.inputs})


NODES = [
    ("QLinearConv", CONV, {}),
    ("QLinearMatMul", PRODUCT, {}),
    ("QGemm", GEMM, {}),
    ("QLinearAdd", BINARY, {}),
    ("QLinearMul", BINARY, {}),
    ("QLinearConcat", JOIN, {"axis": 1}),
    ("QLinearLeakyRelu", UNARY, {}),
    ("QLinearSigmoid", UNARY, {}),
    ("QLinearSoftmax", UNARY, {"opset": 13}),
    ("QLinearGlobalAveragePool", UNARY, {}),
    ("QLinearAveragePool", UNARY, {"kernel_shape": [2, 2]}),
]


@pytest.mark.parametrize(("op", "inputs", "attrs"), NODES, ids=[op for op, _, _ in NODES])
def test_scales_are_positive_and_finite(op, inputs, attrs):
    refused(op, inputs, attrs)  # as it is it is not
    for name in (name for name in inputs if name.endswith("s")):
        for value, text in SCALES:
            scale = np.full(np.shape(inputs[name]), value, np.float32)
            with pytest.raises(ModelError, match=rf"{op}, .*input '{name}' is a scale of {text}; positive"):
                refused(op, {**inputs, name: scale}, attrs)


@pytest.mark.parametrize(("op", "x"), [("QuantizeLinear", np.float32), ("DequantizeLinear", np.uint8)])
def test_conversions(op, x):
    def refused_conversion(**changes):
        inputs = {"x": np.ones((2, 3), x), "s": np.full(3, SCALE), "z": np.zeros(3, np.uint8)}
        attrs = {"axis": changes.pop("axis", 1)}
        inputs.update(changes)
        model = one_node(op, inputs, attrs, 13, constants=("s", "z"))
        specialise(read_model(model.SerializeToString()).graph, {"x": (2, 3)})

    refused_conversion()
    refused_conversion(axis=-1)
    for value, text in SCALES:
        with pytest.raises(ModelError, match=rf"{op}, .*input 's' is a scale of {text}; positive"):
            refused_conversion(s=np.array([SCALE, value, SCALE], np.float32))
    for axis in (2, -3):
        with pytest.raises(ModelError, match=rf"{op}, .*axis {axis} is outside"):
            refused_conversion(axis=axis)
    with pytest.raises(ModelError, match=r"'s' \(3\) must be a scalar or hold 2 scales"):
        refused_conversion(axis=0)
    with pytest.raises(ModelError, match=r"'z' \(2\) is the zero point"):
        refused_conversion(z=np.zeros(2, np.uint8))
    if op == "DequantizeLinear":
        with pytest.raises(ModelError, match="'z' is int8; uint8"):
            refused_conversion(z=np.zeros(3, np.int8))


@pytest.mark.parametrize(("op", "inputs", "attrs"), NODES, ids=[op for op, _, _ in NODES])
def test_weights_and_parameters_that_are_computed(op, inputs, attrs):
    """onnx.reference runs ONNX's operators and the plan says why; it knows none of the others."""
    for computed in ("w", "xs", "ys"):
        if computed not in inputs or (op in ("QLinearAdd", "QLinearMul") and computed == "w"):
            continue
        domain = "" if op in ("QLinearConv", "QLinearMatMul") else "com.microsoft"
        fed = [name for name in ("x", "a", "b", computed) if name in inputs]
        constants = tuple(name for name in inputs if name.strip() and name not in fed)
        source = one_node(op, inputs, attrs, 13, constants=constants, domain=domain).SerializeToString()
        if domain:
            with pytest.raises(UnsupportedError, match=rf"{op}, .* computed.*onnx.reference does not know it"):
                conv_infer.load(source)
            continue
        with pytest.warns(UserWarning, match=op):
            session = conv_infer.load(source)
        (step,) = [step for step in session.plan if step.is_reference]
        assert step.operator == op and "computed" in step.note
        with pytest.raises(UnsupportedError, match=op):
            conv_infer.load(source, strict=True)


@pytest.mark.parametrize(("op", "inputs", "attrs"), NODES, ids=[op for op, _, _ in NODES])
def test_zero_points_have_the_type_and_number_of_what_they_belong_to(op, inputs, attrs):
    for name in (name for name in inputs if name.endswith("z")):
        for other in (np.int32(0), np.uint16(0), np.int8(0) if inputs[name].dtype == np.uint8 else np.uint8(0)):
            zero = np.full(np.shape(inputs[name]), other)
            try:
                refused(op, {**inputs, name: zero}, attrs)
            except ModelError as error:
                assert zero.dtype.name in str(error) and "expected" in str(error)
            else:
                # the zero point of a result says what type it is
                assert name == "yz" and zero.dtype == np.int8 and op in ("QLinearConv", "QLinearMatMul", "QGemm")
        with pytest.raises(ModelError, match=rf"input '{name}' \(7\)"):
            refused(op, {**inputs, name: np.full(7, inputs[name].reshape(-1)[0])}, attrs)


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "message"),
    [
        ("QLinearConv", {**CONV, "xs": np.float64(0.1)}, {}, "'xs' is float64; float32"),
        ("QLinearConv", {**CONV, "b": np.zeros(2, np.float32)}, {}, "'b' is float32; int32"),
        ("QLinearConv", {**CONV, "w": np.ones((2, 3, 3, 3), np.float32)}, {}, "'w' is float32; int8 or uint8"),
        ("QLinearConv", {**CONV, "ws": np.full(3, SCALE)}, {}, r"'ws' \(3\) is a scale or zero point; .* 2 values"),
        ("QLinearSoftmax", UNARY, {}, "'opset' is missing"),
        ("QLinearSoftmax", UNARY, {"opset": 13, "axis": 4}, "axis 4 is outside the 4 dimensions"),
        ("QLinearConcat", JOIN, {"axis": 4}, "axis 4"),
        ("QLinearConcat", {**JOIN, "more": image()}, {"axis": 1}, "6 inputs; 2 and then 3"),
        ("MatMulInteger", {"x": PRODUCT["x"], "w": MATRIX, "xz": UZERO, "wz": np.zeros(2, np.int8)}, {}, r"'wz' \(2\)"),
        ("ConvInteger", {"x": image(), "w": CONV["w"], "xz": np.zeros(3, np.uint8)}, {}, r"'xz' \(3\)"),
    ],
)
def test_contradictions(op, inputs, attrs, message):
    with pytest.raises(ModelError, match=rf"{op}, opset .*{message}"):
        refused(op, inputs, attrs)


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("ConvInteger", {"x": image(4096), "w": np.full((2, 4096, 3, 3), 127, np.int8)}),
        ("QLinearConv", {**CONV, "x": image(4096), "w": np.full((2, 4096, 3, 3), 127, np.int8)}),
        ("MatMulInteger", {"x": np.zeros((1, 2**17), np.uint8), "w": np.full((2**17, 1), 127, np.int8)}),
        ("QLinearMatMul", {**PRODUCT, "x": np.zeros((1, 2**17), np.uint8), "w": np.full((2**17, 1), 127, np.int8)}),
        ("QGemm", {**GEMM, "x": np.zeros((1, 2**17), np.uint8), "w": np.full((2**17, 1), 127, np.int8)}),
    ],
)
def test_sums_stay_within_int32(op, inputs):
    small = {**inputs, "w": np.sign(inputs["w"])}
    if op.startswith(("MatMul", "QLinearMatMul", "QGemm")):
        refused(op, small, {})
        with pytest.raises(UnsupportedError, match=rf"{op}, opset .*sums of 131072 products .*'w' .*int32"):
            refused(op, inputs, {})
        with pytest.raises(UnsupportedError, match="could reach 8522956800"):  # weights of which nothing is known
            refused(op, small, {}, first=("x", "w"))
    else:
        refused(op, inputs, {})  # 36864 products of weights of 127 do fit
        wide = np.concatenate([inputs["w"]] * 2, axis=1)
        with pytest.raises(UnsupportedError, match=rf"{op}, opset .*sums of 73728 products .*'w' .*int32"):
            refused(op, {**inputs, "x": image(8192), "w": wide}, {})


def narrow(kind, values):
    return helper.make_tensor("w", kind, (len(values),), values)


@pytest.mark.parametrize("name", ["INT4", "UINT4", "FLOAT8E4M3FN", "FLOAT8E5M2"])
def test_narrower_types_are_named(name):
    kind = getattr(TensorProto, name)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["d"], name="narrow"),
        helper.make_node("Add", ["x", "d"], ["y"]),
    ]
    model = make_model(nodes, [("x", TensorProto.FLOAT, [4])], ["y"], {"s": SCALE}, 21)
    model.graph.initializer.append(narrow(kind, [1, 2, 3, 4]))
    with pytest.raises(UnsupportedError, match=f"(?i)'narrow' .*'w' has element type {name}"):
        read_model(model.SerializeToString())


def test_results_of_narrower_types_are_named():
    nodes = [helper.make_node("QuantizeLinear", ["x", "s"], ["y"], name="narrow", output_dtype=TensorProto.INT4)]
    model = make_model(nodes, [("x", TensorProto.FLOAT, [4])], ["y"], {"s": SCALE}, 21)
    with pytest.raises(UnsupportedError, match=r"'narrow' .*int4"):
        specialise(read_model(model.SerializeToString()).graph, {"x": (4,)})


SCALED = [
    ("QuantizeLinear", {"x": np.ones((2, 3), np.float32), "xs": SCALE, "xz": UZERO}, ("xs",)),
    ("DequantizeLinear", {"x": np.zeros((2, 3), np.uint8), "xs": SCALE, "xz": UZERO}, ("xs",)),
    ("QLinearConv", CONV, ("xs", "ws", "ys")),
    ("QLinearMatMul", PRODUCT, ("xs", "ws", "ys")),
]


@pytest.mark.filterwarnings("ignore:.*no native implementation")
@pytest.mark.parametrize(("op", "inputs", "scales"), SCALED, ids=[op for op, _, _ in SCALED])
def test_scales_that_are_fed(op, inputs, scales):
    for name in scales:
        constants = tuple(other for other in inputs if other not in ("x", name))
        session = conv_infer.load(one_node(op, inputs, {}, 13, constants=constants).SerializeToString())
        feeds = {"x": inputs["x"], name: inputs[name]}
        session.run(None, feeds)
        for value, text in SCALES:
            feeds[name] = np.full_like(inputs[name], value)
            with pytest.raises(InputError, match=rf"input '{name}': .*{op}\) is given a scale of {text}; positive"):
                session.run(None, feeds)


@pytest.mark.filterwarnings("ignore:.*no native implementation")
def test_scales_that_are_computed():
    nodes = [
        helper.make_node("Abs", ["x"], ["s"]),
        helper.make_node("QuantizeLinear", ["y", "s", "z"], ["q"], name="quantise"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
    ]
    inputs = [("x", TensorProto.FLOAT, []), ("y", TensorProto.FLOAT, [2])]
    model = make_model(nodes, inputs, ["d"], {"z": UZERO})
    session = conv_infer.load(model.SerializeToString())
    feeds = {"x": np.float32(-0.5), "y": np.array([1, -1], np.float32)}
    np.testing.assert_array_equal(session.run(None, feeds)[0], feeds["y"])
    for value, text in ((0.0, "0.0"), (np.nan, "nan"), (-np.inf, "inf")):
        feeds["x"] = np.float32(value)
        with pytest.raises(
            ConvInferError, match=rf"'quantise' \(QuantizeLinear\): 's' was computed as a scale of {text}"
        ):
            session.run(None, feeds)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:onnx.reference")  # it divides by what it finds
@pytest.mark.filterwarnings("ignore:.*no native implementation")
@pytest.mark.parametrize("values", ["normal", "zero", "positive", "negative", "tiny", "huge", "nan", "infinite"])
@pytest.mark.parametrize("op", ["ConvInteger", "MatMulInteger"])
def test_dynamic_quantisation(op, values):
    """As onnxruntime's dynamic quantiser writes it: its bits, whatever the range."""
    rng = np.random.default_rng(0)
    shape = (1, 3, 8, 8) if op == "ConvInteger" else (5, 12)
    normal = rng.standard_normal(shape)
    with np.errstate(divide="ignore", over="ignore"):
        x = {
            "normal": normal, "zero": 0 * normal, "positive": np.abs(normal) + 1, "negative": -np.abs(normal) - 1,
            "tiny": 1e-44 * normal, "huge": 1e38 * normal, "nan": np.nan * normal, "infinite": normal / (normal > -1),
        }[values].astype(np.float32)  # fmt: skip
    weights = rng.integers(0, 256, (4, 3, 3, 3) if op == "ConvInteger" else (12, 7)).astype(np.uint8)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["levels", "scale", "zero"]),
        helper.make_node(op, ["levels", "w", "zero", "wz"], ["sums"], **({"pads": [1] * 4} if len(shape) == 4 else {})),
        helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["scale", "ws"], ["scales"]),
        helper.make_node("Mul", ["floats", "scales"], ["y"]),
    ]
    outputs = ["y", "levels", "zero", "sums"]
    model = make_model(
        nodes, [("x", TensorProto.FLOAT, shape)], outputs, {"w": weights, "wz": np.uint8(120), "ws": np.float32(0.01)}
    )
    ours = conv_infer.run(model.SerializeToString(), {"x": x})
    theirs = reference_session(model, fused=False).run(outputs, {"x": x})
    for name, wanted in zip(outputs, theirs, strict=True):
        assert ours[name].dtype == wanted.dtype, name
        np.testing.assert_array_equal(ours[name], wanted, name)  # the sign of what is no number is the processor's
