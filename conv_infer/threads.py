"""The threads that networks run on: how many, how they wait, what a fork does to them."""

from __future__ import annotations

import os

MACS_PER_THREAD = 1_000_000  # a network smaller than this is over before a second thread has woken
MOST_THREADS = 1024  # more are a mistake, and OpenMP ends the process where the system refuses it a thread
SPINS = 4000  # of a thread that waits for the next run, a fraction of a millisecond; then it sleeps


def load_compiled_module() -> None:
    """Imports `_core` in such a way that threads sleep soon after a run.

    GNU's OpenMP, which is loaded with it, lets the threads of a finished run spin for many milliseconds in case another
    one follows. How long it reads from GOMP_SPINCOUNT while it is being loaded, so the variable is set for that moment;
    not where the user has set it or OMP_WAIT_POLICY, and to no effect where another module has loaded OpenMP before.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        from . import _core

        return
    os.environ["GOMP_SPINCOUNT"] = str(SPINS)
    try:
        from . import _core  # noqa: F401
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def default_threads() -> int:
    """Physical cores that this process may use: by affinity and the cgroup's quota; OMP_NUM_THREADS where it is set."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:  # not on this system
        from . import _core

        return _core.cores() or max(1, os.cpu_count() or 1)
    return max(1, min(len(_physical_cores(allowed)), _quota()))


def _physical_cores(processors: set[int]) -> set[str]:
    """One name for each core that owns some of the processors; a core may show as two processors."""
    cores = set()
    for processor in processors:
        siblings = _text_of(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list").strip()
        cores.add(siblings or str(processor))
    return cores


NO_QUOTA = 1 << 16


def _quota() -> int:
    """Whole processors that the control groups grant, the outer ones too; NO_QUOTA where they set no limit."""
    return min((_quota_of(folder) for folder in _control_groups()), default=NO_QUOTA)


def _control_groups() -> list[str]:
    """The folders of this process's groups for processor time and of those around them, in version 1 and 2.

    A container may see its group as the outermost one whatever the name says, so that one is always among them.
    """
    folders = ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu"]
    for line in _text_of("/proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = "/sys/fs/cgroup/cpu" if controllers else "/sys/fs/cgroup"
        parts = [part for part in group.split("/") if part]
        folders += [f"{mount}/{'/'.join(parts[:depth])}" for depth in range(1, len(parts) + 1) if ".." not in parts]
    return folders


def _quota_of(folder: str) -> int:
    limit = _text_of(f"{folder}/cpu.max")  # version 2: microseconds of each period, and the period
    if not limit:
        limit = f"{_text_of(f'{folder}/cpu.cfs_quota_us')} {_text_of(f'{folder}/cpu.cfs_period_us')}"
    numbers = limit.split()
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers) or int(numbers[1]) == 0:
        return NO_QUOTA  # "max", or -1 in version 1
    return max(1, int(numbers[0]) // int(numbers[1]))


def _text_of(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except (OSError, ValueError):
        return ""


# A team of threads does not survive fork: the child would wait forever for threads that it has not got.
_has_team = False
_lost_team = False


def note_team() -> None:
    """Says that this process runs networks on more than one thread."""
    global _has_team
    _has_team = True


def is_team_lost() -> bool:
    """Whether this process was made by fork from one that had threads; it then runs networks on one."""
    return _lost_team


def _after_fork() -> None:
    global _lost_team
    _lost_team = _lost_team or _has_team


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
