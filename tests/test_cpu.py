"""What is known of the machine: cache sizes, and instruction sets that it lacks."""

import subprocess
import sys
from pathlib import Path

import pytest
from fresh_process import environment

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


@pytest.mark.parametrize("name", [*_core.isa_names(), "neno"])
def test_a_set_that_the_machine_lacks_is_ignored_with_one_warning(name, root):
    if name in _core.isa_allowed():
        pytest.skip(f"this machine has {name}")
    program = """
import sys
import numpy as np
import conv_infer
for _ in range(2):
    conv_infer.run(sys.argv[1], np.zeros((1, 1, 8, 8), np.float32))
    chosen = conv_infer.cpu()["chosen"]
print(chosen)
"""
    result = subprocess.run(
        [sys.executable, "-P", "-W", "always", "-c", program, root / "models" / "digits.onnx"],
        env=environment(CONV_INFER_ISA=name),
        capture_output=True,
        text=True,
        check=True,
    )
    usable = _core.isa_allowed(name) if name in _core.isa_names() else _core.isa_allowed()
    assert result.stdout.strip() == usable[-1]
    assert result.stderr.count(f"CONV_INFER_ISA={name}: ") == 1
