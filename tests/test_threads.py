"""The threads that networks run on: how many there are, that they sleep between runs, that a fork is survived."""

import io
import os
import subprocess
import sys
import textwrap

import pytest
from fresh_process import environment

import conv_infer
from conv_infer import threads
from models import zoo


@pytest.fixture(autouse=True)
def no_wishes(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def machine(monkeypatch, allowed, siblings=None, groups=None):
    """Pretends to be a machine: processors that the process may use, their siblings, files of control groups."""
    files = {f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": text for cpu, text in siblings or []}
    files |= groups or {}

    def pretended(path, *arguments, **options):
        if path not in files:
            raise FileNotFoundError(path)
        return io.StringIO(files[path])

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(allowed), raising=False)
    monkeypatch.setattr(threads, "open", pretended, raising=False)


PAIRS = [(0, "0,4\n"), (1, "1,5\n"), (2, "2,6\n"), (3, "3,7\n"), (4, "0,4\n"), (5, "1,5\n"), (6, "2,6\n"), (7, "3,7\n")]


@pytest.mark.parametrize(
    ("allowed", "siblings", "expected"),
    [
        (range(8), PAIRS, 4),  # two threads a core
        ([0, 4], PAIRS, 1),  # both of one core
        ([0, 1, 5], PAIRS, 2),
        (range(3), None, 3),  # topology unknown
    ],
)
def test_as_many_as_physical_cores_that_may_be_used(monkeypatch, allowed, siblings, expected):
    machine(monkeypatch, allowed, siblings)
    assert threads.default_threads() == expected


GROUPS = "/sys/fs/cgroup"
SERVICE = {"/proc/self/cgroup": "0::/system.slice/camera.service\n"}
OLD = {"/proc/self/cgroup": "4:memory:/\n2:cpu,cpuacct:/docker/1bd1\n0::/user\n"}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({f"{GROUPS}/cpu.max": "max 100000\n"}, 4),
        ({f"{GROUPS}/cpu.max": "200000 100000\n"}, 2),  # a container of two processors
        ({f"{GROUPS}/cpu.max": "50000 100000\n"}, 1),  # of a half
        ({f"{GROUPS}/cpu.max": "350000 100000\n"}, 3),
        ({f"{GROUPS}/cpu.max": "nonsense\n"}, 4),
        ({f"{GROUPS}/cpu.max": "100000 0\n"}, 4),
        (SERVICE, 4),
        ({**SERVICE, f"{GROUPS}/system.slice/camera.service/cpu.max": "200000 100000\n"}, 2),  # CPUQuota=200%
        (
            {
                **SERVICE,
                f"{GROUPS}/system.slice/camera.service/cpu.max": "max 100000\n",
                f"{GROUPS}/system.slice/cpu.max": "100000 100000\n",
            },
            1,
        ),
        ({**OLD, f"{GROUPS}/cpu/cpu.cfs_quota_us": "-1\n", f"{GROUPS}/cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({**OLD, f"{GROUPS}/cpu/cpu.cfs_quota_us": "300000\n", f"{GROUPS}/cpu/cpu.cfs_period_us": "100000\n"}, 3),
        (
            {
                **OLD,
                f"{GROUPS}/cpu/docker/1bd1/cpu.cfs_quota_us": "250000\n",
                f"{GROUPS}/cpu/docker/1bd1/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        ({**OLD, f"{GROUPS}/cpu/cpu.cfs_quota_us": "100000\n"}, 4),  # without its period
        ({"/proc/self/cgroup": "0::/../other\n", f"{GROUPS}/../other/cpu.max": "100000 100000\n"}, 4),
    ],
)
def test_as_many_as_the_control_groups_grant(monkeypatch, groups, expected):
    """Versions 2 and 1, in containers and in services."""
    machine(monkeypatch, range(8), PAIRS, groups)
    assert threads.default_threads() == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to processors")
def test_a_process_bound_to_one_processor_runs_on_one_thread():
    code = """
    import os
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    import conv_infer
    from models import zoo
    print(conv_infer.load(zoo.build("shufflenet_v1_g3_x0.25", size=224).SerializeToString()).threads)
    """
    assert run_python(code) == "1"


@pytest.mark.parametrize(("wish", "expected"), [("3", 3), ("2,4", 2), (" 5 ", 5), ("0", 4), ("many", 4), ("", 4)])
def test_openmps_own_variable_counts(monkeypatch, wish, expected):
    machine(monkeypatch, range(8), PAIRS)
    monkeypatch.setenv("OMP_NUM_THREADS", wish)
    assert threads.default_threads() == expected


def test_systems_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert threads.default_threads() == 6


def test_threads_follow_the_size_of_the_network(monkeypatch, root):
    machine(monkeypatch, range(8), PAIRS)
    small = conv_infer.load(str(root / "models" / "digits.onnx"))
    small.prepare({"image": (1, 1, 8, 8)})
    assert small.threads == 1
    model = zoo.build("shufflenet_v1_g3_x0.25", size=224).SerializeToString()
    assert conv_infer.load(model).threads == 4
    assert conv_infer.load(model, threads=3).threads == 3


def run_python(code: str, **changes: str) -> str:
    """The output of a fresh interpreter, which must end well."""
    inherited = environment()
    variables = {name: value for name, value in inherited.items() if not name.startswith(("GOMP_", "OMP_"))} | changes
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(code)],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


RUN_ON_TWO_THREADS = """
import os, sys, time
import conv_infer
from models import zoo
name = "shufflenet_v1_g3_x0.25"
feeds = {"input": zoo.sample_input(name, size=96)}
session = conv_infer.load(zoo.build(name, size=96), threads=2)
first = session.run(None, feeds)[0]
"""


def test_threads_sleep_between_runs():
    code = """
    total = 0.0
    for _ in range(10):
        session.run(None, feeds)
        before = time.process_time()
        time.sleep(0.05)
        total += time.process_time() - before
    print(total / 0.5)
    """
    # Threads that spin after each run would take a third of the time that is slept, or all of it.
    assert float(run_python(RUN_ON_TWO_THREADS + textwrap.dedent(code))) < 0.1


def test_the_environment_is_left_as_it_was():
    code = "import os, conv_infer; print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))"
    assert run_python(code) == "None None"
    assert run_python(code, GOMP_SPINCOUNT="7") == "7 None"
    assert run_python(code, OMP_WAIT_POLICY="active") == "None active"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_children_run_and_agree():
    code = """
    def child():
        with_parents = session.run(None, feeds)[0]
        own = conv_infer.load(zoo.build(name, size=96), threads=2).run(None, feeds)[0]
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if (session.run(None, feeds)[0] == first).all() else 1)
        return (with_parents == first).all() and (own == first).all() and os.waitpid(grandchild, 0)[1] == 0

    pid = os.fork()
    if pid == 0:
        os._exit(0 if child() else 1)
    print(os.waitpid(pid, 0)[1], (session.run(None, feeds)[0] == first).all())
    """
    assert run_python(RUN_ON_TWO_THREADS + textwrap.dedent(code)) == "0 True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_while_another_thread_runs():
    code = """
    import threading
    stop = threading.Event()
    def keep_running():
        while not stop.is_set():
            session.run(None, feeds)
    worker = threading.Thread(target=keep_running)
    worker.start()
    ends = []
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if (session.run(None, feeds)[0] == first).all() else 1)
        ends.append(os.waitpid(pid, 0)[1])
    stop.set()
    worker.join()
    print(ends)
    """
    assert run_python(RUN_ON_TWO_THREADS + textwrap.dedent(code)) == "[0, 0, 0, 0, 0]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_children_of_a_process_that_ran_nothing_have_threads():
    code = """
    import os, conv_infer
    from conv_infer import threads
    pid = os.fork()
    if pid == 0:
        os._exit(1 if threads.is_team_lost() else 0)
    print(os.waitpid(pid, 0)[1])
    """
    assert run_python(code) == "0"
