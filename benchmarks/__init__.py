"""Measurements: `python -m benchmarks.peers` against other engines, `python -m benchmarks.layers` against the machine.

Run from the project's folder. conv_infer is imported from where it is installed; the project's own folder serves only
where it is not (and has been built in place).
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT] + [str(ROOT)]
