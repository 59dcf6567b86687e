"""What runs 64-bit Arm programs on this machine: QEMU, a cross compiler, and a tree with Debian's Python for Arm.

The tree is made once, in CONV_INFER_ARM_TREE or ~/.cache/conv-infer-arm64 (in build/arm where neither can be written):
Debian's packages and PyPI's wheels, a few hundred megabytes, unpacked; nothing is installed.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "arm"


def place_of_tree() -> Path:
    """Where the tree is or will be: the first place where it is complete, else the first that can be written."""
    named = os.environ.get("CONV_INFER_ARM_TREE")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # ~ itself for users without home
    places = [Path(named)] if named else [cache / "conv-infer-arm64", WORK / "tree"]
    complete = [place for place in places if os.access(place / "bin" / "python3", os.X_OK)]
    return (complete or [place for place in places if can_be_written(place)] or places)[0].absolute()


def can_be_written(folder: Path) -> bool:
    """Whether a folder can be made there, or there is one to write to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder.parent, os.W_OK | os.X_OK) and os.access(folder, os.W_OK | os.X_OK)


TREE = place_of_tree()
PYTHON = TREE / "bin" / "python3"
SITE = TREE / "site"

CROSS = "aarch64-linux-gnu-gcc"

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
    if os.access(PYTHON, os.X_OK):
        return
    print(f"fetching a Python for Arm into {TREE}", flush=True)
    try:
        # Made beside its place, so that it is there whole or not at all.
        TREE.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{TREE.name}.", dir=TREE.parent) as folder:
            fill(Path(folder), clock)
            shutil.rmtree(TREE, ignore_errors=True)
            (Path(folder) / "tree").rename(TREE)
    except (OSError, subprocess.CalledProcessError, importlib.metadata.PackageNotFoundError) as error:
        if not os.access(PYTHON, os.X_OK):  # nor made by somebody else meanwhile
            raise Unavailable(str(error)) from None


def fill(folder: Path, clock: Clock) -> None:
    """Makes `tree` in a folder, as it will be in its place."""
    tree = folder / "tree"
    for name in ("debs", "lists/partial", "cache/archives/partial", "wheels", "tree/root", "tree/site", "tree/bin"):
        (folder / name).mkdir(parents=True)
    places = [f"-oDir::State::Lists={folder}/lists", f"-oDir::Cache={folder}/cache"]
    places += ["-oAPT::Sandbox::User=root"] if os.geteuid() == 0 else []
    apt = ["apt-get", "-qq", "-oAcquire::Retries=1", "-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64", *places]
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 26, 27, 28)]
    only = ["--no-deps", "--only-binary=:all:", "--python-version=3.11", *platforms, "--platform=manylinux2014_aarch64"]
    same = [f"{name}=={importlib.metadata.version(name)}" for name in SAME]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
    fetch_by([*apt, "update"], clock)
    fetch_by([*apt, "download", *DEBS], clock, folder / "debs")
    fetch_by([*pip, *only, "-d", folder / "wheels", *WHEELS, *same], clock)
    for package in (folder / "debs").glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, tree / "root"], check=True)
    for wheel in (folder / "wheels").glob("*.whl"):
        subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, tree / "site"], check=True)
    # What sys.executable names in there, so that Python's own subprocesses work.
    python = tree / "bin" / "python3"
    arguments = f'-0 "{PYTHON}" -L "{TREE}/root" "{TREE}/root/usr/bin/python3.11" "$@"'
    python.write_text(f'#!/bin/sh\nexec qemu-aarch64 -cpu "${{ARM64_CPU:-max}}" {arguments}\n')
    python.chmod(0o755)


def building_python(clock: Clock) -> Path:
    """A Python that has what pyproject.toml asks for to build: this one, or else a new environment's."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        required = tomllib.load(file)["build-system"]["requires"]
    if all(is_installed(requirement) for requirement in required):
        return Path(sys.executable)
    folder = WORK / "building"
    fetch_by([sys.executable, "-m", "venv", "--clear", folder], clock)
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
    """Lets setup.py build for Arm. CONV_INFER_COMPILER_CACHE names a program to put before the compiler.

    Raises Unavailable where the cross compiler has no C library.
    """
    flags = f"-fPIC -I{shlex.quote(str(headers_for_arm()))}"
    probe = "#include <Python.h>\n#include <omp.h>\n#include <math.h>\n"
    command = [CROSS, *shlex.split(flags), f"-I{sysconfig.get_path('include')}", "-fopenmp", "-shared", "-x", "c", "-"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*command, f"-o{folder}/probe.so"], input=probe, text=True, stderr=subprocess.PIPE)
    if done.returncode:
        raise Unavailable(f"{CROSS} cannot build for Python here: {done.stderr[:400]}")
    return {
        "CONV_INFER_TARGET_MACHINE": "aarch64",
        "CC": f"{os.environ.get('CONV_INFER_COMPILER_CACHE', '')} {CROSS}".strip(),
        "LDSHARED": f"{CROSS} -shared",
        "AR": "aarch64-linux-gnu-ar",
        "CFLAGS": flags,
        "LDFLAGS": "",
    }


def headers_for_arm() -> Path:
    """A folder with what Python.h asks for on Arm where the system keeps Python's settings apart by machine, as Debian
    does. Those of x86-64 serve: both are 64 bits wide, little-endian, with the same C library.
    """
    folder = WORK / "headers"
    found = Path(sysconfig.get_config_h_filename())
    of_machine = found.parents[1] / str(sysconfig.get_config_var("MULTIARCH")) / found.parent.name / found.name
    found = of_machine if of_machine.exists() else found
    wanted = folder / "aarch64-linux-gnu" / found.parent.name / found.name
    wanted.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(found, wanted)
    return folder


def arm_environment(*path: str | Path) -> dict[str, str]:
    """Lets PYTHON import what lies in `path`, and what the tree has."""
    return {
        "PYTHONPATH": os.pathsep.join(map(str, [*path, SITE])),
        "PYTHONHOME": "/usr",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
    }
