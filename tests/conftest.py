"""What all tests share: where the project lies, where outside test data lies."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[1]

# `models` and `benchmarks` are imported from the project's folder, but conv_infer, where it is installed, from there:
# a folder that has not been built in place lacks the compiled module.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT] + [str(ROOT)]

# Where a run decides about a change, it tries the same examples each time; elsewhere new ones may turn up.
hypothesis.settings.register_profile("ci", derandomize=True, database=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def outside_data() -> Path:
    """The folder of real models and other projects' test vectors; skips where CONV_INFER_TEST_DATA names none."""
    folder = os.environ.get("CONV_INFER_TEST_DATA", "")
    if not folder:
        pytest.skip("CONV_INFER_TEST_DATA names no folder of outside test data")
    if not Path(folder).is_dir():
        pytest.fail(f"CONV_INFER_TEST_DATA={folder} is not a folder")
    return Path(folder).resolve()
