"""Builds the one compiled module, and the C library that it is made of, which is installed next to it with its headers.

Baseline flags everywhere, an instruction set only for the files that carry its name.

What the compiler can do is probed, never assumed. Environment: CONV_INFER_WERROR=1 makes warnings errors,
CONV_INFER_SANITIZE=1 builds with AddressSanitizer and UBSan, CONV_INFER_OPENMP=0 builds without OpenMP,
CONV_INFER_LIMITED_API=0 builds for the running Python only, CONV_INFER_SYMBOLS=1 keeps the names of functions,
CONV_INFER_JOBS=1 runs one compiler at a time (by itself no more than fit into memory), CC=clang-cl on Windows takes the
place of Microsoft's compiler, which is expected to make slower kernels, as it keeps arrays in memory.
"""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
X86 = ("x86_64", "amd64", "i686", "i386")
ARM64 = ("aarch64", "arm64")

# Instruction set -> the machines that may have it, the compiler flags of its files, a program that needs them.
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma", "-mf16c"]
INSTRUCTION_SETS = {
    "avx2": (X86, ["-mavx2", "-mfma", "-mf16c"], "__m256 v(__m256 a) { return _mm256_fmadd_ps(a, a, a); }"),
    "avxvnni": (
        X86,
        ["-mavx2", "-mfma", "-mf16c", "-mavxvnni"],
        "__m256i v(__m256i a) { return _mm256_dpbusd_avx_epi32(a, a, a); }",
    ),
    "avx512": (X86, AVX512, "__m512 v(__m512 a) { return _mm512_fmadd_ps(a, a, a); }"),
    "avx512vnni": (
        X86,
        [*AVX512, "-mavx512vnni"],
        "__m512i v(__m512i a) { return _mm512_dpbusd_epi32(a, a, a); }",
    ),
    "amx": (X86, [*AVX512, "-mamx-tile", "-mamx-int8"], "void v(void) { _tile_zero(0); _tile_dpbusd(0, 1, 2); }"),
    "neon": (ARM64, [], "float32x4_t v(float32x4_t a) { return vfmaq_f32(a, a, a); }"),
    "a53": (
        ARM64,
        [],
        """void v(float32x4_t a) { __asm__ volatile("fmla %0.4s, %0.4s, %0.s[0]" : "+w"(a)); }""",
    ),
    "dotprod": (
        ARM64,
        ["-march=armv8.2-a+dotprod"],
        "int32x4_t v(int32x4_t a, int8x16_t b) { return vdotq_s32(a, b, b); }",
    ),
    "i8mm": (
        ARM64,
        ["-march=armv8.2-a+dotprod+i8mm"],
        "int32x4_t v(int32x4_t a, int8x16_t b) { return vmmlaq_s32(a, b, b); }",
    ),
    "dsp": ((), [], ""),  # microcontrollers have no Python: only cross-compiled
}
# The same of Microsoft's compiler, which knows wider steps only, and takes any intrinsic anywhere.
MSVC_FLAGS = {
    "avx2": ["/arch:AVX2"],
    "avxvnni": ["/arch:AVX2"],
    "avx512": ["/arch:AVX512"],
    "avx512vnni": ["/arch:AVX512"],
}

COMPILER_BYTES = 350_000_000  # that the largest source takes
MOST_COMPILERS = 16  # a container may have been granted fewer processors than it sees


def enabled(variable: str, default: bool) -> bool:
    return os.environ.get(variable, "1" if default else "0") not in ("", "0")


def compilers_at_once() -> int:
    """CONV_INFER_JOBS, or as many as there are processors for this process and memory to spare."""
    if wanted := os.environ.get("CONV_INFER_JOBS"):
        return max(1, int(wanted))
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(processors, MOST_COMPILERS, free_memory() // COMPILER_BYTES))


def free_memory() -> int:
    """Bytes that Linux would give to new programs, within the limit of a container; plenty on other systems."""
    found = [1 << 40]
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]))
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):  # of control groups, version 2 and 1
        with contextlib.suppress(OSError, ValueError):
            found.append(int((Path("/sys/fs/cgroup") / limit).read_text()))
    return min(found)


class BuildExtension(build_ext):
    """Compiles each group of sources with its own flags, keeps them as a static library, links them into one module."""

    def build_extension(self, ext: Extension) -> None:
        self.is_msvc = self.compiler.compiler_type == "msvc"  # or clang in its place, which takes both kinds of flags
        self.is_clang_cl = self.is_msvc and "clang-cl" in os.environ.get("CC", "")
        if self.is_msvc:
            self.prepare_msvc()
        flags = self.baseline_flags()
        strips = sys.platform.startswith("linux") and not enabled("CONV_INFER_SYMBOLS", False)
        link_flags = ["-Wl,-s"] if strips and not self.is_msvc else []
        macros = list(ext.define_macros)
        if enabled("CONV_INFER_SANITIZE", False):
            sanitize = [
                "-fsanitize=address,undefined",
                "-fno-sanitize-recover=undefined",
                "-fno-omit-frame-pointer",
                "-g1",  # lines, for reports
                "-O1",  # checked at every access, unrolled kernels take minutes to compile at -O3
            ]
            flags += sanitize
            link_flags = [*sanitize]
        openmp = self.openmp_flags()
        if openmp is not None:
            flags += openmp[0]
            link_flags += openmp[1]
            macros.append(("CI_USE_OPENMP", "1"))
        elif not self.is_msvc:
            link_flags.append("-pthread")
        present = [name for name in INSTRUCTION_SETS if self.can_build(name)]
        macros += [(f"CI_BUILT_{name.upper()}", "1") for name in present]
        generated = [source for source in ext.sources if source.endswith(".c")]
        jobs = [(source, [*flags, *self.glue_flags()]) for source in generated]  # first: it takes the longest
        for source in sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.c")):
            suffix = Path(source).stem.rpartition("_")[2]
            if suffix not in INSTRUCTION_SETS:
                jobs.append((source, [*flags, *self.library_flags()]))
            elif suffix in present:
                jobs.append((source, [*flags, *self.library_flags(), *self.flags_of(suffix)]))
        objects = self.compile(jobs, macros)
        self.install_library(objects[len(generated) :], Path(self.get_ext_fullpath(ext.name)).parent)
        self.compiler.link_shared_object(
            objects,
            self.get_ext_fullpath(ext.name),
            extra_postargs=link_flags,
            export_symbols=self.get_export_symbols(ext),
            build_temp=self.build_temp,
            target_lang="c",
        )

    def prepare_msvc(self) -> None:
        if not self.compiler.initialized:
            self.compiler.initialize()
        # Objects for the linker alone to read would be of no use in the C library.
        self.compiler.compile_options = [flag for flag in self.compiler.compile_options if flag != "/GL"]
        if self.is_clang_cl:
            self.compiler.cc = shutil.which(os.environ["CC"]) or os.environ["CC"]

    def flags_of(self, name: str) -> list[str]:
        """Of the files of an instruction set."""
        return MSVC_FLAGS[name] if self.is_msvc and not self.is_clang_cl else INSTRUCTION_SETS[name][1]

    def install_library(self, objects: list[str], package: Path) -> None:
        """What `conv_infer.get_library()` and `get_include()` find: objects that know nothing of Python."""
        headers = package / "include" / "conv_infer"
        shutil.rmtree(headers, ignore_errors=True)
        shutil.copytree(ROOT / "include" / "conv_infer", headers)
        archive = package / self.compiler.library_filename("conv_infer", "static")
        archive.unlink(missing_ok=True)  # `ar` would leave members that are no longer built
        self.compiler.create_static_lib(objects, "conv_infer", output_dir=str(package))

    def copy_extensions_to_source(self) -> None:
        """For builds in place, which are made elsewhere and copied."""
        super().copy_extensions_to_source()
        built, package = Path(self.build_lib) / "conv_infer", ROOT / "conv_infer"
        shutil.copytree(built / "include", package / "include", dirs_exist_ok=True)
        shutil.copy(built / self.compiler.library_filename("conv_infer", "static"), package)

    def compile(self, jobs: list[tuple[str, list[str]]], macros: list[tuple[str, str | None]]) -> list[str]:
        """The objects of sources, each with its own flags."""

        def one(job: tuple[str, list[str]]) -> str:
            source, flags = job
            return self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                macros=macros,
                include_dirs=[str(ROOT / "include"), str(ROOT / "src"), sysconfig.get_path("include")],
                extra_postargs=flags,
            )[0]

        with ThreadPoolExecutor(compilers_at_once()) as pool:  # each waits for a compiler of its own
            return list(pool.map(one, jobs))

    def baseline_flags(self) -> list[str]:
        if self.is_clang_cl:
            return ["/O2", "/std:c11", *("/clang:" + flag for flag in ("-O3", "-ffp-contract=off", "-fno-math-errno"))]
        if self.is_msvc:
            return ["/O2", "/std:c11", "/experimental:c11atomics"]
        # Contraction is off so that a fused multiply-add is only ever where the source asks for one. Nobody reads the
        # floating-point exception flags, and gcc turns no comparison into vector code while they must be right.
        return [
            "-O3",
            "-std=gnu11",
            "-ffp-contract=off",
            "-fno-math-errno",
            "-fno-trapping-math",
            "-fvisibility=hidden",
            "-g0",
        ]

    def glue_flags(self) -> list[str]:
        """Of the generated file, which only checks and calls: small rather than fast."""
        return [] if self.is_msvc or enabled("CONV_INFER_SANITIZE", False) else ["-Os"]

    def library_flags(self) -> list[str]:
        """Of the C library: warnings, and no tables for exceptions, which it never meets."""
        if self.is_msvc:
            return []
        warnings = ["-Wall", "-Wextra", "-Wpedantic", *(["-Werror"] if enabled("CONV_INFER_WERROR", False) else [])]
        if enabled("CONV_INFER_SANITIZE", False):
            return warnings
        return [*warnings, "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"]

    def openmp_flags(self) -> tuple[list[str], list[str]] | None:
        if self.is_msvc or not enabled("CONV_INFER_OPENMP", True):
            return None  # Microsoft's OpenMP is a library that users may not have: src/team.c does without
        flags = ["-fopenmp"], ["-fopenmp"]
        works = self.probe("#include <omp.h>\nint v(void) { return omp_get_max_threads(); }", *flags)
        return flags if works else None

    def can_build(self, name: str) -> bool:
        machines, _, program = INSTRUCTION_SETS[name]
        target = os.environ.get("CONV_INFER_TARGET_MACHINE", platform.machine()).lower()
        if target not in machines or (self.is_msvc and name not in MSVC_FLAGS):
            return False
        header = "immintrin.h" if machines is X86 else "arm_neon.h"
        return self.probe(f"#include <{header}>\n{program}", self.flags_of(name), [])

    def probe(self, program: str, compile_flags: list[str], link_flags: list[str]) -> bool:
        """True where the compiler turns `program` into a shared object."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text(program + "\n")
            try:
                with open(os.devnull, "w") as null:
                    if self.is_msvc:
                        objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_flags)
                        return bool(objects)
                    command = [*self.compiler.compiler_so, *compile_flags, "-fPIC", "-shared", str(source), "-o"]
                    return not subprocess.call([*command, f"{folder}/probe.so", *link_flags], stderr=null, stdout=null)
            except Exception:
                return False


limited_api = enabled("CONV_INFER_LIMITED_API", True) and not sysconfig.get_config_var("Py_GIL_DISABLED")
# What the extension is made of besides: a source distribution carries it along.
parts = [
    path
    for folder, kind in (("src", "*"), ("include", "*.h"), ("conv_infer", "*.p[xy][ix]"))
    for path in Path(folder).rglob(kind)
]
extension = Extension(
    "conv_infer._core",
    ["conv_infer/_core.pyx"],
    depends=sorted(str(path) for path in parts if path.is_file()),
    define_macros=[("Py_LIMITED_API", "0x030B0000"), ("CYTHON_LIMITED_API", "1")] if limited_api else [],
    py_limited_api=limited_api,
)
setup(
    ext_modules=cythonize([extension], language_level=3, include_path=["conv_infer"]),
    cmdclass={"build_ext": BuildExtension},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if limited_api else {},
)
