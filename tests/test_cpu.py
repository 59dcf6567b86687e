"""What is known of the machine: cache sizes, and instruction sets that it lacks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conv_infer import _core

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"K": 1 << 10, "M": 1 << 20}


def told_by_linux(level: int) -> int | None:
    for folder in CACHES.glob("index*"):
        if (folder / "level").read_text().strip() == str(level) and (folder / "type").read_text()[0] in "DU":
            size = (folder / "size").read_text().strip()
            return int(size[:-1]) * UNITS[size[-1]]
    return None


@pytest.mark.parametrize("level", [1, 2])
def test_cache_sizes_are_those_the_system_tells(level):
    told = told_by_linux(level)
    if told is None:
        pytest.skip("this system does not tell the sizes of its caches")
    assert _core.cache_sizes()[level - 1] == told


def test_a_set_that_the_machine_lacks_is_ignored_with_one_warning():
    lacking = [name for name in _core.isa_names() if name not in _core.isa_allowed()]
    if not lacking:
        pytest.skip("this machine has every instruction set")
    program = "import conv_infer; print(conv_infer.cpu()['chosen'])"
    result = subprocess.run(
        [sys.executable, "-P", "-W", "always", "-c", program],
        env={**os.environ, "CONV_INFER_ISA": lacking[0]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() in _core.isa_allowed()
    assert result.stderr.count(f"CONV_INFER_ISA={lacking[0]}") == 1
