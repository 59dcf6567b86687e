/* The instructions of Armv7E-M's DSP extension that these forms use. */
#ifndef CI_EMBEDDED_DSP_H
#define CI_EMBEDDED_DSP_H

#include <stdint.h>
#include <string.h>

/* What the compiler would call from two places, and lose the registers that its constants save. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* At any alignment. The compiler's own memcpy stays one instruction in a freestanding build. */
static inline uint32_t load_word(const void *from) {
    uint32_t word;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

static inline void store_word(void *to, uint32_t word) {
    __builtin_memcpy(to, &word, sizeof word);
}

/* Bytes 0 and 2, or 1 and 3, sign-extended to halfwords, the halfwords of `offset` added. */
static inline uint32_t add_even_bytes(uint32_t offset, uint32_t bytes) {
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(offset), "r"(bytes));
    return result;
}

static inline uint32_t add_odd_bytes(uint32_t offset, uint32_t bytes) {
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(offset), "r"(bytes));
    return result;
}

/* The lower halves of two words, or the upper ones, the first operand's below. */
static inline uint32_t lower_halves(uint32_t first, uint32_t second) {
    uint32_t result;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(first), "r"(second));
    return result;
}

static inline uint32_t upper_halves(uint32_t first, uint32_t second) {
    uint32_t result;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(second), "r"(first));
    return result;
}

/* sum plus the products of lower and of upper halves. */
static inline int32_t multiply_pairs(int32_t sum, uint32_t a, uint32_t b) {
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* The upper word of a product, rounded to nearest. */
static inline int32_t multiply_rounded(int32_t a, int32_t b) {
    int32_t result;
    __asm__("smmulr %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

static inline int32_t saturate_byte(int32_t x) {
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
}

#endif
