"""What this machine allows, measured: multiply-adds a second, and bytes read a second from a buffer of a given size."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("limits.c")
# The best instruction set allowed -> the width of its vectors in bytes, the compiler's flags.
FLAGS = {
    "scalar": (16, []),
    "avx2": (32, ["-mavx2", "-mfma"]),
    "avxvnni": (32, ["-mavx2", "-mfma"]),
    "avx512": (64, ["-mavx512f", "-mfma", "-mprefer-vector-width=512"]),
    "avx512vnni": (64, ["-mavx512f", "-mfma", "-mprefer-vector-width=512"]),
    "amx": (64, ["-mavx512f", "-mfma", "-mprefer-vector-width=512"]),
    "neon": (16, []),
    "dotprod": (16, []),
    "i8mm": (16, []),
}
PROBES = 5


class Limits:
    """The probes, built with the machine's C compiler (`CC`, or cc) for `instruction_set`.

    Raises RuntimeError where there is no compiler or it refuses.
    """

    def __init__(self, instruction_set: str, threads: int):
        width, flags = FLAGS[instruction_set]
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise RuntimeError("measuring the machine's limit needs a C compiler; set CC or install one")
        self._threads = threads
        self._flops = 0.0
        self._rates: dict[int, float] = {}
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "limits.so"
            command = [*compiler.split(), "-O2", "-ffp-contract=fast", "-fPIC", "-shared", f"-DVECTOR_BYTES={width}"]
            result = subprocess.run(
                [*command, *flags, str(SOURCE), "-o", str(library)], capture_output=True, text=True, check=False
            )
            if result.returncode:
                raise RuntimeError(f"the compiler refuses {SOURCE.name}: {result.stderr.strip()}")
            self._library = ctypes.CDLL(str(library))
        self._library.limit_multiply_adds.restype = ctypes.c_double
        self._library.limit_multiply_adds.argtypes = [ctypes.c_long, ctypes.POINTER(ctypes.c_float)]
        self._library.limit_read.restype = ctypes.c_float
        self._library.limit_read.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]

    def flops_per_second(self) -> float:
        """Multiply-adds count twice. Measured at the first call."""
        if not self._flops:
            self._flops = self._measure_flops()
        return self._flops

    def bytes_per_second(self, buffer_bytes: int) -> float:
        """Of reading a buffer again and again, each thread a part of it: from whatever cache or memory holds it.

        Measured once for every power of two; sizes between take the next larger one's.
        """
        size = 1 << max(12, (buffer_bytes - 1).bit_length())
        if size not in self._rates:
            self._rates[size] = self._measure_reading(size)
        return self._rates[size]

    def _measure_flops(self) -> float:
        rounds = 1 << 20

        def work() -> float:
            sink = ctypes.c_float(1.0)
            return self._library.limit_multiply_adds(rounds, ctypes.byref(sink))

        return self._rate(work)

    def _measure_reading(self, buffer_bytes: int) -> float:
        part = max(1, buffer_bytes // self._threads // 4096) * 4096
        repeats = max(1, (1 << 26) // part)
        storage = np.ones(self._threads * part + 64, np.uint8)  # written, so that every page is its own
        start = storage.ctypes.data + -storage.ctypes.data % 64
        addresses = iter([start + index * part for index in range(self._threads)] * (PROBES + 1))
        lock = threading.Lock()

        def work() -> float:
            with lock:
                address = next(addresses)
            self._library.limit_read(address, part // 4, repeats)
            return float(part * repeats)

        return self._rate(work)

    def _rate(self, work: Callable[[], float]) -> float:
        """The best of some probes, each on all threads at once (the library runs without the interpreter's lock)."""
        best = 0.0
        for _ in range(PROBES + 1):
            done: list[float] = []
            pool = [threading.Thread(target=lambda: done.append(work())) for _ in range(self._threads)]  # noqa: B023
            before = time.perf_counter()
            for thread in pool:
                thread.start()
            for thread in pool:
                thread.join()
            best = max(best, sum(done) / (time.perf_counter() - before))
        return best
