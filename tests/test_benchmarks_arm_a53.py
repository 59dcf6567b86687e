"""The model of Cortex-A53 issues what was measured of the chip as it was measured."""

import pytest

from benchmarks.arm_a53 import issue_cycles
from benchmarks.arm_code import Instruction

# Cycles of one round of what is repeated; where nothing else is said, instructions do not depend on each other.
MEASURED = {
    "64 bits beside an insertion": (1, ["ldr d0, [x1]", "mov v1.d[1], x2"]),
    "64 bits, and an insertion into the same": (2, ["ldr d0, [x1]", "mov v0.d[1], x2"]),
    "two insertions": (1, ["mov v0.d[1], x2", "mov v1.d[0], x3"]),
    "two insertions into the same": (2, ["mov v0.d[0], x2", "mov v0.d[1], x3"]),
    "64 bits beside 128 of arithmetic": (2, ["ldr d0, [x1]", "fadd v1.4s, v2.4s, v3.4s"]),
    "64 bits beside 64 of arithmetic": (1, ["ldr d0, [x1]", "fadd v1.2s, v2.2s, v3.2s"]),
    "a general register after arithmetic": (1, ["fadd v1.4s, v2.4s, v3.4s", "ldr x0, [x1]"]),
    "128 bits": (2, ["ldr q0, [x1]"]),
    "a pair of 128 bits": (4, ["ldp q0, q1, [x1]"]),
    "two additions": (1, ["add x0, x0, x1", "add x2, x2, x1"]),
    "a sum that waits for itself": (4, ["fadd v1.4s, v1.4s, v3.4s"]),
    "a store, and arithmetic": (1, ["fadd v1.4s, v2.4s, v3.4s", "str x0, [x1]"]),
    "three products for each place": (
        4,
        ["ldr d0, [x1]", "mov v1.d[1], x2", *(f"fmla v{sum_}.4s, v30.4s, v31.s[0]" for sum_ in (10, 11, 12))],
    ),
}


def parsed(lines: list[str]) -> list[Instruction]:
    return [Instruction(0, *line.split(" ", 1)) for line in lines]


@pytest.mark.parametrize("name", MEASURED)
def test_what_was_measured(name):
    cycles, lines = MEASURED[name]
    assert issue_cycles(parsed(lines)) == cycles


def test_a_vector_is_not_loaded_in_the_fourth_cycle_after_a_multiply_add():
    lines = ["ldr d0, [x1]", *(f"fmla v{sum_}.4s, v30.4s, v31.s[0]" for sum_ in range(10, 18))]
    assert issue_cycles(parsed(lines), waits=False) == 9
    assert issue_cycles(parsed(lines)) == 9 + 4


def test_results_are_waited_for():
    """A load's by what follows it, which then comes one cycle before the next load."""
    chain = ["ldr d0, [x1]", "fadd v2.4s, v0.4s, v0.4s"]
    assert issue_cycles(parsed(chain)) == 4
    assert issue_cycles(parsed(chain), waits=False) == 2
    assert issue_cycles(parsed(["ldr x1, [x1]"])) == 3
