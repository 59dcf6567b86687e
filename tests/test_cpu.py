"""What is known of the machine: cache sizes, and instruction sets that it lacks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fresh_process import environment

from conv_infer import _core
from conv_infer.planner import tiling

HERE = Path("/sys/devices/system/cpu/cpu0")
# Pi 3, Pi 4, Pi 5, and a core of two threads with all caches its own: sizes, who shares them, one core's part.
MACHINES = {
    "cortex-a53": (("32K", "0"), ("512K", "0-3"), (32 << 10, 128 << 10)),
    "cortex-a72": (("32K", "0"), ("1024K", "0-3"), (32 << 10, 256 << 10)),
    "cortex-a76": (("64K", "0"), ("512K", "0"), (64 << 10, 512 << 10)),
    "two threads": (("48K", "0,8"), ("2M", "0,8"), (48 << 10, 2 << 20)),
    "two clusters": (("32K", "0"), ("1M", "0-1,4,6"), (32 << 10, 256 << 10)),
}


def write_caches(folder: Path, *caches: tuple[str, str, str, str | None]) -> str:
    for index, (level, kind, size, shared) in enumerate(caches):
        place = folder / "cache" / f"index{index}"
        place.mkdir(parents=True)
        files = {"level": level, "type": kind, "size": size, "shared_cpu_list": shared}
        for name, text in files.items():
            if text is not None:
                (place / name).write_text(text + "\n")
    return str(folder)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="files of Linux")
@pytest.mark.parametrize("machine", MACHINES)
def test_a_shared_cache_is_divided_among_cores(machine, tmp_path):
    (l1, l1_shared), (l2, l2_shared), expected = MACHINES[machine]
    folder = write_caches(
        tmp_path,
        ("1", "Data", l1, l1_shared),
        ("1", "Instruction", "16K", l1_shared),
        ("2", "Unified", l2, l2_shared),
        ("3", "Unified", "8M", "0-15"),
    )
    assert _core.cache_sizes_told_in(folder) == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="files of Linux")
@pytest.mark.parametrize("shared", [None, "", "cores", "3-", "7-2", "-1", "0-99999999999", "0-9223372036854775807"])
@pytest.mark.parametrize("size", ["64K", "65536", "0K", "-4K", "much", "", "99999999999K"])
def test_files_that_say_nothing_sensible_are_taken_as_silent(size, shared, tmp_path):
    folder = write_caches(tmp_path, ("1", "Data", size, shared), ("2", "Unified", size, shared))
    told = 65536 if size in ("64K", "65536") else 0
    assert _core.cache_sizes_told_in(folder) == (told, told)


def test_a_folder_that_is_not_there_tells_nothing(tmp_path):
    assert _core.cache_sizes_told_in(str(tmp_path / "none")) == (0, 0)
    assert _core.cache_sizes_told_in("/" + "long/" * 2000) == (0, 0)


@pytest.mark.parametrize(
    ("midr", "expected"),
    [
        (0x410FD034, (32 << 10, 128 << 10)),  # Cortex-A53
        (0x410FD083, (32 << 10, 256 << 10)),  # Cortex-A72
        (0x414FD0B1, (64 << 10, 512 << 10)),  # Cortex-A76
        (0x510FD083, (0, 0)),  # the same number, of another maker
        (0, (0, 0)),
    ],
)
def test_cores_are_known_by_name(midr, expected):
    assert _core.cache_sizes_of_arm_core(midr) == expected


A53, A55, A72, A76 = 0x410FD034, 0x411FD050, 0x410FD083, 0x414FD0B1


@pytest.mark.parametrize(
    ("cores", "in_order"),
    [([A53] * 4, 4), ([A53, A55], 2), ([A53, A53, A72], 2), ([A76], 0), ([0x510FD034], 0), ([], 0)],
)
def test_cores_that_execute_in_order_are_counted(tmp_path, cores, in_order):
    for index, midr in enumerate(cores):
        folder = tmp_path / f"cpu{index}" / "regs" / "identification"
        folder.mkdir(parents=True)
        (folder / "midr_el1").write_text(f"0x{midr:016x}\n")
    assert _core.arm_cores_told_in(str(tmp_path)) == (len(cores), in_order)
    assert sum(map(_core.arm_core_is_in_order, cores)) == in_order


def test_a_core_whose_name_cannot_be_read_ends_the_count(tmp_path):
    folder = tmp_path / "cpu0" / "regs" / "identification"
    folder.mkdir(parents=True)
    (folder / "midr_el1").write_text("none\n")
    assert _core.arm_cores_told_in(str(tmp_path)) == (0, 0)
    assert _core.arm_cores_told_in("/" + "long/" * 2000) == (0, 0)


def test_kernels_for_cores_that_execute_in_order_are_offered_to_them():
    """QEMU's cores have names."""
    core = os.environ.get("ARM64_CPU")
    if core is None:
        pytest.skip("not on an emulated Arm core")
    assert ("a53" in _core.isa_present()) == (core == "cortex-a53")


def test_cache_sizes_are_those_the_system_tells():
    told = _core.cache_sizes_told_in(str(HERE))
    if 0 in told:
        pytest.skip("this system does not tell the sizes of its caches")
    assert _core.cache_sizes() == told


@pytest.mark.parametrize("rows", [49, 3136])
@pytest.mark.parametrize("depth", [64, 512, 4608])
@pytest.mark.parametrize("machine", MACHINES)
def test_blocks_are_cut_for_the_caches(machine, depth, rows):
    l1_bytes, l2_bytes = MACHINES[machine][2]
    kernel = max(tiling.kernels_of("gemm_f32", 1), key=lambda kernel: kernel.nr)
    cut = [tiling.Panel(kernel, 0, kernel.nr)]
    block = tiling.depth_block(depth, rows, cut, (l1_bytes, l2_bytes))
    near = l1_bytes if rows > tiling.FEW_TILES * kernel.mr else l2_bytes // 4
    assert block * kernel.nr * 4 <= near
    assert block == depth or -(-depth // block) * (block - 1) < depth  # equal blocks
    row_bytes = 4 * depth
    passed = tiling.rows_in_cache(row_bytes, row_bytes * kernel.nr, kernel.mr, l2_bytes)
    assert passed * row_bytes <= l2_bytes or passed <= tiling.NEAR_TILES * kernel.mr


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
