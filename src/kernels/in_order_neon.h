/* Instructions in the order in which they are written, for Cortex-A53, which executes them so. What decides
 * that order:
 *
 * - a vector of 128 bits keeps the load pipe for two cycles, and nothing else begins in these. So vectors are
 *   loaded in halves: 64 bits at once, in a place where no product begins; 64 bits through a general
 *   register, which costs nothing right behind a product, and from there into the vector beside the next
 *   load;
 * - products of 128 bits and loads of vectors begin in cycles of their own, and a load waits where a
 *   multiply-add began four cycles before. So three products follow one load, over and over;
 * - what is loaded is there after three cycles, a sum after four: both are asked for later than that.
 *
 * Each macro is one instruction. As they are volatile, compilers keep their order, and add only their own
 * pointer arithmetic. */
#ifndef CONV_INFER_KERNELS_IN_ORDER_NEON_H
#define CONV_INFER_KERNELS_IN_ORDER_NEON_H

#include <arm_neon.h>

typedef struct {
    uint8_t byte[8];
} __attribute__((may_alias)) eight_bytes;

/* The lower half of a vector; the upper half is 0. */
#define LOAD_LOWER(vector, from)                                                                             \
    __asm__ volatile("ldr %d0, %1" : "=w"(vector) : "m"(*(const eight_bytes *)(const void *)(from)))
/* 64 bits for an upper half, and into it. */
#define LOAD_UPPER(half, from)                                                                               \
    __asm__ volatile("ldr %0, %1" : "=r"(half) : "m"(*(const eight_bytes *)(const void *)(from)))
#define JOIN_LOWER(vector, half) __asm__ volatile("ins %0.d[0], %1" : "+w"(vector) : "r"(half))
#define JOIN_UPPER(vector, half) __asm__ volatile("ins %0.d[1], %1" : "+w"(vector) : "r"(half))
/* sum += column * lane `number` of value, float32. */
#define ADD_PRODUCT_BY_LANE(sum, column, value, number)                                                      \
    __asm__ volatile("fmla %0.4s, %1.4s, %2.s[%3]" : "+w"(sum) : "w"(column), "w"(value), "i"(number))
/* Products of bytes: those of the lower halves; less those of the upper halves; and sums of pairs of them,
 * which begin a sum or are added to one. */
#define MULTIPLY_LOWER(joint, a, b)                                                                          \
    __asm__ volatile("smull %0.8h, %1.8b, %2.8b" : "=w"(joint) : "w"(a), "w"(b))
#define SUBTRACT_UPPER(joint, a, b)                                                                          \
    __asm__ volatile("smlsl2 %0.8h, %1.16b, %2.16b" : "+w"(joint) : "w"(a), "w"(b))
#define BEGIN_SUM(sum, joint) __asm__ volatile("saddlp %0.4s, %1.8h" : "=w"(sum) : "w"(joint))
#define ADD_TO_SUM(sum, joint) __asm__ volatile("sadalp %0.4s, %1.8h" : "+w"(sum) : "w"(joint))
/* A number in a general register is ready before what follows. */
#define KEEP_IN_ORDER(number) __asm__ volatile("" : "+r"(number))

#endif
