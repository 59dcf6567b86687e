/* From sums to int8: the multiplier, the shift and both roundings of TensorFlow Lite. */
#ifndef CI_EMBEDDED_OUTPUT_H
#define CI_EMBEDDED_OUTPUT_H

#include "conv_infer/ops.h"
#include "dsp.h"

/* Of one output channel, laid out before the clock runs, for every form. */
typedef struct {
    int32_t bias, multiplier;
    int32_t left;  /* one more than the shift to the left: the product is the upper word of a doubled sum's */
    int32_t right; /* the shift to the right */
    int32_t half;  /* what rounds to nearest on the way, */
    int32_t away;  /* and for negative numbers, ties away from zero: -1, or 0 where nothing is shifted */
} output_rule;

/* Ends the program where a doubled sum could leave int32. `depth` weights for each channel, `step` from one
 * to the next, channels `channel_step` apart. */
void output_rules(const ci_quantisation_s8 *q, const int32_t *bias, int32_t channels, const int8_t *weights,
                  int32_t channel_step, int32_t depth, int32_t step, output_rule *rules);

/* Whether every int8 is an output: then one instruction clamps. */
static inline int32_t takes_all(const ci_quantisation_s8 *q) {
    return q->activation_min == -128 && q->activation_max == 127;
}

/* One sum by numbers that are in registers. */
ALWAYS_INLINE int8_t finish(int32_t sum, const output_rule *rule, const ci_quantisation_s8 *q,
                            int32_t takes_all) {
    int32_t x = multiply_rounded((int32_t)((uint32_t)sum << rule->left), rule->multiplier);
    x += rule->half + (x >> 31 & rule->away);
    x = (x >> rule->right) + q->output_offset;
    if (takes_all)
        return (int8_t)saturate_byte(x);
    x = x < q->activation_min ? q->activation_min : x;
    return (int8_t)(x > q->activation_max ? q->activation_max : x);
}

/* All of a rule but its bias, by one instruction: a compiler that keeps rules on the stack loads each number
 * by itself. */
ALWAYS_INLINE output_rule load_rule(const output_rule *rule) {
    register int32_t multiplier __asm__("r4"), left __asm__("r5"), right __asm__("r6");
    register int32_t half __asm__("r8"), away __asm__("r9");
    __asm__ volatile("ldmia %5, {r4, r5, r6, r8, r9}"
                     : "=r"(multiplier), "=r"(left), "=r"(right), "=r"(half), "=r"(away)
                     : "r"(&rule->multiplier)
                     : "memory");
    return (output_rule){0, multiplier, left, right, half, away};
}

ALWAYS_INLINE void to_output(int32_t sum, const output_rule *rule, const ci_quantisation_s8 *q,
                             int32_t takes_all, int8_t *to) {
    const output_rule loaded = load_rule(rule);
    *to = finish(sum, &loaded, q, takes_all);
}

/* Two sums of one channel. The first is stored last: where there is no second, both may go to one place. */
ALWAYS_INLINE void to_outputs(int32_t sum, int32_t second, const output_rule *rule,
                              const ci_quantisation_s8 *q, int32_t takes_all, int8_t *to, int8_t *to_second) {
    const output_rule loaded = load_rule(rule);
    *to_second = finish(second, &loaded, q, takes_all);
    *to = finish(sum, &loaded, q, takes_all);
}

#endif
