"""Machine code for Arm is taken apart into loops, and what surrounds them is told from what they take."""

from collections import Counter

import pytest

from benchmarks.arm_code import Function, Instruction, functions_of
from benchmarks.arm_counts import own_of

# Two multiply-adds in front of a loop, a loop of four instructions, two of them multiply-adds, within another.
LINES = [
    (0x00, "smull", "v0.8h, v1.8b, v2.8b"),
    (0x04, "smlal", "v0.8h, v1.8b, v2.8b"),
    (0x08, "fmla", "v4.4s, v5.4s, v6.s[1]"),
    (0x0C, "ldr", "q5, [x0], #16"),
    (0x10, "fmla", "v7.4s, v5.4s, v6.s[2]"),
    (0x14, "b.ne", "8 <kernel+0x8>"),
    (0x18, "fmul", "v7.4s, v5.4s, v6.4s"),
    (0x1C, "cbnz", "x3, 4 <kernel+0x4>"),
    (0x20, "ret", ""),
]


@pytest.fixture
def kernel():
    return Function("ci_gemm_f32_8x8_neon_8", [Instruction(*line) for line in LINES])


def test_a_loop_has_no_instruction_of_a_loop_within_it(kernel):
    addresses = sorted([instruction.address for instruction in loop.body] for loop in kernel.loops())
    assert addresses == [[0x00, 0x20], [0x04, 0x18, 0x1C], [0x08, 0x0C, 0x10, 0x14]]
    assert sorted(loop.macs for loop in kernel.loops()) == [8, 8, 8]
    assert kernel.loops()[-1].kinds == {("smull", "8h"): 1}


def test_multiply_adds_outside_count_as_if_the_loop_did_them(kernel):
    rounds = {0x00: 1, 0x20: 1, 0x04: 5, 0x18: 5, 0x1C: 5, 0x08: 50, 0x0C: 50, 0x10: 50, 0x14: 50}
    macs = 8 + 5 * 8 + 50 * 8
    assert own_of(kernel, Counter(rounds)) == pytest.approx(macs * 4 / 8)
    assert own_of(kernel._replace(name="store_rows_generally"), Counter(rounds)) == 0
    assert own_of(kernel, Counter()) == 0


def test_disassembly_is_read_function_by_function(monkeypatch, tmp_path):
    text = """
core.so:     file format elf64-littleaarch64

0000000000001000 <first>:
    1000:\tldr\tq5, [x0], #16
    1004:\tb.ne\t1000 <first>  // b.any

0000000000001008 <second>:
    1008:\tret
"""
    monkeypatch.setattr("benchmarks.arm_code.disassembly_of", lambda path: text)
    first, second = functions_of(tmp_path / "core.so")
    assert (first.name, second.name) == ("first", "second")
    assert first.body == [(0x1000, "ldr", "q5, [x0], #16"), (0x1004, "b.ne", "1000 <first>")]
    assert [len(loop.body) for loop in first.loops()] == [2, 0]
