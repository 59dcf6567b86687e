"""How many threads a network gets."""

from __future__ import annotations

import os
from pathlib import Path

MACS_PER_THREAD = 1_000_000  # a network smaller than this is over before a second thread has woken


def default_threads() -> int:
    """Physical cores that this process may use: by affinity and the cgroup's quota; OMP_NUM_THREADS where it is set."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:  # not on this system
        return max(1, os.cpu_count() or 1)
    return max(1, min(len(_physical_cores(allowed)), _quota()))


def _physical_cores(processors: set[int]) -> set[str]:
    """One name for each core that owns some of the processors; a core may show as two processors."""
    cores = set()
    for processor in processors:
        siblings = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text().strip())
        except OSError:
            cores.add(str(processor))
    return cores


def _quota() -> int:
    """Whole processors that the control group grants; a large number where it sets no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return 1 << 16
    return 1 << 16 if quota == "max" else max(1, int(quota) // int(period))
