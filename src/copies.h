/* What lowering writes: runs of an image's elements, and runs of one element. */
#ifndef CI_COPIES_H
#define CI_COPIES_H

#include <stdint.h>
#include <string.h>

/* Copies bytes, each XORed with `flip`. */
static inline void ci_copy_bytes(char *to, const char *from, int64_t bytes, int32_t flip) {
    if (!flip) {
        memcpy(to, from, (size_t)bytes);
        return;
    }
    for (int64_t index = 0; index < bytes; index++)
        to[index] = (char)(from[index] ^ flip);
}

/* Elements whose bytes are all alike, zeros above all, are a matter for memset. */
static inline void ci_fill_padding(char *to, int64_t elements, int32_t element_bytes,
                                   const void *pad_element) {
    const unsigned char *bytes = (const unsigned char *)pad_element;
    int32_t alike = 1;
    if (elements <= 0)
        return;
    while (alike < element_bytes && bytes[alike] == bytes[0])
        alike++;
    if (alike == element_bytes) {
        memset(to, bytes[0], (size_t)(elements * element_bytes));
        return;
    }
    for (int64_t index = 0; index < elements; index++)
        memcpy(to + index * element_bytes, pad_element, (size_t)element_bytes);
}

#endif
