/* int8 depthwise convolution, NEON without dot products. Vectors run over channels, in blocks of 16.
 *
 * Packed b, of each block: [tap][16]. Taps are taken in pairs: the products of the second are subtracted from
 * those of the first in int16, which is exact where bytes of A that meet second taps are complemented (see
 * gemm_s8_neon.c); what that changes is in the bias (odd_origin in layout_s8.h). */
#include "simd_s8_neon.h"

#define DEPTHWISE_S8_VECTORS 4
#include "depthwise_s8_store.inc.h"

typedef struct {
    int16x8_t low, high;
} products;

CI_INLINE int8x16_t load_signed(const uint8_t *p, const int sign) {
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8((uint8_t)sign)));
}

/* The first tap of a pair. */
CI_INLINE products multiply_first(const uint8_t *p, int8x16_t b) {
    const int8x16_t a = load_signed(p, 0x80);
    return (products){vmull_s8(vget_low_s8(a), vget_low_s8(b)), vmull_high_s8(a, b)};
}

CI_INLINE products multiply_second(products first, const uint8_t *p, int8x16_t b) {
    const int8x16_t a = load_signed(p, 0x7f);
    return (products){vmlsl_s8(first.low, vget_low_s8(a), vget_low_s8(b)), vmlsl_high_s8(first.high, a, b)};
}

CI_INLINE void add_products(vi *sum, products p) {
    sum[0] = vaddw_s16(sum[0], vget_low_s16(p.low));
    sum[1] = vaddw_high_s16(sum[1], p.low);
    sum[2] = vaddw_s16(sum[2], vget_low_s16(p.high));
    sum[3] = vaddw_high_s16(sum[3], p.high);
}

CI_INLINE int8x16_t weights_of(const block *in, int32_t tap) {
    return vreinterpretq_s8_s32(in->b[tap]);
}

/* `known` taps are known to the compiler: 9, or else 0. */
CI_INLINE void row_of_outputs(const int scales, const int known, const ci_depthwise_s8_args *args,
                              const uint8_t *const *tap, int64_t offset) {
    const int32_t taps = known ? known : args->kernel_height * args->kernel_width;
    const int64_t step = args->stride_x * args->a_pixel_stride, out_step = args->c_pixel_stride;
    const int32_t width = args->width, channels = args->channels;
    for (int32_t channel = 0; channel < channels; channel += BLOCK) {
        const block in = block_of(args, channel, taps);
        int8x16_t b[9];
        const uint8_t *from[9];
        CI_UNROLL
        for (int t = 0; t < known; t++) {
            b[t] = weights_of(&in, t);
            from[t] = tap[t] + channel;
        }
        for (int32_t x = 0; x < width; x++) {
            vi sum[4];
            load_bias(sum, in.bias);
            if (known) {
                CI_UNROLL
                for (int t = 0; t < known; t++)
                    vi_keep(b[t]); /* or gcc 12 holds both halves of each apart, and spills */
                CI_UNROLL
                for (int t = 0; t < known - 1; t += 2)
                    add_products(sum, multiply_second(multiply_first(from[t] + x * step, b[t]),
                                                      from[t + 1] + x * step, b[t + 1]));
                add_products(sum, multiply_first(from[known - 1] + x * step, b[known - 1]));
            } else {
                const int64_t at = channel + x * step;
                int32_t t = 0;
                for (; t + 2 <= taps; t += 2)
                    add_products(sum, multiply_second(multiply_first(tap[t] + at, weights_of(&in, t)),
                                                      tap[t + 1] + at, weights_of(&in, t + 1)));
                if (t < taps)
                    add_products(sum, multiply_first(tap[t] + at, weights_of(&in, t)));
            }
            store_pixel(scales, &in, sum, offset + channel + x * out_step);
        }
    }
}

CI_INLINE void rows_of_outputs(const int scales, const int known, const ci_depthwise_s8_args *args) {
    const uint8_t *tap[CI_DEPTHWISE_S8_TAPS];
    for (int32_t y = 0; y < args->height; y++) {
        int32_t count = 0;
        for (int32_t ky = 0; ky < args->kernel_height; ky++) {
            const uint8_t *row = args->a + args->a_row[y * args->stride_y + ky * args->dilation_y];
            for (int32_t kx = 0; kx < args->kernel_width; kx++)
                tap[count++] = row + kx * args->dilation_x * args->a_pixel_stride;
        }
        row_of_outputs(scales, known, args, tap, y * args->c_row_stride);
    }
}

void ci_depthwise_s8_any_neon(const ci_depthwise_s8_args *args) {
    if (only_scales(args))
        rows_of_outputs(1, 0, args);
    else
        rows_of_outputs(0, 0, args);
}

void ci_depthwise_s8_3x3_neon(const ci_depthwise_s8_args *args) {
    if (only_scales(args))
        rows_of_outputs(1, 9, args);
    else
        rows_of_outputs(0, 9, args);
}
