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
AVX512 = ["-mavx512f", "-mavx512bw", "-mfma", "-mprefer-vector-width=512"]
# The best instruction set allowed -> the width of its vectors in bytes, the compiler's flags.
FLAGS = {
    "scalar": (16, []),
    "avx2": (32, ["-mavx2", "-mfma"]),
    "avxvnni": (32, ["-mavx2", "-mfma", "-mavxvnni"]),
    "avx512": (64, AVX512),
    "avx512vnni": (64, [*AVX512, "-mavx512vnni"]),
    "amx": (64, [*AVX512, "-mamx-tile", "-mamx-int8"]),
    "neon": (16, []),
    "a53": (16, []),
    "dotprod": (16, ["-march=armv8.2-a+dotprod"]),
    "i8mm": (16, ["-march=armv8.2-a+dotprod+i8mm"]),
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
        self._peaks: dict[str, float] = {}
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
        for probe, sink in (("limit_multiply_adds", ctypes.c_float), ("limit_multiply_adds_s8", ctypes.c_int)):
            function = getattr(self._library, probe)
            function.restype = ctypes.c_double
            function.argtypes = [ctypes.c_long, ctypes.POINTER(sink)]
        self._library.limit_read.restype = ctypes.c_float
        self._library.limit_read.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]

    def flops_per_second(self) -> float:
        """In float32. Multiply-adds count twice. Measured at the first call."""
        return self._peak("limit_multiply_adds", ctypes.c_float)

    def int8_operations_per_second(self) -> float:
        """Of exact sums of products of bytes. Multiply-adds count twice. Measured at the first call."""
        return self._peak("limit_multiply_adds_s8", ctypes.c_int)

    def bytes_per_second(self, buffer_bytes: int) -> float:
        """Of reading a buffer again and again, each thread a part of it: from whatever cache or memory holds it.

        Measured once for every power of two; sizes between take the next larger one's.
        """
        size = 1 << max(12, (buffer_bytes - 1).bit_length())
        if size not in self._rates:
            self._rates[size] = self._measure_reading(size)
        return self._rates[size]

    def _peak(self, probe: str, number: type[ctypes.c_float] | type[ctypes.c_int]) -> float:
        if probe not in self._peaks:
            rounds = 1 << 20
            self._peaks[probe] = self._rate(lambda: getattr(self._library, probe)(rounds, ctypes.byref(number(1))))
        return self._peaks[probe]

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
