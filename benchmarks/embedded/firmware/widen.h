/* int8 to int16, an offset added. */
#ifndef CI_EMBEDDED_WIDEN_H
#define CI_EMBEDDED_WIDEN_H

#include "dsp.h"

/* In order: four at a time cost two more instructions than in the order that the extension leaves. */
static inline void widen(int16_t *to, const int8_t *from, int32_t count, int32_t offset) {
    const uint32_t both = (uint32_t)(offset & 0xffff) * 0x10001u;
    for (; count >= 4; count -= 4, from += 4, to += 4) {
        const uint32_t bytes = load_word(from);
        const uint32_t even = add_even_bytes(both, bytes), odd = add_odd_bytes(both, bytes);
        store_word(to, lower_halves(even, odd));
        store_word(to + 2, upper_halves(even, odd));
    }
    for (; count > 0; count--)
        *to++ = (int16_t)(*from++ + offset);
}

/* Each four as 0, 2, 1, 3. */
static inline void widen_reordered(int16_t *to, const int8_t *from, int32_t count, int32_t offset) {
    const uint32_t both = (uint32_t)(offset & 0xffff) * 0x10001u;
    for (; count >= 4; count -= 4, from += 4, to += 4) {
        const uint32_t bytes = load_word(from);
        store_word(to, add_even_bytes(both, bytes));
        store_word(to + 2, add_odd_bytes(both, bytes));
    }
}

#endif
