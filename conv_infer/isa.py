"""Which instruction sets may be used: what is built and present, limited by CONV_INFER_ISA."""

from __future__ import annotations

import os
import warnings

from . import _core

VARIABLE = "CONV_INFER_ISA"


def allowed_isa_bits() -> int:
    """The instruction sets that may be used, as bits in the order of `_core.isa_names()`."""
    names = _core.isa_names()
    return sum(1 << names.index(name) for name in _core.isa_allowed(_limit()))


def _limit() -> str | None:
    """The set that CONV_INFER_ISA names; None, with a warning, where it names none. It can only take away: a set that
    this machine lacks leaves what it implies and the machine has."""
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if not wanted:
        return None
    if wanted not in _core.isa_names():
        _warn_once(
            f"{VARIABLE}={wanted}: there is no such instruction set, ignored; known: " + ", ".join(_core.isa_names())
        )
        return None
    if wanted not in _core.isa_allowed():
        best = _core.isa_allowed(wanted)[-1]
        _warn_once(f"{VARIABLE}={wanted}: not available on this machine, using {best}")
    return wanted


_warned: set[str] = set()


def _warn_once(message: str) -> None:
    """The variable is read for every session, but does not change."""
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, stacklevel=4)


def describe() -> dict[str, object]:
    """Instruction sets built into the library, present in this CPU, allowed, and the best of these."""
    allowed = _core.isa_allowed(_limit())
    return {
        "built": _core.isa_built(),
        "present": _core.isa_present(),
        "allowed": allowed,
        "chosen": allowed[-1],
    }
