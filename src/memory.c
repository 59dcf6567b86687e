/* Aligned memory for weights and arenas. */
#define _DEFAULT_SOURCE /* madvise, MAP_ANONYMOUS */
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__unix__) || defined(__APPLE__)
#    include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

/* Small blocks come from the heap; large ones are mapped, so that they go back to the system when freed. Only
 * around blocks of the heap does AddressSanitizer see what leaves them. */
static size_t mapped_bytes(size_t bytes) {
#    ifdef __SANITIZE_ADDRESS__
    (void)bytes;
    return 0;
#    else
    return bytes < HUGE_PAGE ? 0 : (bytes + 4095) & ~(size_t)4095;
#    endif
}

/* Maps `length` bytes from an address that a huge page can start at: what is mapped too much is handed back.
 */
static void *map_aligned(size_t length) {
    char *mapped = mmap(NULL, length + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return NULL;
    const size_t before = (HUGE_PAGE - (uintptr_t)mapped % HUGE_PAGE) % HUGE_PAGE;
    if (before)
        munmap(mapped, before);
    if (before < HUGE_PAGE)
        munmap(mapped + before + length, HUGE_PAGE - before);
#    ifdef MADV_HUGEPAGE
    madvise(mapped + before, length,
            MADV_HUGEPAGE); /* fewer TLB misses where weights stream; may be refused */
#    endif
    return mapped + before;
}

void *ci_memory_allocate(size_t bytes) {
    size_t length = mapped_bytes(bytes);
    if (length)
        return map_aligned(length);
    void *memory = NULL;
    if (posix_memalign(&memory, 64, bytes ? bytes : 64) != 0)
        return NULL;
    return memset(memory, 0, bytes);
}

void ci_memory_free(void *memory, size_t bytes) {
    if (memory && mapped_bytes(bytes))
        munmap(memory, mapped_bytes(bytes));
    else
        free(memory);
}
#else
#    include <malloc.h>

void *ci_memory_allocate(size_t bytes) {
    void *memory = _aligned_malloc(bytes ? bytes : 64, 64);
    return memory ? memset(memory, 0, bytes) : NULL;
}

void ci_memory_free(void *memory, size_t bytes) {
    (void)bytes;
    _aligned_free(memory);
}
#endif
