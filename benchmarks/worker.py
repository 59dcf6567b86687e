"""A process that holds one engine and one model: `python -m benchmarks.worker` is started by `benchmarks.peers`.

It reads one JSON object (engine, model, feeds, threads, processors) from stdin, answers with one about the start, and
then obeys lines: "run N" answers the seconds of N runs, "outputs FILE" saves the outputs, the end of input ends it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .engines import Runner, import_engine, open_engine

STATUS = Path("/proc/self/status")


def peak_memory_bytes() -> int:
    """The largest resident size this process has had.

    Not getrusage where it can be helped: its maximum survives fork and exec, so that a child of a large process seems
    as large as its parent.
    """
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def start(job: dict[str, Any]) -> tuple[Runner, dict[str, Any]]:
    """Imports the engine, loads the model, runs it once; answers how long each took."""
    with np.load(job["feeds"]) as archive:
        feeds = dict(archive)
    times = [time.perf_counter()]
    import_engine(job["engine"])
    times.append(time.perf_counter())
    run = open_engine(job["engine"], job["model"], feeds, job["threads"])
    times.append(time.perf_counter())
    run()
    times.append(time.perf_counter())
    phases = [later - earlier for earlier, later in pairwise(times)]
    return run, dict(zip(("import", "load", "first_run"), phases, strict=True))


def timed_runs(run: Runner, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        before = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - before)
    return seconds


def main() -> None:
    job = json.loads(sys.stdin.readline())
    if job["processors"]:
        os.sched_setaffinity(0, job["processors"])
    # Engines may print; answers go where nothing else does.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Any) -> None:
        print(json.dumps(value), file=answers, flush=True)

    try:
        run, phases = start(job)
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {' '.join(str(error).split())}"})
        return
    gc.disable()
    answer(phases)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "run":
            answer(timed_runs(run, int(argument)))
        elif command == "outputs":
            np.savez(argument, *run())
            answer("saved")
        elif command == "memory":
            answer(peak_memory_bytes())


if __name__ == "__main__":
    main()
