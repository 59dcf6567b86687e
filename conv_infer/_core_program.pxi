# Memory and programs. Steps are added by the functions of the _core_steps_*.pxi files.

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport calloc, free, malloc

cdef extern from "memory.h":
    void *ci_memory_allocate(size_t bytes)
    void ci_memory_free(void *memory, size_t bytes)

cdef extern from "conv_infer/program.h":
    ctypedef struct ci_program:
        pass
    ctypedef struct ci_ref:
        int32_t slot
        int64_t offset
    ci_program *ci_program_create(int32_t slots, const int64_t *slot_bytes)
    void ci_program_destroy(ci_program *program)
    void ci_program_no_barrier(ci_program *program)
    void ci_program_grow_slot(ci_program *program, int32_t slot, int64_t bytes)
    const void *ci_program_keep(ci_program *program, const void *data, size_t bytes)
    int32_t ci_program_steps(const ci_program *program)
    int64_t ci_program_scratch_bytes(const ci_program *program)
    void ci_program_run(ci_program *program, char **slots, char *scratch, int32_t threads, double *seconds) noexcept nogil


cdef class Memory:
    """A block of zeroed memory aligned to 64 bytes; `np.frombuffer(memory, ...)` views it."""

    cdef char *data
    cdef readonly Py_ssize_t nbytes

    def __cinit__(self, Py_ssize_t nbytes):
        if nbytes < 0:
            raise ValueError("a negative number of bytes")
        self.nbytes = nbytes
        self.data = <char *>ci_memory_allocate(nbytes)
        if self.data == NULL:
            raise MemoryLimitError(f"the machine refused {nbytes:,} bytes of memory")

    def __dealloc__(self):
        ci_memory_free(self.data, self.nbytes)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.nbytes, 0, flags)


cdef char *piece_of(Memory memory, int64_t offset, int64_t nbytes) except NULL:
    """The address of a piece of memory, which must lie inside."""
    if offset < 0 or nbytes < 0 or nbytes > memory.nbytes - offset:
        raise ValueError(f"{nbytes} bytes at {offset} leave the memory of {memory.nbytes} bytes")
    return memory.data + offset


cdef ci_ref ref_of(tuple ref) except *:
    """(slot, byte offset); slot -1 stands for no buffer."""
    cdef ci_ref result
    result.slot, result.offset = ref
    return result


cdef class Program:
    """A compiled graph: steps over slots of memory. Slot 0 is the arena, slot 1 the weights, the rest the caller's."""

    cdef ci_program *program
    cdef int32_t slots
    cdef list slot_bytes

    def __cinit__(self, list slot_bytes):
        cdef int64_t *sizes = <int64_t *>malloc(len(slot_bytes) * sizeof(int64_t))
        if sizes == NULL:
            raise MemoryError
        try:
            for index, size in enumerate(slot_bytes):
                sizes[index] = size
            self.slots = len(slot_bytes)
            self.slot_bytes = list(slot_bytes)
            self.program = ci_program_create(self.slots, sizes)
        finally:
            free(sizes)
        if self.program == NULL:
            raise MemoryError

    def __dealloc__(self):
        ci_program_destroy(self.program)

    def __len__(self) -> int:
        return ci_program_steps(self.program)

    @property
    def scratch_bytes(self) -> int:
        """Scratch that one thread needs."""
        return ci_program_scratch_bytes(self.program)

    def grow_slot(self, int slot, int64_t nbytes) -> None:
        """Says that a slot will have at least so many bytes: steps added from now on may use them."""
        if not 0 <= slot < self.slots:
            raise ValueError("there is no such slot")
        self.slot_bytes[slot] = max(self.slot_bytes[slot], nbytes)
        ci_program_grow_slot(self.program, slot, nbytes)

    def no_barrier(self) -> None:
        """Says that the step added last and the one added next touch nothing in common."""
        ci_program_no_barrier(self.program)

    def run(self, Memory arena, Memory weights, list externals, Memory scratch, int threads, double[::1] seconds=None):
        """Runs every step. `externals` are buffers of exactly the bytes given for slots 2, 3, ...; those that steps
        write must be writable. `seconds`, where given, receives the time of each step."""
        if len(externals) + 2 != self.slots:
            raise ValueError(f"expected {self.slots - 2} external buffers, got {len(externals)}")
        if threads < 1 or scratch.nbytes < threads * ci_program_scratch_bytes(self.program):
            raise ValueError("the scratch buffer is too small for this number of threads")
        if arena.nbytes < self.slot_bytes[0] or weights.nbytes < self.slot_bytes[1]:
            raise ValueError("the arena or the weights are smaller than the program was made for")
        if seconds is not None and seconds.shape[0] < ci_program_steps(self.program):
            raise ValueError("too few places for the times")
        cdef double *times = NULL if seconds is None else &seconds[0]
        cdef char **slots = <char **>calloc(self.slots, sizeof(char *))
        cdef Py_buffer *views = <Py_buffer *>calloc(self.slots, sizeof(Py_buffer))
        cdef int taken = 0
        try:
            if slots == NULL or views == NULL:
                raise MemoryError
            slots[0], slots[1] = arena.data, weights.data
            for buffer in externals:
                PyObject_GetBuffer(buffer, &views[taken], PyBUF_SIMPLE)
                taken += 1
                if views[taken - 1].len != self.slot_bytes[taken + 1]:
                    raise ValueError(
                        f"external buffer {taken - 1} has {views[taken - 1].len} bytes, not {self.slot_bytes[taken + 1]}"
                    )
                slots[taken + 1] = <char *>views[taken - 1].buf
            with nogil:
                ci_program_run(self.program, slots, scratch.data, threads, times)
        finally:
            for index in range(taken):
                PyBuffer_Release(&views[index])
            free(views)
            free(slots)
