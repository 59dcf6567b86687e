/* Aligned memory for weights and arenas. */
#ifndef CI_MEMORY_H
#define CI_MEMORY_H

#include <stddef.h>

/* Zeroed memory aligned to 64 bytes, in huge pages where it is large and the system has them. NULL where
 * refused. */
void *ci_memory_allocate(size_t bytes);
void ci_memory_free(void *memory, size_t bytes);

#endif
