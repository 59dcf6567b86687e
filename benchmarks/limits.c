/* What one core can do: compiled by benchmarks/limits.py for the instruction set that conv_infer has chosen.
 *
 * VECTOR_BYTES is the width of a vector: 64, 32 or 16.
 */
#include <stddef.h>

typedef float vector __attribute__((vector_size(VECTOR_BYTES)));
enum { LANES = VECTOR_BYTES / 4, CHAINS = 12 };

/* `rounds` times a multiply-add in each of CHAINS independent vectors, enough of them to hide the latency.
 * Returns the floating-point operations done; `sink` receives a value that depends on all of them. */
double limit_multiply_adds(long rounds, float *sink) {
    vector sum[CHAINS];
    vector factor, term;
    for (int lane = 0; lane < LANES; ++lane) {
        factor[lane] = 0.999F;
        term[lane] = *sink;
    }
    for (int chain = 0; chain < CHAINS; ++chain)
        sum[chain] = term * (float)chain;
    for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int chain = 0; chain < CHAINS; ++chain)
            sum[chain] = sum[chain] * factor + term;
    }
    vector total = sum[0];
    for (int chain = 1; chain < CHAINS; ++chain)
        total += sum[chain];
    for (int lane = 0; lane < LANES; ++lane)
        *sink += total[lane];
    return 2.0 * (double)rounds * CHAINS * LANES;
}

/* Reads `count` floats (a multiple of 8 vectors, aligned) `repeats` times. Returns a value that depends on
 * all. */
float limit_read(const float *data, size_t count, long repeats) {
    vector sum[8] = {0};
    for (long repeat = 0; repeat < repeats; ++repeat)
        for (size_t at = 0; at < count; at += (size_t)8 * LANES)
            for (int chain = 0; chain < 8; ++chain)
                sum[chain] += *(const vector *)(data + at + (size_t)chain * LANES);
    float total = 0;
    for (int chain = 0; chain < 8; ++chain)
        for (int lane = 0; lane < LANES; ++lane)
            total += sum[chain][lane];
    return total;
}
