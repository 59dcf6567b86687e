# The table of kernels, and which instruction sets there are.

cdef extern from "conv_infer/microkernel.h":
    ctypedef enum ci_operation:
        pass
    ctypedef void ci_any_fn() noexcept nogil
    ctypedef struct ci_kernel:
        const char *name
        ci_operation operation
        const char *variant
        ci_isa isa
        int32_t mr, nr, k_step
        ci_any_fn *function
    const ci_kernel *ci_kernels(int32_t *count)
    const char *ci_operation_name(ci_operation operation)
    const ci_kernel *ci_kernel_find(ci_operation operation, const char *variant, uint32_t allowed)


cdef class Kernel:
    """One micro-kernel of the table."""

    cdef const ci_kernel *entry

    @property
    def name(self) -> str:
        return self.entry.name.decode()

    @property
    def operation(self) -> str:
        return ci_operation_name(self.entry.operation).decode()

    @property
    def variant(self) -> str:
        return self.entry.variant.decode()

    @property
    def isa(self) -> str:
        return ci_isa_name(self.entry.isa).decode()

    @property
    def mr(self) -> int:
        return self.entry.mr

    @property
    def nr(self) -> int:
        return self.entry.nr

    @property
    def k_step(self) -> int:
        return self.entry.k_step

    def __repr__(self) -> str:
        return f"<Kernel {self.name}>"


def kernels() -> list[Kernel]:
    """Every kernel that was built, in the order of src/kernels.def."""
    cdef int32_t count = 0
    cdef const ci_kernel *entry = ci_kernels(&count)
    cdef Kernel kernel
    found = []
    for index in range(count):
        kernel = Kernel.__new__(Kernel)
        kernel.entry = &entry[index]
        found.append(kernel)
    return found


cdef Kernel find_kernel(ci_operation operation, const char *variant, uint32_t allowed):
    """The kernel of a variant, or of `any` where no variant of that name was built for the best instruction set."""
    cdef const ci_kernel *found = ci_kernel_find(operation, variant, allowed)
    cdef const ci_kernel *general = ci_kernel_find(operation, b"any", allowed)
    if found == NULL or (general != NULL and general.isa > found.isa):
        found = general
    if found == NULL:
        raise ConvInferError(f"no kernel was built for {ci_operation_name(operation).decode()} {variant.decode()}")
    cdef Kernel kernel = Kernel.__new__(Kernel)
    kernel.entry = found
    return kernel


def _names(uint32_t sets) -> list[str]:
    return [ci_isa_name(<ci_isa>isa).decode() for isa in range(<int>CI_ISA_COUNT) if sets >> isa & 1]


def isa_names() -> list[str]:
    """Every instruction set that CONV_INFER_ISA may name, of any architecture."""
    return _names(0xFFFFFFFF)


def isa_built() -> list[str]:
    return _names(ci_isa_built())


def isa_present() -> list[str]:
    return _names(ci_isa_present())


def isa_allowed(str best=None) -> list[str]:
    """Built and present, limited to what `best` implies (None: no limit)."""
    return _names(ci_isa_allowed(CI_ISA_COUNT if best is None else ci_isa_from_name(best.encode())))


def cache_sizes() -> tuple[int, int]:
    """Bytes of one core's first-level data cache, and of its part of the second level."""
    cdef ci_cache cache = ci_cache_sizes()
    return cache.l1_data_bytes, cache.l2_bytes


def cache_sizes_told_in(str folder) -> tuple[int, int]:
    """The same as a folder such as /sys/devices/system/cpu/cpu0 tells; 0 where it does not."""
    cdef ci_cache cache = ci_cache_told_in(folder.encode())
    return cache.l1_data_bytes, cache.l2_bytes


def cache_sizes_of_arm_core(midr: int) -> tuple[int, int]:
    """The same as known from the register that names a core; 0 where it is not."""
    cdef ci_cache cache = ci_cache_of_arm_core(midr)
    return cache.l1_data_bytes, cache.l2_bytes


def cores() -> int:
    """Cores that this process may use, on Windows and macOS; 0 elsewhere, and where nothing is told."""
    return ci_cores()


def arm_core_is_in_order(midr: int) -> bool:
    """Whether kernels of the set `a53` are for a core, by the register that names it."""
    return ci_arm_core_is_in_order(midr) != 0


def arm_cores_told_in(str folder) -> tuple[int, int]:
    """How many cores a folder such as /sys/devices/system/cpu names, and how many of them `a53` is for."""
    cdef ci_arm_cores cores = ci_arm_cores_told_in(folder.encode())
    return cores.known, cores.in_order
