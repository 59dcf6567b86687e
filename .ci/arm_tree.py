"""What runs 64-bit Arm programs on this machine: QEMU, a cross compiler, and a tree with Debian's Python for Arm.

The tree is made once, in CONV_INFER_ARM_TREE or ~/.cache/conv-infer-arm64: Debian's packages and PyPI's wheels, a
hundred megabytes, unpacked; nothing is installed.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "arm"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
TREE = Path(os.environ.get("CONV_INFER_ARM_TREE") or CACHE / "conv-infer-arm64")
PYTHON = TREE / "bin" / "python3"
SITE = TREE / "site"

# Program -> the Debian packages that bring it.
PROGRAMS = {
    "qemu-aarch64": ["qemu-user"],
    "qemu-x86_64": ["qemu-user"],
    "qemu-arm": ["qemu-user"],
    "aarch64-linux-gnu-gcc": ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
    "arm-linux-gnueabihf-gcc": ["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"],
}
DEBS = [
    "libc6",
    "libgcc-s1",
    "libgomp1",
    "libstdc++6",
    "zlib1g",
    "libexpat1",
    "libssl3",
    "libbz2-1.0",
    "liblzma5",
    "libffi8",
    "libsqlite3-0",
    "libuuid1",
    "libcrypt1",
    "libncursesw6",
    "libtinfo6",
    "libreadline8",
    "libdb5.3",
    "libnsl2",
    "libtirpc3",
    "python3.11",
    "python3.11-minimal",
    "libpython3.11-stdlib",
    "libpython3.11-minimal",
    "libpython3.11",
]
SAME = ["numpy", "hypothesis"]  # of the versions here, so that random inputs and drawn examples are the same
WHEELS = [
    "scipy",
    "onnx==1.23.*",
    "ml_dtypes",
    "protobuf",
    "typing_extensions",
    "pytest",
    "pluggy",
    "iniconfig",
    "packaging",
    "pygments",
    "sortedcontainers",
    "pillow",
]


class Clock:
    """What is left of the seconds that were given, if any were."""

    def __init__(self, limit: float | None) -> None:
        self.end = None if limit is None else time.monotonic() + limit

    def left(self) -> float | None:
        return None if self.end is None else max(1.0, self.end - time.monotonic())


class Unavailable(Exception):
    """Something that this machine has not got, and cannot get."""


def require(programs: list[str], install: bool, clock: Clock) -> None:
    """Raises Unavailable unless all programs are there; with `install`, root tries to install them."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing and install and os.geteuid() == 0:
        packages = sorted({package for name in missing for package in PROGRAMS[name]})
        print(f"installing {' '.join(packages)}", flush=True)
        apt = ["apt-get", "-qq", "-y", "-oAcquire::Retries=1"]
        fetch_by([*apt, "update"], clock)
        fetch_by([*apt, "install", "--download-only", *packages], clock)
        # Not to be interrupted.
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*apt, "install", "--no-download", *packages], env=quiet, stdout=subprocess.DEVNULL)
        missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        raise Unavailable(f"{', '.join(missing)}: not found")


def fetch_by(command: list[str | Path], clock: Clock, folder: Path | None = None) -> None:
    """Runs a command that needs the network; raises Unavailable where it fails or takes too long."""
    try:
        subprocess.run(command, cwd=folder, check=True, timeout=clock.left(), stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from None


def fetch(clock: Clock) -> None:
    """Makes the tree where there is none; raises Unavailable where the network does not give what it takes."""
    if PYTHON.exists():
        return
    print(f"fetching a Python for Arm into {TREE}", flush=True)
    for folder in ("root", "site", "debs", "lists/partial", "cache", "wheels", "bin"):
        (TREE / folder).mkdir(parents=True, exist_ok=True)
    places = [f"-oDir::State::Lists={TREE}/lists", f"-oDir::Cache={TREE}/cache", "-oAPT::Sandbox::User=root"]
    apt = ["apt-get", "-qq", "-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64", *places]
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 26, 27, 28)]
    only = ["--no-deps", "--only-binary=:all:", "--python-version=3.11", *platforms, "--platform=manylinux2014_aarch64"]
    same = [f"{name}=={importlib.metadata.version(name)}" for name in SAME]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
    fetch_by([*apt, "update"], clock)
    fetch_by([*apt, "download", *DEBS], clock, TREE / "debs")
    fetch_by([*pip, *only, "-d", TREE / "wheels", *WHEELS, *same], clock)
    for package in (TREE / "debs").glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, TREE / "root"], check=True)
    for wheel in (TREE / "wheels").glob("*.whl"):
        subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, SITE], check=True)
    # What sys.executable names in there, so that Python's own subprocesses work. Written last: where it is, all is.
    arguments = f'-0 "{PYTHON}" -L "{TREE}/root" "{TREE}/root/usr/bin/python3.11" "$@"'
    PYTHON.write_text(f'#!/bin/sh\nexec qemu-aarch64 -cpu "${{ARM64_CPU:-max}}" {arguments}\n')
    PYTHON.chmod(0o755)


def building_python(clock: Clock) -> Path:
    """A Python that has what pyproject.toml asks for to build: this one, or else a new environment's."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        required = tomllib.load(file)["build-system"]["requires"]
    if all(is_installed(requirement) for requirement in required):
        return Path(sys.executable)
    folder = WORK / "building"
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    python = folder / "bin" / "python"
    fetch_by([python, "-m", "pip", "--disable-pip-version-check", "install", "-q", *required], clock)
    return python


def is_installed(requirement: str) -> bool:
    """Whether this Python has a package, by a requirement of the form name>=version."""
    name, _, least = requirement.partition(">=")
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return [int(part) for part in re.findall(r"\d+", found)] >= [int(part) for part in re.findall(r"\d+", least)]


def cross_environment() -> dict[str, str]:
    """Lets setup.py build for Arm. CONV_INFER_COMPILER_CACHE names a program to put before the compiler."""
    return {
        "CONV_INFER_TARGET_MACHINE": "aarch64",
        "CC": f"{os.environ.get('CONV_INFER_COMPILER_CACHE', '')} aarch64-linux-gnu-gcc".strip(),
        "LDSHARED": "aarch64-linux-gnu-gcc -shared",
        "AR": "aarch64-linux-gnu-ar",
        "CFLAGS": "-fPIC",
    }


def arm_environment(*path: str | Path) -> dict[str, str]:
    """Lets PYTHON import what lies in `path`, and what the tree has."""
    return {
        "PYTHONPATH": os.pathsep.join(map(str, [*path, SITE])),
        "PYTHONHOME": "/usr",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
    }
