"""Interpreters of their own, which find the packages that are under test here."""

from __future__ import annotations

import os
import sys


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with `changes`, and all that can be imported here in PYTHONPATH."""
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": paths, **changes}
