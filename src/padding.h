/* Runs of one element, of any size. */
#ifndef CI_PADDING_H
#define CI_PADDING_H

#include <stdint.h>
#include <string.h>

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
