"""Machine code for 64-bit Arm, taken apart: functions, their loops, and the multiply-adds in these."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

# Multiply-adds of one instruction, by its name and the arrangement of its first operand.
MACS = {
    ("fmla", "4s"): 4,
    ("fmla", "2s"): 2,
    ("sdot", "4s"): 16,
    ("udot", "4s"): 16,
    ("smmla", "4s"): 32,
    ("usmmla", "4s"): 32,
    ("ummla", "4s"): 32,
    ("smull", "8h"): 8,
    ("smull2", "8h"): 8,
    ("smlal", "4s"): 4,
    ("smlal2", "4s"): 4,
    ("smlal", "8h"): 8,
    ("smlal2", "8h"): 8,
    ("smlsl", "8h"): 8,
    ("smlsl2", "8h"): 8,
    ("umlal", "4s"): 4,
    ("umlal2", "4s"): 4,
}
# The functions that multiply and add; in others the same instructions scale and round.
KERNELS = re.compile(r"(ci_)?(gemm_(f32|s8|dot)|depthwise|grouped|multiply_|tile_|winograd)")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*?)\s*(?://.*)?$")
FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
TARGET = re.compile(r"\b([0-9a-f]+) <[^>]*>$")


class Instruction(NamedTuple):
    address: int
    name: str
    operands: str

    @property
    def kind(self) -> tuple[str, str] | None:
        """Of a multiply-add: its key in MACS."""
        arrangement = re.match(r"v\d+\.(\w+)", self.operands)
        kind = (self.name, arrangement[1]) if arrangement else None
        return kind if kind in MACS else None

    @property
    def target(self) -> int | None:
        """Of a branch."""
        found = TARGET.search(self.operands) if self.name.startswith(("b", "cb", "tb")) else None
        return int(found[1], 16) if found else None


class Loop(NamedTuple):
    """The instructions of a loop that belong to no loop within it, and its multiply-adds by instruction."""

    body: list[Instruction]
    kinds: Counter[tuple[str, str]]

    @classmethod
    def of(cls, body: Iterable[Instruction]) -> Loop:
        listed = list(body)
        return cls(listed, Counter(kind for kind in (instruction.kind for instruction in listed) if kind))

    @property
    def macs(self) -> int:
        return sum(MACS[kind] * count for kind, count in self.kinds.items())

    @property
    def calls(self) -> int:
        return sum(instruction.name in ("bl", "blr") for instruction in self.body)


class Function(NamedTuple):
    name: str
    body: list[Instruction]

    def loops(self) -> list[Loop]:
        """What runs outside of any loop comes last, as if it were one."""
        at = {instruction.address: index for index, instruction in enumerate(self.body)}
        spans = set()
        for index, instruction in enumerate(self.body):
            start = at.get(instruction.target)
            if start is not None and start <= index:
                spans.add((start, index))
        owner: dict[int, tuple[int, int] | None] = dict.fromkeys(range(len(self.body)))
        for start, end in sorted(spans, key=lambda span: span[0] - span[1]):  # inner ones last: they prevail
            owner.update(dict.fromkeys(range(start, end + 1), (start, end)))
        members: dict[tuple[int, int] | None, list[Instruction]] = {}
        for index, span in owner.items():
            members.setdefault(span, []).append(self.body[index])
        outside = members.pop(None, [])
        return [Loop.of(body) for body in [*members.values(), outside]]


def disassembly_of(path: Path) -> str:
    command = ["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def functions_of(path: Path) -> Iterator[Function]:
    """Of an object or a shared library that has its symbols, in the order of their addresses."""
    for part in disassembly_of(path).split("\n\n"):
        lines = part.splitlines()
        title = FUNCTION.match(lines[0]) if lines else None
        if title:
            found = [match.groups() for match in map(INSTRUCTION.match, lines[1:]) if match]
            yield Function(title[2], [Instruction(int(address, 16), name, rest) for address, name, rest in found])
