"""Other projects' int8 test vectors as C tables, and the program that convolves them on a board."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .boards import FIRMWARE, Board, compile_objects, core_sources, link, run

KINDS = {"conv": 0, "conv_grouped": 0, "depthwise": 1, "fully_connected": 2}
FIELDS = ("input_offset", "output_offset")
WINDOW = ("stride_y", "stride_x", "pad_y", "pad_x", "dilation_y", "dilation_x")

Case = dict[str, np.ndarray]


def network_cases(name: str, network: Case) -> dict[str, Case]:
    """The convolutions of a whole network: each one's input is the output of the layer before."""
    cases, data = {}, network["input"]
    for prefix in sorted({key[:3] for key in network if key.startswith("L")}):
        layer = {key.split("_", 1)[1]: value for key, value in network.items() if key.startswith(prefix)}
        kind = next((kind for kind in ("depthwise_conv_2d", "conv_2d") if f"{kind}_weights" in layer), None)
        if kind:
            case = {key.removeprefix(f"{kind}_"): value for key, value in layer.items()}
            shape = (1, int(case["cfg_input_h"]), int(case["cfg_input_w"]), int(case["cfg_in_ch"]))
            case |= {"kind": np.array("depthwise" if kind[0] == "d" else "conv"), "input": data.reshape(shape)}
            case |= {"multiplier": case["output_mult"], "shift": case["output_shift"], "output": case["ref_output"]}
            cases[f"{name}_{prefix}"] = case
        data = next((value for key, value in layer.items() if key.endswith("ref_output")), data)
    return cases


def golden_header(cases: dict[str, Case]) -> str:
    """golden_cases.h: arrays, and one entry of `golden` for each case."""
    arrays: list[str] = []
    entries: list[str] = []
    for number, (name, case) in enumerate(cases.items()):
        kind = str(case["kind"])
        pointers = []
        outputs = case["output"].shape[-1]
        for key in ("input", "weights", "bias", "multiplier", "shift", "output"):
            array = case.get(key)
            if array is None and key in ("multiplier", "shift"):
                array = np.full(outputs, int(case[f"cfg_output_{key}"]))
            if array is None:
                pointers.append("NULL")
                continue
            if key in ("multiplier", "shift") and array.size < outputs:
                array = np.full(outputs, int(array.flat[0]))
            c_type = "int32_t" if key in ("bias", "multiplier", "shift") else "int8_t"
            arrays.append(
                f"static const {c_type} {key}_{number}[] = {{{', '.join(map(str, array.ravel().tolist()))}}};"
            )
            pointers.append(f"{key}_{number}")
        shapes = (_four(case["input"].shape), _four(case["output"].shape))
        kernel = case["weights"].shape[:2] if kind == "depthwise" else case["weights"].shape[1:3]
        groups = case["input"].shape[3] // case["weights"].shape[3] if kind.startswith("conv") else 1
        numbers = [KINDS[kind], *shapes[0], *shapes[1], *(kernel if kind != "fully_connected" else (1, 1)), groups]
        numbers += [int(case.get(f"cfg_{field}", 0 if "pad" in field else 1)) for field in WINDOW]
        numbers += [int(case[f"cfg_{field}"]) for field in FIELDS]
        numbers += [int(case.get("cfg_out_activation_min", -128)), int(case.get("cfg_out_activation_max", 127))]
        numbers.append(int(case.get("cfg_filter_offset", 0)))
        entries.append(f'    {{"{name}", {", ".join(map(str, numbers))}, {", ".join(pointers)}}},')
    return "\n".join([*arrays, "static const golden cases[] = {", *entries, "};", ""])


def _four(shape: tuple[int, ...]) -> tuple[int, ...]:
    """[rows, channels] as an image of one pixel for each row."""
    return (shape[0], 1, 1, shape[1]) if len(shape) == 2 else shape


def run_golden(board: Board, cases: dict[str, Case], folder: Path) -> dict[str, str]:
    """For each case what each way of computing it answered: `library=1 scalar=1 two_patch=1 ...`, 1 for equal bits."""
    (folder / "golden_cases.h").write_text(golden_header(cases))
    sources = [FIRMWARE / f"{name}.c" for name in ("board", "memory", "output", "two_patch", "reusable", "golden")]
    link(board, compile_objects(board, sources + core_sources(), folder), folder / "golden.elf")
    lines = (line.split(" ", 1) for line in run(board, folder / "golden.elf").splitlines() if "=" in line)
    return {name: answers.strip() for name, answers in lines}
