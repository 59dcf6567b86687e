"""CMSIS-NN's float32 unit-test vectors: convolution, depthwise, transposed, fully connected, pooling."""

import numpy as np
import pytest
from agreement import assert_agrees
from make_models import make_model
from onnx import TensorProto, helper

import conv_infer

TOLERANCE = 1e-5
COUNTS = {
    "avgpool_f32": 7,
    "conv_f32": 35,
    "depthwise_f32": 15,
    "fully_connected_f32": 12,
    "maxpool_f32": 11,
    "transpose_conv_f32": 2,
}


class Vectors:
    """One case: arrays NHWC, weights OHWI (depthwise HWO), and the configuration as CMSIS-NN names it."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.arrays = arrays
        self.kind = str(self.arrays["kind"])
        self.x = self.arrays["input"]
        self.y = self.arrays["output"]

    def __getitem__(self, name: str):
        return self.arrays[f"cfg_{name}"].item()

    def get(self, name: str, default):
        value = self.arrays.get(f"cfg_{name}")
        return default if value is None else value.item()

    @property
    def bias(self) -> np.ndarray | None:
        missing = self.get("use_null_bias", 0) or not self.get("has_bias", 1)
        return None if missing else self.arrays.get("bias")

    @property
    def limits(self) -> dict[str, np.ndarray]:
        prefix = "activation" if "pool" in self.kind else "out_activation"
        return {end: np.float32(self[f"{prefix}_{end}"]) for end in ("min", "max")}

    def window(self) -> dict:
        """Kernel, strides, dilations, and pads: those after the image are what the output's size takes."""
        kernel = [self["filter_h"], self["filter_w"]]
        strides = [self["stride_h"], self["stride_w"]]
        dilations = [self.get("dilation_h", 1), self.get("dilation_w", 1)]
        before = [self["padding_h"], self["padding_w"]]
        after = [
            max(0, (outputs - 1) * stride + (size - 1) * dilation + 1 - inputs - pad)
            for outputs, stride, size, dilation, inputs, pad in zip(
                self.y.shape[1:3], strides, kernel, dilations, self.x.shape[1:3], before, strict=True
            )
        ]
        attrs = {"kernel_shape": kernel, "strides": strides, "pads": before + after}
        return attrs if "pool" in self.kind else attrs | {"dilations": dilations}

    def transposed_window(self) -> dict:
        """Likewise of a transposed convolution, where pads take away."""
        attrs = self.window()
        before = attrs["pads"][:2]
        after = [
            (inputs - 1) * stride + size - pad - outputs
            for outputs, stride, size, inputs, pad in zip(
                self.y.shape[1:3], attrs["strides"], attrs["kernel_shape"], self.x.shape[1:3], before, strict=True
            )
        ]
        return attrs | {"pads": before + after}


def images_last(array: np.ndarray) -> np.ndarray:
    """The first of three dimensions moved last: OHWI to OIHW, NHWC to NCHW."""
    return array.transpose(0, 3, 1, 2)


def node_of(case: Vectors):
    """The operator, its weights in ONNX's layout and its attributes."""
    if case.kind == "fully_connected_f32":
        return "Gemm", case.arrays["weights"], {"transB": 1}
    if case.kind == "maxpool_f32":
        return "MaxPool", None, case.window()
    if case.kind == "avgpool_f32":
        return "AveragePool", None, case.window()
    weights = case.arrays["weights"]
    if case.kind == "depthwise_f32":
        return "Conv", weights.transpose(2, 0, 1)[:, None], case.window() | {"group": case.x.shape[3]}
    if case.kind == "transpose_conv_f32":
        return "ConvTranspose", weights.transpose(3, 0, 1, 2), case.transposed_window()
    return "Conv", images_last(weights), case.window() | {"group": case.x.shape[3] // weights.shape[3]}


def network_of(case: Vectors):
    """The case as a model: an operator and a Clip; images go in and come out as NHWC, through Transposes."""
    op, weights, attrs = node_of(case)
    constants: dict[str, np.ndarray] = {**case.limits}
    operands = ["x" if op == "Gemm" else "image"]
    if weights is not None:
        constants["weights"] = np.ascontiguousarray(weights)
        operands.append("weights")
        if case.bias is not None:
            constants["bias"] = case.bias
            operands.append("bias")
    nodes = [helper.make_node(op, operands, ["sums"], **attrs)]
    nodes.append(helper.make_node("Clip", ["sums", "min", "max"], ["y" if op == "Gemm" else "clipped"]))
    if op != "Gemm":
        nodes.insert(0, helper.make_node("Transpose", ["x"], ["image"], perm=[0, 3, 1, 2]))
        nodes.append(helper.make_node("Transpose", ["clipped"], ["y"], perm=[0, 2, 3, 1]))
    return make_model(nodes, [("x", TensorProto.FLOAT, case.x.shape)], ["y"], constants)


@pytest.fixture(scope="module")
def cases(outside_data):
    found = {}
    for path in sorted((outside_data / "golden" / "cmsis_nn").glob("*.npz")):
        with np.load(path) as arrays:
            if "kind" in arrays.files and str(arrays["kind"]).endswith("_f32"):
                found[path.stem] = Vectors(dict(arrays))
    return found


def test_all_cases_are_here(cases):
    kinds = [case.kind for case in cases.values()]
    assert {kind: kinds.count(kind) for kind in sorted(set(kinds))} == COUNTS
    assert len(cases) == 82


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512", "neon", "a53"])
@pytest.mark.parametrize("kind", COUNTS)
def test_vectors(cases, kind, isa, monkeypatch):
    if isa not in conv_infer.cpu()["allowed"]:
        pytest.skip(f"{isa} is not available here")
    monkeypatch.setenv("CONV_INFER_ISA", isa)
    for name, case in cases.items():
        if case.kind == kind:
            ours = conv_infer.run(network_of(case), case.x, strict=True)
            try:
                assert_agrees(ours, {"y": case.y.reshape(ours["y"].shape)}, TOLERANCE)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None
