/* See output.h. */
#include "output.h"

#include "board.h"

enum { WIDEST_INPUT = 256 }; /* of a byte with its offset */

void output_rules(const ci_quantisation_s8 *q, const int32_t *bias, int32_t channels, const int8_t *weights,
                  int32_t channel_step, int32_t depth, int32_t step, output_rule *rules) {
    for (int32_t n = 0; n < channels; n++) {
        const int32_t left = q->shift[n] > 0 ? q->shift[n] : 0, right = left - q->shift[n];
        rules[n] = (output_rule){
            .bias = bias ? bias[n] : 0,
            .multiplier = q->multiplier[n],
            .left = left + 1,
            .right = right,
            .half = right ? (int32_t)(1u << (right - 1)) : 0,
            .away = right ? -1 : 0,
        };
        int64_t most = rules[n].bias < 0 ? -(int64_t)rules[n].bias : rules[n].bias;
        for (int32_t k = 0; k < depth; k++) {
            const int32_t weight = weights[n * channel_step + k * step];
            most += (weight < 0 ? -weight : weight) * WIDEST_INPUT;
        }
        if (most > INT32_MAX >> rules[n].left) {
            board_write("sums too large to be doubled\n");
            board_exit(72);
        }
    }
}
