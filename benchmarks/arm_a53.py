"""How Cortex-A53 issues a loop: a small model, of what others have measured on the chip.

llvm-mca lets no result of this core overtake an earlier one, so that any load behind a multiply-add waits for its end.
The chip is less strict there, and stricter elsewhere. What this model knows was measured by D. Estevez (the instruction
tests of github.com/daniestevez/qsdr) and by the authors of ncnn (its guide "arm a53 a55 dual issue"):

- two instructions a cycle, in order; the second must not need what the first writes;
- two pipes of 64 bits for vectors: 128-bit arithmetic takes both; 64-bit arithmetic, an insertion from a general
  register, and a load of 64 bits take one;
- one load or store a cycle; loads of 128 bits take two cycles, in which nothing else begins;
- beside 128-bit arithmetic a general register is loaded only as the second of the pair;
- no vector is loaded in the fourth cycle after a multiply-add, when that one takes what it adds to;
- results are there after 4 cycles; a float multiply-add's after 4 for one that adds to it, after 8 for others. Loads
  take 3, of 128 bits 4, insertions 2, whole numbers 1.

That the fourth cycle matters to multiply-adds of integers as well is assumed. Loads hit the first-level cache, and
branches are foreseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .arm_code import Instruction

REGISTER = re.compile(r"\b(?:([vqdshb])|([xw]))(\d+)\b|\bsp\b")
LOADS = ("ldr", "ldur", "ldp", "ld1", "ld1r", "ldrb", "ldrh", "ldrsw", "ldrsb", "ldrsh", "ldpsw")
STORES = ("str", "stur", "stp", "st1", "strb", "strh")
READ_ONLY = ("cmp", "cmn", "tst", "ccmp", "prfm", "nop", "b", "cbz", "cbnz", "tbz", "tbnz", "ret")
SETS_FLAGS = ("cmp", "cmn", "tst", "ccmp", "subs", "adds", "ands")
READS_FLAGS = ("b", "csel", "cset", "csetm", "csinc", "ccmp")
MULTIPLY_ADDS = ("fmla", "fmls", "smlal", "smlsl", "umlal", "umlsl", "mla", "mls")
ADDS_TO_FIRST = (*MULTIPLY_ADDS, "sadalp", "uadalp")
CHANGES_FIRST = ("bsl", "bit", "bif", "sli", "sri")
ADDED_LATE = 4  # cycles after a multiply-add has begun


class Operation(NamedTuple):
    """An instruction as the model sees it. Registers are `v0`, `x0`, ..., `flags`."""

    reads: frozenset[str]
    writes: frozenset[str]
    sum: str | None  # what it adds to, and needs late
    pipes: int  # for vectors
    port_cycles: int  # of loading or storing
    latency: int
    loads_vector: bool
    is_multiply_add: bool
    is_float: bool


def registers(text: str) -> list[str]:
    return [f"v{number}" if vector else f"x{number or 31}" for vector, _, number in REGISTER.findall(text)]


def operation(instruction: Instruction) -> Operation:
    operands = instruction.operands.partition("//")[0].split("<")[0]
    name = instruction.name.partition(".")[0]
    plain = name.removesuffix("2") if operands.startswith("v") else name
    is_load, is_store = name in LOADS, name in STORES
    split = operands.index("[") if is_load or is_store or name == "prfm" else len(operands)
    data, address = registers(operands[:split]), registers(operands[split:])
    if name in ("ld1", "ld1r", "st1") and "}" in operands:
        close = operands.index("}") + 1
        data, address = registers(operands[:close]), registers(operands[close:])
    has_vector = any(register[0] == "v" for register in data)
    has_general = any(register[0] == "x" for register in data)
    is_wide = bool(re.search(r"\bq\d|\.(16b|8h|4s|2d)\b", operands[:split]))

    reads, writes = set(address), set()
    if is_store or name in READ_ONLY:
        reads.update(data)
    elif is_load:
        writes.update(data)
        if re.search(r"\], |!$", operands.rstrip()):
            writes.update(address[:1])
    else:
        writes.update(data[:1])
        reads.update(data[1:])
        inserts = re.match(r"v\d+\.\w+\[", operands) and not has_general  # from a general register it does not wait
        if plain in CHANGES_FIRST or inserts or (name != plain and name.startswith("xtn")):
            reads.update(data[:1])
    if name in SETS_FLAGS:
        writes.add("flags")
    if name in READS_FLAGS and (name != "b" or instruction.name != "b"):
        reads.add("flags")

    pipes = port_cycles = 0
    if has_vector and not is_store:
        pipes = 2 if is_wide and not has_general else 1
    if is_load or is_store:
        each = 2 if is_wide and is_load else 1
        port_cycles = each * len(data) if has_vector or is_load else 1
    elif name == "prfm":
        port_cycles = 1
    latency = 1
    if is_load:
        latency = 2 + port_cycles if has_vector else 3
    elif has_vector:
        latency = 2 if has_general else 4
    return Operation(
        frozenset(reads),
        frozenset(writes),
        data[0] if plain in ADDS_TO_FIRST else None,
        pipes,
        port_cycles,
        latency,
        is_load and has_vector,
        plain in MULTIPLY_ADDS,
        plain.startswith("f"),
    )


class Core:
    """Issues one operation after the other. `waits`: for results, and for the fourth cycle."""

    def __init__(self, waits: bool):
        self.waits = waits
        self.cycle = 0
        self.issued: list[Operation] = []  # in this cycle
        self.ready: dict[str, int] = {}  # when a register may be read
        self.sum_ready: dict[str, int] = {}  # and added to
        self.multiplied: set[int] = set()  # cycles in which a multiply-add began
        self.port_free = 0
        self.blocked_until = 0

    def earliest(self, one: Operation) -> int:
        earliest = max(self.cycle, self.blocked_until)
        if one.port_cycles:
            earliest = max(earliest, self.port_free)
        if self.waits:
            earliest = max([earliest, *(self.ready.get(register, 0) for register in one.reads)])
            if one.sum:
                earliest = max(earliest, self.sum_ready.get(one.sum, 0))
            while one.loads_vector and earliest - ADDED_LATE in self.multiplied:
                earliest += 1
        return earliest

    def pairs(self, one: Operation) -> bool:
        """Whether an operation may begin in the cycle that began with another."""
        if not self.issued:
            return True
        first = self.issued[0]
        needs = one.reads | one.writes | ({one.sum} if one.sum else set())
        loads_first = first.port_cycles > 0 and not first.pipes and one.pipes == 2
        return len(self.issued) < 2 and first.pipes + one.pipes <= 2 and not first.writes & needs and not loads_first

    def issue(self, one: Operation) -> int:
        """The cycle in which it begins."""
        start = self.earliest(one)
        if start == self.cycle and not self.pairs(one):
            self.cycle += 1
            self.issued = []
            start = self.earliest(one)
        if start > self.cycle:
            self.issued = []
        self.cycle = start
        self.issued.append(one)
        if one.port_cycles:
            self.port_free = start + one.port_cycles
            if one.loads_vector and one.port_cycles > 1:
                self.blocked_until = self.port_free
        if one.is_multiply_add:
            self.multiplied.add(start)
        for register in one.writes:
            is_address = one.loads_vector and register[0] == "x"
            self.ready[register] = self.sum_ready[register] = start + (1 if is_address else one.latency)
        if one.sum:
            self.ready[one.sum] = start + (8 if one.is_float else 4)
        return start


def issue_cycles(body: Iterable[Instruction], waits: bool = True, rounds: int = 40) -> float:
    """Cycles of one round of a loop, in the steady state; without waiting, by slots, pipes and ports alone."""
    loop = [operation(instruction) for instruction in body]
    core = Core(waits)
    starts = [min(core.issue(one) for one in loop) for _ in range(rounds)]
    return (starts[-1] - starts[rounds // 2]) / (rounds - 1 - rounds // 2)
