"""CMSIS-NN's own int8 test vectors, bit for bit, on every instruction set; and whole keyword-spotting networks."""

import numpy as np
import pytest

from conv_infer import _core, ops
from conv_infer.errors import InputError

X86_OR_ARM = ("scalar", "avx2", "avxvnni", "avx512", "avx512vnni", "amx", "neon", "a53", "dotprod", "i8mm")
CASES = 78  # int8 cases, whole networks among them


@pytest.fixture(scope="module")
def cases(outside_data) -> dict[str, dict[str, np.ndarray]]:
    """Arrays and values of every int8 case, by name."""
    found = {}
    for path in sorted((outside_data / "golden" / "cmsis_nn").glob("*.npz")):
        if "_f32" not in path.stem:
            with np.load(path) as case:
                found[path.stem] = {key: case[key] for key in case.files}
    return found


@pytest.fixture(params=X86_OR_ARM)
def allowed(request) -> int:
    """The bits of one instruction set and of those it implies."""
    sets = _core.isa_allowed(request.param)
    if request.param not in sets:
        pytest.skip(f"{request.param}: not on this machine")
    names = _core.isa_names()
    return sum(1 << names.index(name) for name in sets)


class Config:
    """The `cfg_*` values of a case (of one layer: with a prefix) as integers."""

    def __init__(self, case: dict[str, np.ndarray], prefix: str = ""):
        self.case, self.prefix = case, prefix

    def __getitem__(self, name: str) -> int:
        return int(self.case[f"{self.prefix}cfg_{name}"])

    def get(self, name: str, default: int) -> int:
        return self[name] if f"{self.prefix}cfg_{name}" in self.case else default

    def clamp(self) -> dict[str, int]:
        return {
            "activation_min": self.get("out_activation_min", -128),
            "activation_max": self.get("out_activation_max", 127),
        }

    def window(self) -> dict[str, int]:
        return {name: self[name] for name in ("stride_y", "stride_x", "pad_y", "pad_x")}

    def output(self) -> dict[str, int]:
        return {"output_height": self["output_h"], "output_width": self["output_w"]}


def run_conv(case, allowed):
    config = Config(case)
    depthwise = case["kind"] == "depthwise"
    transposed = case["kind"] == "transpose_conv"
    function = ops.depthwise_conv_s8 if depthwise else ops.transpose_conv_s8 if transposed else ops.convolve_s8
    more = {} if transposed else {name: config[name] for name in ("dilation_y", "dilation_x")}
    if case["kind"] in ("conv", "conv_grouped"):
        more["groups"] = case["input"].shape[3] // case["weights"].shape[3]
    return function(
        case["input"], case["weights"], case.get("bias"), input_offset=config["input_offset"],
        output_offset=config["output_offset"], multiplier=case["multiplier"], shift=case["shift"], allowed=allowed,
        **config.clamp(), **config.window(), **config.output(), **more,
    )  # fmt: skip


def run_fully_connected(case, allowed):
    config = Config(case)
    return ops.fully_connected_s8(
        case["input"], case["weights"], case.get("bias"), input_offset=config["input_offset"],
        output_offset=config["output_offset"], multiplier=case["multiplier"], shift=case["shift"],
        filter_offset=config.get("filter_offset", 0), allowed=allowed, **config.clamp(),
    )  # fmt: skip


def run_pool(case, allowed):
    config = Config(case)
    function = ops.avgpool_s8 if case["kind"] == "avgpool" else ops.max_pool_s8
    return function(
        case["input"], filter_height=config["filter_h"], filter_width=config["filter_w"], stride_y=config["stride_h"],
        stride_x=config["stride_w"], pad_y=config["padding_h"], pad_x=config["padding_w"],
        activation_min=config["activation_min"], activation_max=config["activation_max"], **config.output(),
    )  # fmt: skip


def run_softmax(case, allowed):
    config = Config(case)
    return ops.softmax_s8(
        case["input"], multiplier=config["input_mult"], shift=config["input_left_shift"], diff_min=config["diff_min"]
    )


def run_add(case, allowed):
    config = Config(case)
    inputs = {}
    for name in ("input1", "input2"):
        inputs[f"{name}_offset"] = config[f"{name}_offset"]
        inputs[f"{name}_multiplier"], inputs[f"{name}_shift"] = config[f"{name}_mult"], config[f"{name}_shift"]
    return ops.elementwise_add_s8(
        case["input1"], case["input2"], **inputs, left_shift=config["left_shift"], **run_output(config)
    )


def run_mul(case, allowed):
    config = Config(case)
    offsets = {name: config[name] for name in ("input1_offset", "input2_offset")}
    return ops.elementwise_mul_s8(case["input1"], case["input2"], **offsets, **run_output(config))


def run_output(config):
    return {
        "output_offset": config["output_offset"], "output_multiplier": config["output_mult"],
        "output_shift": config["output_shift"], **config.clamp(),
    }  # fmt: skip


KINDS = {
    "conv": run_conv,
    "conv_grouped": run_conv,
    "depthwise": run_conv,
    "transpose_conv": run_conv,
    "fully_connected": run_fully_connected,
    "avgpool": run_pool,
    "maxpool": run_pool,
    "softmax": run_softmax,
    "elementwise_add": run_add,
    "elementwise_mul": run_mul,
}


def test_all_cases_are_there(cases):
    assert len(cases) == CASES


def test_every_case(cases, allowed):
    wrong = []
    for name, case in cases.items():
        if case["kind"] == "network":
            continue
        result = KINDS[str(case["kind"])](case, allowed)
        if result.shape != case["output"].shape or not np.array_equal(result, case["output"]):
            wrong.append(name)
    assert not wrong


def run_layer(case, name, x, allowed):
    """One layer of a network; `name` such as "L01_conv_2d"."""
    prefix = f"{name}_"
    config = Config(case, prefix)
    kind = name.split("_", 1)[1]
    if kind == "softmax":
        return ops.softmax_s8(
            x.reshape(1, -1), multiplier=config["mult"], shift=config["shift"], diff_min=config["diff_min"]
        )
    if kind == "average_pool_2d":
        return ops.avgpool_s8(
            x, filter_height=config["filter_y"], filter_width=config["filter_x"], **config.window(),
            **config.clamp(),
        )  # fmt: skip
    common = {
        "input_offset": config["input_offset"], "output_offset": config["output_offset"], "allowed": allowed,
        **config.clamp(),
    }  # fmt: skip
    weights, bias = case[f"{prefix}weights"], case[f"{prefix}bias"]
    if kind == "fully_connected":
        multiplier, shift = config["output_multiplier"], config["output_shift"]
        return ops.fully_connected_s8(x.reshape(1, -1), weights, bias, multiplier=multiplier, shift=shift, **common)
    function = ops.convolve_s8 if kind == "conv_2d" else ops.depthwise_conv_s8
    common |= {"multiplier": case[f"{prefix}output_mult"], "shift": case[f"{prefix}output_shift"]}
    return function(x, weights, bias, **common, **config.window(), **config.output())


@pytest.mark.parametrize("network", ["ds_cnn_s", "ds_cnn_l"])
def test_whole_network(cases, network, allowed):
    case = cases[network]
    x = case["input"].reshape(1, 49, 10, 1)
    for entry in case["layer_order"]:  # "1:conv_2d"
        number, kind = str(entry).split(":")
        if kind == "reshape":
            continue
        name = f"L{int(number):02d}_{kind}"
        x = run_layer(case, name, x, allowed)
        np.testing.assert_array_equal(x.ravel(), case[f"{name}_ref_output"].ravel(), err_msg=f"{network} {name}")
    np.testing.assert_array_equal(x.ravel(), case["output"])


def test_scratch_is_checked_and_nothing_written(cases):
    case = cases["conv_2"]
    config = Config(case)
    arguments = {
        "input_offset": config["input_offset"], "output_offset": config["output_offset"],
        "multiplier": case["multiplier"], "shift": case["shift"], **config.clamp(), **config.window(),
    }  # fmt: skip
    operands = (case["input"], case["weights"], case["bias"])
    needed = ops.convolve_s8_scratch_bytes(*operands, **arguments)
    for offset in (0, 1, 33):  # at any alignment
        scratch = np.full(needed + offset, 99, np.uint8)[offset:]
        np.testing.assert_array_equal(ops.convolve_s8(*operands, scratch=scratch, **arguments), case["output"])
    scratch = np.full(needed - 1, 99, np.uint8)
    with pytest.raises(InputError, match="scratch"):
        ops.convolve_s8(*operands, scratch=scratch, **arguments)
    assert (scratch == 99).all()
